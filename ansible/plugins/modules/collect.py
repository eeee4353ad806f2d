#!/usr/bin/python
"""Collect a snapshot of a host."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: collect
short_description: Collect a snapshot of what decides the disk locking of a host
version_added: "0.1.0"
description:
  - Runs the collector of lockcfg on the host. A snapshot holds libvirt's files without their
    passwords, the mounts that hold locks and disks, what a scratch lock there did, the daemons, and
    the guests with their disks.
  - The snapshot is for M(lockcfg.lockcfg.audit) and M(lockcfg.lockcfg.plan), or for the commands
    C(lockcfg audit) and C(lockcfg plan).
  - The host needs Python 3.6 and nothing else. Without root some facts stay unknown, and the
    snapshot says which.
options:
  dest:
    description:
      - A directory on the controller. The snapshot is written there as C(NAME.json.gz).
      - The directory is made if it is not there.
      - The snapshot that was there before is removed first, so a host that does not answer has none.
    type: path
  path:
    description:
      - A file on the host. The host itself writes the snapshot there, for another tool to take.
      - The file is compressed if its name ends in C(.gz), C(.xz) or C(.bz2).
    type: path
  name:
    description:
      - The name of the host in the snapshot, and in the policy.
      - If it is not given, it is the name of the host in the inventory.
    type: str
  root:
    description:
      - The root directory of the host. If it is not C(/), the host does not run there, and only its
        files are read.
    type: path
    default: /
  etc:
    description: The directory of libvirt's files.
    type: path
    default: /etc/libvirt
  run:
    description: The directory of libvirt's state.
    type: path
    default: /run/libvirt
  scratch:
    description:
      - Whether the collector takes a scratch lock in each directory that holds locks or disks. It
        removes the file at once.
      - In check mode it never does.
    type: bool
    default: true
extends_documentation_fragment:
  - lockcfg.lockcfg.controller
  - lockcfg.lockcfg.collector
attributes:
  check_mode:
    support: full
    description: In check mode the host is only looked at, and no file is written.
  diff_mode:
    support: none
    description: There is nothing to compare.
  facts:
    support: full
    description: Returns C(ansible_facts).
author:
  - The lockcfg maintainers (@lockcfg)
"""

EXAMPLES = r"""
- name: Collect a snapshot of each host into a directory of the controller
  lockcfg.lockcfg.collect:
    dest: snapshots

- name: Have each host leave its snapshot in a spool
  lockcfg.lockcfg.collect:
    path: "/srv/spool/{{ inventory_hostname }}.json.gz"

- name: Only look, and take no scratch lock
  lockcfg.lockcfg.collect:
    dest: snapshots
    scratch: false
"""

RETURN = r"""
name:
  description: The name of the host in the snapshot.
  returned: success
  type: str
  sample: kvm01
snapshot:
  description: The snapshot, compressed with gzip and in base64, unless it went to I(dest) or I(path).
  returned: when neither I(dest) nor I(path) is given
  type: str
size:
  description: How many bytes the compressed snapshot has.
  returned: success
  type: int
  sample: 2412
dest:
  description: The file on the controller.
  returned: when I(dest) is given, and not in check mode
  type: str
  sample: snapshots/kvm01.json.gz
path:
  description: The file on the host.
  returned: when I(path) is given, and not in check mode
  type: str
  sample: /srv/spool/kvm01.json.gz
ansible_facts:
  description: What the snapshot says in short.
  returned: success
  type: dict
  contains:
    lockcfg:
      description: The facts about the disk locking of the host.
      type: dict
      contains:
        name:
          description: The name of the host in the snapshot.
          type: str
        driver:
          description: What the guests of the host are, V(qemu) or V(libxl), which is Xen.
          type: str
        lock_manager:
          description: The lock manager that the configuration names, V(unknown) if it cannot be read.
          type: str
        guests:
          description: The names of the guests that run, or null if that is unknown.
          type: list
          elements: str
        daemons:
          description: The daemons of libvirt and of locks that run, or null if that is unknown.
          type: list
          elements: str
        incomplete:
          description: What the collector could not find out, and why.
          type: list
          elements: str
"""

import importlib
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lockcfg.lockcfg.plugins.module_utils.running import collector, packed

#: What reads a snapshot again, by the end of its name. A Python may have been built without them.
COMPRESSIONS = {".gz": "gzip", ".xz": "lzma", ".bz2": "bz2"}


def main():
    """Run the collector, and return what it says or have it write that."""
    module = AnsibleModule(
        argument_spec=dict(
            dest=dict(type="path"),
            path=dict(type="path"),
            name=dict(type="str"),
            root=dict(type="path", default="/"),
            etc=dict(type="path", default="/etc/libvirt"),
            run=dict(type="path", default="/run/libvirt"),
            scratch=dict(type="bool", default=True),
            collector=dict(type="str", no_log=True),
        ),
        supports_check_mode=True,
    )
    told = module.params
    options = ["--root", told["root"], "--etc", told["etc"], "--run", told["run"]]
    if told["name"]:
        options += ["--name", told["name"]]
    if module.check_mode or not told["scratch"]:
        options.append("--no-probe")
    path = None if module.check_mode else told["path"]
    if path:
        collector(module, "--output", path, *options)
        snapshot = read(module, path)
    else:
        snapshot = collector(module, *options)
    sent = packed(snapshot)
    found = dict(changed=False, snapshot=sent, size=len(sent) * 3 // 4 - sent.count("="))
    if path:
        found["path"] = path
    module.exit_json(**found)


def read(module, path):
    """The snapshot that the collector has written."""
    try:
        with open(path, "rb") as stream:
            data = stream.read()
        compression = COMPRESSIONS.get(os.path.splitext(path)[1])
        return importlib.import_module(compression).decompress(data) if compression else data
    # What is no LZMA is an error of its own class, which only lzma has.
    except Exception as error:  # noqa: BLE001
        return module.fail_json(msg="{0}: cannot be read again: {1}".format(path, error))


if __name__ == "__main__":
    main()
