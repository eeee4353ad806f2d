"""``python -m lockd``."""

from lockd.main import entry

if __name__ == "__main__":
    entry()
