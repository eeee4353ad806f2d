"""The output for people and programs: the terminal, JSON, and a module for each format."""
