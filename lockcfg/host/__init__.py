"""One host: its files together, the settings in force, and what they protect."""
