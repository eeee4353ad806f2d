"""What is said of every module that looks at the snapshots of a fleet."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type


class ModuleDocFragment(object):
    """The options that such modules have in common."""

    DOCUMENTATION = r"""
options:
  paths:
    description:
      - Where the snapshots are, on the controller. Each is a snapshot, a directory or an archive of
        them, a fleet store, or a repository in which each host has a directory.
    type: list
    elements: path
    required: true
  max_age_hours:
    description: How old the facts may be. If it is not given, what the policy says, or 24 hours.
    type: float
  now:
    description: The time to count ages from, in seconds since the epoch. If it is not given, now.
    type: int
"""
