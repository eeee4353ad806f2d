"""What is said of every module that runs the collector on the host."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type


class ModuleDocFragment(object):
    """The options that such modules have in common."""

    DOCUMENTATION = r"""
options:
  collector:
    description:
      - The program that runs on the host, compressed and in base64.
      - The controller takes it from the lockcfg that is installed there. There is no need to give
        it.
    type: str
"""
