"""The clients: their sockets, their messages, and the dispatch of their calls."""
