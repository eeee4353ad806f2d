#!/usr/bin/python
"""Take the locks of guests that run without them."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: adopt
short_description: Take the locks of guests that run without them
version_added: "0.1.0"
description:
  - Has lockd take the locks that the configuration means for guests that run, and that they do not
    hold, because they were started while nothing was locked. No guest is stopped.
  - A second run changes nothing. The module fails if a guest does not have all its locks then, for
    two guests may be writing one disk.
  - The host needs lockd. virtlockd cannot do it.
options:
  guests:
    description: The guests, by name or UUID. If it is not given, all guests that run.
    type: list
    elements: str
  lockd:
    description: The program of lockd, if it is not where programs are looked for.
    type: path
  socket:
    description: The admin socket of lockd, if it is not its usual one.
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
- name: Take the locks of all guests that run without them
  lockcfg.lockcfg.adopt:

- name: Say what would be done for one guest
  lockcfg.lockcfg.adopt:
    guests:
      - web1
  check_mode: true
"""

RETURN = r"""
disks:
  description: What became of each disk and lease of the guests, as C(lockd adopt --json) says it.
  returned: when lockd answered
  type: list
  elements: dict
  sample:
    - guest: web1
      disk: /srv/images/web1.qcow2
      outcome: taken
      reason: ""
without:
  description: Those of them that have no lock and should have one.
  returned: when lockd answered
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
