"""Models of how locks are held, in Promela, and what Spin says of each."""
