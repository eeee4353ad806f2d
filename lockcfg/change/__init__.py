"""Changing the configuration of a host."""
