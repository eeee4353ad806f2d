"""Compares hosts: in groups, by settings, and on each disk that several of them have."""
