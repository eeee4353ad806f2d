"""What is wanted: the policy, and the ranges that name hosts in it."""
