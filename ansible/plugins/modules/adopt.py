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
  - A second run changes nothing. The module fails if a guest that is not paused does not have all
    its locks then, for two guests may be writing one disk.
  - A paused guest writes nothing, and libvirt takes its locks when it resumes. The module names it in
    a warning. For a guest that libvirt is just starting, it waits.
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
  wait:
    description:
      - How long to wait for guests that libvirt is just starting, in seconds. A guest whose start
        takes longer counts as paused. If it is not given, lockd waits for 30 seconds.
    type: int
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
paused:
  description: Those of them that have no lock now, for the guest is paused.
  returned: when lockd answered
  type: list
  elements: dict
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lockcfg.lockcfg.plugins.module_utils.running import program

#: What becomes of a disk that has no lock and should have one.
WITHOUT = ("refused", "unknown")


def main():
    """Have lockd take the locks."""
    module = AnsibleModule(
        argument_spec=dict(
            guests=dict(type="list", elements="str"),
            lockd=dict(type="path"),
            socket=dict(type="path"),
            wait=dict(type="int"),
        ),
        supports_check_mode=True,
    )
    path = program(module, "lockd", module.params["lockd"])
    if path is None:
        module.fail_json(msg="lockd is not installed here, and virtlockd cannot do it")
    command = [path, "adopt", "--json"]
    if module.params["wait"] is not None:
        if not 0 <= module.params["wait"] <= 3600:
            module.fail_json(msg="wait: it is a number of seconds from 0 to 3600")
        command += ["--wait", str(module.params["wait"])]
    if module.check_mode:
        command.append("--dry-run")
    if module.params["socket"]:
        command += ["--socket", module.params["socket"]]
    guests = module.params["guests"]
    if guests is None:
        command.append("--all")
    elif not guests:
        module.exit_json(changed=False, disks=[], without=[], paused=[])
    else:
        if any(guest.startswith("-") for guest in guests):
            module.fail_json(msg="guests: no guest's name begins with '-'")
        command += guests
    status, output, error = module.run_command(command)
    try:
        disks = json.loads(output)
    except ValueError:
        disks = None
    if status not in (0, 1) or disks is None:
        said = error.strip().splitlines() or ["no reason was given"]
        module.fail_json(msg="lockd adopt: {0}".format(said[-1]), rc=status)
    without = [each for each in disks if each["outcome"] in WITHOUT]
    found = dict(
        changed=any(each["outcome"] in ("taken", "would") for each in disks),
        disks=disks,
        without=without,
        paused=[each for each in disks if each["outcome"] == "paused"],
    )
    for guest, reason in sorted({(each["guest"], each["reason"]) for each in found["paused"]}):
        module.warn("{0} is paused and holds no lock: {1}".format(guest, reason))
    if status or without:
        told = ["{guest}: {disk}: {outcome} {reason}".format(**each) for each in without]
        module.fail_json(
            msg="not all locks are held: {0}".format("; ".join(told) or error.strip()), **found
        )
    module.exit_json(**found)


if __name__ == "__main__":
    main()
