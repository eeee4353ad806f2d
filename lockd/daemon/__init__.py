"""The daemon: it assembles the parts, and applies the settings."""
