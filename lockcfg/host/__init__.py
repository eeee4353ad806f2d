"""One host: its files together, what is in force, and what that protects."""
