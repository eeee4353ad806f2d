"""Hosts beside each other: in groups, by settings, and on each disk that several have."""
