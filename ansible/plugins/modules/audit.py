#!/usr/bin/python
"""Tell which hosts of a fleet exclude each other."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: audit
short_description: Tell which hosts of a fleet exclude each other, and what is wrong
version_added: "0.1.0"
description:
  - Audits snapshots on the controller, as C(lockcfg audit) does, and returns the report as data. No
    host is asked. Use it with C(run_once).
  - What is unknown is not safe. A host that could not be reached has no snapshot, and is missing if
    the policy names it.
options:
  policy:
    description:
      - What is wanted, as the path of a C(fleet.yaml) on the controller or as the same content. The
        filter P(lockcfg.lockcfg.fleet_policy#filter) makes it from the groups of the inventory.
      - Hosts that it names and without a snapshot are missing, and so not safe.
    type: raw
  fail_level:
    description: The least severity of a finding that makes the task fail.
    type: str
    choices: [error, warning, info, never]
    default: never
extends_documentation_fragment:
  - lockcfg.lockcfg.controller
  - lockcfg.lockcfg.snapshots
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author:
  - The lockcfg maintainers (@lockcfg)
"""

EXAMPLES = r"""
- name: Audit the fleet, and stop if anything is wrong
  lockcfg.lockcfg.audit:
    paths:
      - snapshots
    policy: fleet.yaml
    fail_level: warning
  run_once: true

- name: Audit it by the groups of the inventory
  lockcfg.lockcfg.audit:
    paths:
      - snapshots
    policy: "{{ groups | lockcfg.lockcfg.fleet_policy(only=['kvm']) }}"
  run_once: true
  register: fleet
"""

RETURN = r"""
audit:
  description: The report, as C(lockcfg audit --json) prints it.
  returned: always
  type: dict
level:
  description: The verdict, V(safe), V(unsafe) or V(unknown).
  returned: always
  type: str
text:
  description: The verdict as a sentence.
  returned: always
  type: str
missing:
  description: The hosts that the policy names and without a snapshot.
  returned: always
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """Say that the controller does it."""
    module = AnsibleModule(
        argument_spec=dict(
            paths=dict(type="list", elements="path", required=True),
            policy=dict(type="raw"),
            max_age_hours=dict(type="float"),
            now=dict(type="int"),
            fail_level=dict(
                type="str", choices=["error", "warning", "info", "never"], default="never"
            ),
        ),
        supports_check_mode=True,
    )
    module.fail_json(
        msg="this module runs by its action plugin: call it by its full name, lockcfg.lockcfg.audit"
    )


if __name__ == "__main__":
    main()
