"""The guests that run on this host, and the locks that the configuration means for them."""
