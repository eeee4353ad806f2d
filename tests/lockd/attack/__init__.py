"""Attacks on the running engine: faults of the system, kills, floods, things that are planted."""
