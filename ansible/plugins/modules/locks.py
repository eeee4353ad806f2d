#!/usr/bin/python
"""Tell which locks are held."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: locks
short_description: Tell which locks the lock daemon of a host holds
version_added: "0.1.0"
description:
  - Returns the locks that the running lock daemon holds, as the kernel has them. It changes nothing.
  - If lockd runs, its own answer is returned too, with the guests and their disks.
  - What cannot be found out is said, and never looks as if no lock were held. The module fails if
    it cannot tell.
options:
  held:
    description:
      - Files or disks that must be locked. The module fails if one is not.
    type: list
    elements: path
    default: []
  root:
    description: This must be C(/). It is here so that a mistake is refused.
    type: path
    default: /
  lockd:
    description: The program of lockd, if it is not where programs are looked for.
    type: path
extends_documentation_fragment:
  - lockcfg.lockcfg.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author:
  - The lockcfg maintainers (@lockcfg)
"""

EXAMPLES = r"""
- name: Look which locks are held
  lockcfg.lockcfg.locks:
  register: locks

- name: Go on only if no lock is in danger
  ansible.builtin.assert:
    that:
      - locks.daemon in ["virtlockd", "lockd"]
      - locks.problems == []

- name: Go on only if the disk of a guest is locked
  lockcfg.lockcfg.locks:
    held:
      - /srv/images/web1.qcow2
"""

RETURN = r"""
daemon:
  description: The lock daemon that runs, V(virtlockd) or V(lockd), or null if none does.
  returned: success
  type: str
pid:
  description: Its process, or null.
  returned: success
  type: int
locks:
  description: The locks that it holds.
  returned: success
  type: list
  elements: dict
  contains:
    path:
      description: The file that is locked.
      type: str
    mode:
      description: V(shared) or V(exclusive).
      type: str
    disk:
      description: The disk that the lock is for, empty if only lockd could tell.
      type: str
    guests:
      description: The names of the guests, empty if only lockd could tell.
      type: list
      elements: str
problems:
  description: What lockd says is wrong with locks.
  returned: success
  type: list
  elements: dict
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.fail_json(msg="not implemented yet")


if __name__ == "__main__":
    main()
