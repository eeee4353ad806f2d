"""Snapshots of hosts: the collector that makes one, the sources of snapshots, and how they are
read."""
