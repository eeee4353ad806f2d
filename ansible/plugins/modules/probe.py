#!/usr/bin/python
"""Prove on the real file systems which hosts exclude each other."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: probe
short_description: Prove on the real file systems which hosts exclude each other
version_added: "0.1.0"
description:
  - Makes a probe in rounds. In the first, each host locks bytes of its own in a scratch file of each
    directory that holds locks or disks. In the second, each host asks which bytes of the others are
    locked. No file of a guest is touched.
  - Each round must be done on all hosts before the next begins. The role C(lockcfg.lockcfg.probe)
    has the rounds in order.
options:
  round:
    description:
      - V(plan) makes the plan, on the controller, once for all hosts.
      - V(hold) has a host take its locks.
      - V(questions) puts the answers together, on the controller, once for all hosts.
      - V(ask) has a host ask, and returns its snapshot with what it saw.
      - V(end) has a host release its locks and remove the scratch files. It must run whatever
        happened before.
    type: str
    required: true
    choices: [plan, hold, questions, ask, end]
  hosts:
    description:
      - The hosts of the plan. If it is not given, these are the hosts of the play. Then V(plan)
        fails if the play does not take all of them from task to task together, as with C(serial)
        or with a strategy other than C(linear).
    type: list
    elements: str
  directories:
    description: Absolute paths of directories to look at besides, where no guest has a disk yet.
    type: list
    elements: str
    default: []
  seconds:
    description: After so many seconds, 1 to 3600, the hosts release their locks in any case.
    type: int
    default: 300
  plan:
    description: What the round V(plan) returned, or for V(ask) what V(questions) returned.
    type: dict
  held:
    description: For V(questions), what the hosts returned in the round V(hold), by host.
    type: dict
  name:
    description: The name of the host in the plan. If it is not given, its name in the inventory.
    type: str
  dest:
    description: For V(ask), a directory on the controller for the snapshot, as C(NAME.json.gz).
    type: path
extends_documentation_fragment:
  - lockcfg.lockcfg.controller
  - lockcfg.lockcfg.collector
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
author:
  - The lockcfg maintainers (@lockcfg)
"""

EXAMPLES = r"""
- name: Make the plan of a probe
  lockcfg.lockcfg.probe:
    round: plan
  run_once: true
  register: probe_plan

- name: Have every host take its locks
  lockcfg.lockcfg.probe:
    round: hold
    plan: "{{ probe_plan.plan }}"
  register: probe_held

- name: All of it, and the verdict
  ansible.builtin.include_role:
    name: lockcfg.lockcfg.probe
  vars:
    probe_dest: snapshots
"""

RETURN = r"""
plan:
  description: The plan, or the plan with the questions.
  returned: in the rounds V(plan) and V(questions)
  type: dict
silent:
  description: The hosts of the plan that did not answer.
  returned: in the round V(questions)
  type: list
  elements: str
held:
  description: What the host answers in the first round. It is a secret until the probe ends.
  returned: in the round V(hold)
  type: str
snapshot:
  description: The snapshot with what was seen, compressed with gzip and in base64.
  returned: in the round V(ask), if I(dest) is not given
  type: str
dest:
  description: The file on the controller.
  returned: in the round V(ask), if I(dest) is given
  type: str
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lockcfg.lockcfg.plugins.module_utils.running import collector, packed


def main():
    """Do one round on this host."""
    module = AnsibleModule(
        argument_spec=dict(
            round=dict(
                type="str", required=True, choices=["plan", "hold", "questions", "ask", "end"]
            ),
            hosts=dict(type="list", elements="str"),
            directories=dict(type="list", elements="str", default=[]),
            seconds=dict(type="int", default=300),
            plan=dict(type="dict"),
            held=dict(type="dict"),
            name=dict(type="str"),
            dest=dict(type="path"),
            collector=dict(type="str", no_log=True),
        ),
        supports_check_mode=True,
    )
    step = module.params["round"]
    if step not in ("hold", "ask", "end"):
        module.fail_json(msg="the round '{0}' is one of the controller".format(step))
    if module.check_mode:
        module.exit_json(changed=False, skipped=True, msg="a probe makes scratch files")
    if not module.params["plan"] or not module.params["name"]:
        module.fail_json(
            msg="the round '{0}' needs the plan, and the name of the host".format(step)
        )
    plan = json.dumps(module.params["plan"])
    options = ["--name", module.params["name"], "--probe-{0}".format(step), plan]
    said = collector(module, *options)
    if step == "hold":
        module.exit_json(changed=False, held=said.decode("ascii"))
    if step == "ask":
        module.exit_json(changed=False, snapshot=packed(said))
    module.exit_json(changed=False)


if __name__ == "__main__":
    main()
