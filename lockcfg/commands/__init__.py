"""The commands, one file each; :mod:`lockcfg.main` says what such a file holds."""
