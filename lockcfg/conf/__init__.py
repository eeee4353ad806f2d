"""One configuration file: its syntax, its settings, how it is read, edited and written."""
