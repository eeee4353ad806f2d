#!/usr/bin/python
"""Tell the safe order of changes in a fleet."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: plan
short_description: Tell the safe order of changes from the present state to the policy
version_added: "0.1.0"
description:
  - Makes the plan on the controller, as C(lockcfg plan) does, and returns it as data. No host is
    asked and nothing is changed. Use it with C(run_once).
options:
  policy:
    description:
      - What is wanted, as the path of a C(fleet.yaml) on the controller or as the same content. The
        filter P(lockcfg.lockcfg.fleet_policy#filter) makes it from the groups of the inventory.
      - Hosts that it names and without a snapshot are missing, and so not safe.
    type: raw
    required: true
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
- name: Make the plan
  lockcfg.lockcfg.plan:
    paths:
      - snapshots
    policy: fleet.yaml
  run_once: true
  register: plan

- name: Show the steps in order
  ansible.builtin.debug:
    msg: "{{ plan.steps | map(attribute='text') }}"
  run_once: true
"""

RETURN = r"""
plan:
  description: The plan, as C(lockcfg plan --json) prints it.
  returned: always
  type: dict
steps:
  description: The steps of it, in order.
  returned: always
  type: list
  elements: dict
todo:
  description: Whether anything is left to do, or not enough is known to say so.
  returned: always
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule


def main():
    """Say that the controller does it."""
    module = AnsibleModule(
        argument_spec=dict(
            paths=dict(type="list", elements="path", required=True),
            policy=dict(type="raw", required=True),
            max_age_hours=dict(type="float"),
            now=dict(type="int"),
        ),
        supports_check_mode=True,
    )
    module.fail_json(
        msg="this module runs by its action plugin: call it by its full name, lockcfg.lockcfg.plan"
    )


if __name__ == "__main__":
    main()
