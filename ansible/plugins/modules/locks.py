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
  - lockd is asked, and tells the guests and their disks too. Of virtlockd the kernel tells which
    files it has locked.
  - What cannot be found out is said, and never looks as if no lock were held. The module fails if
    it cannot tell.
options:
  held:
    description:
      - Files or disks that must be locked. The module fails if one is not.
    type: list
    elements: path
    default: []
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
pids:
  description: Its processes.
  returned: success
  type: list
  elements: int
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
  description: The locks that are in danger, as of a file that was replaced meanwhile.
  returned: success
  type: list
  elements: dict
"""

import hashlib
import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lockcfg.lockcfg.plugins.module_utils.running import collector


def main():
    """Ask which locks are held, and whether those are that must be."""
    module = AnsibleModule(
        argument_spec=dict(
            held=dict(type="list", elements="path", default=[]),
            collector=dict(type="str", no_log=True),
        ),
        supports_check_mode=True,
    )
    daemons = json.loads(collector(module, "--locks").decode("ascii"))["daemons"]
    for daemon in daemons:
        if "locks" not in daemon:
            module.fail_json(
                msg="{0} (process {1}): {2}".format(daemon["name"], daemon["pid"], daemon["error"])
            )
    names = sorted({each["name"] for each in daemons})
    if len(names) > 1:
        module.fail_json(msg="more than one lock daemon runs here: {0}".format(", ".join(names)))
    # lockd is several processes, and each of them knows what it holds.
    held = {each["path"]: each for daemon in daemons for each in daemon["locks"]}
    locks = [
        dict(
            path=each["path"],
            mode=each["mode"],
            disk=each.get("disk", ""),
            guests=each.get("guests", []),
        )
        for _path, each in sorted(held.items())
    ]
    problems = [
        dict(path=each["path"], problem=each.get("problem") or "another file is there now")
        for _path, each in sorted(held.items())
        if each.get("problem") or each["replaced"]
    ]
    found = dict(
        daemon=names[0] if names else None,
        pids=sorted(each["pid"] for each in daemons),
        locks=locks,
        problems=problems,
    )
    without = [path for path in module.params["held"] if not is_held(path, locks)]
    if without:
        module.fail_json(msg="not locked: {0}".format(", ".join(without)), **found)
    module.exit_json(changed=False, **found)


def is_held(path, locks):
    """Whether a file, or the lock of a disk by its name, is among those that are held."""
    names = set([path, os.path.realpath(path)])
    digests = {hashlib.sha256(os.fsencode(each)).hexdigest() for each in [path]}
    return any(
        lock["path"] in names or lock["disk"] in names or os.path.basename(lock["path"]) in digests
        for lock in locks
    )


if __name__ == "__main__":
    main()
