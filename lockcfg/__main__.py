"""``python -m lockcfg``."""

import sys

from lockcfg.main import main

sys.exit(main())
