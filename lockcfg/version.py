"""The version: here and nowhere else. To ask the package's metadata takes longer than a ``get``."""

VERSION = "0.1.0"
