"""Snapshots of hosts: the collector that makes one, where they come from, reading them."""
