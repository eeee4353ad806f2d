"""What is said of every module that has lockcfg think for it."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type


class ModuleDocFragment(object):
    """The parts of the documentation that modules have in common."""

    DOCUMENTATION = r"""
options: {}
requirements:
  - lockcfg, on the controller, in the Python that runs Ansible
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what it would change, without changing it.
  diff_mode:
    description: Returns the differences in files in C(diff_mode).
  facts:
    description: Returns C(ansible_facts).
    support: none
"""
