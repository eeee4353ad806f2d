"""What people and programs see: the terminal, JSON, and a module for each format."""
