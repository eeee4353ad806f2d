"""``python -m lockcfg``."""

from lockcfg.main import entry

entry()
