"""The clients: the sockets that they connect to, what they have said, and who answers it."""
