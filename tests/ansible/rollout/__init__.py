"""The hold of a host and the rollout of a policy, on real hosts."""
