#!/usr/bin/python
"""Change the limits of the running lock daemon."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: limits
short_description: Change the limits of the running lock daemon
version_added: "0.1.0"
description:
  - Changes what the running virtlockd or lockd allows, at once and without a restart, by
    C(virt-admin), which both daemons answer.
  - It does not change C(virtlockd.conf). What that says holds again after the next restart, so set it
    there too with M(lockcfg.lockcfg.settings).
  - What is not given is left alone. A second run changes nothing.
options:
  max_clients:
    description: How many clients the daemon serves at once. Each running guest is one.
    type: int
  max_anonymous_clients:
    description: How many clients may wait to be let in. C(virtlockd.conf) has no setting for it.
    type: int
  min_workers:
    description: The least number of workers.
    type: int
  max_workers:
    description: The greatest number of workers.
    type: int
  priority_workers:
    description: The number of workers for calls that must not wait.
    type: int
  server:
    description: The server of the daemon.
    type: str
    choices: [virtlockd, admin]
    default: virtlockd
  uri:
    description: Where the daemon answers C(virt-admin).
    type: str
    default: virtlockd:///system
extends_documentation_fragment:
  - lockcfg.lockcfg.controller
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
author:
  - The lockcfg maintainers (@lockcfg)
"""

EXAMPLES = r"""
- name: Let 4096 guests run on each host, now
  lockcfg.lockcfg.limits:
    max_clients: 4096

- name: And after the next restart
  lockcfg.lockcfg.settings:
    settings:
      max_clients: 4096
"""

RETURN = r"""
before:
  description: The limits, and how many clients and workers there were.
  returned: success
  type: dict
  sample: {max_clients: 1024, clients: 12}
after:
  description: The same, when it is done. In check mode, as it would be.
  returned: success
  type: dict
  sample: {max_clients: 4096, clients: 12}
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """Run the module."""
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.fail_json(msg="not implemented yet")


if __name__ == "__main__":
    main()
