"""The wanted state: the policy, and the ranges that name hosts in it."""
