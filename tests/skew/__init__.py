"""Versions of lockcfg and lockd beside each other, and one after the other."""
