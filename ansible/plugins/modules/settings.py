#!/usr/bin/python
"""Change the settings of a host's disk locking."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: settings
short_description: Change the settings of a host's disk locking, in all files or in none
version_added: "0.1.0"
description:
  - Sets and unsets settings of C(qemu.conf), C(qemu-lockd.conf), C(virtlockd.conf) and the other
    files that lockcfg edits, each in the file it belongs in. It is what C(lockcfg set) and
    C(lockcfg unset) do, by the same code.
  - The module reads the files on the host. On the controller, lockcfg works out the new text, and
    refuses what libvirt does not start with and what protects nothing. The module then writes all
    files or none, and writes nothing if a file is no longer what it read.
  - Comments, order and spelling stay. A second run changes nothing.
  - It restarts nothing. It returns what must be restarted, and how no lock is lost.
options:
  settings:
    description:
      - The settings and their values. A list is a list.
      - A setting whose value is null is taken out of its file, so that libvirt's default holds.
    type: dict
    required: true
  file:
    description:
      - The file of all these settings, if it is not the one that each belongs in.
    type: str
    choices:
      - qemu.conf
      - qemu-lockd.conf
      - qemu-sanlock.conf
      - libxl.conf
      - libxl-lockd.conf
      - libxl-sanlock.conf
      - virtlockd.conf
  driver:
    description: The driver of libvirt whose guests it is about.
    type: str
    choices: [qemu, libxl]
    default: qemu
  root:
    description: The root directory of the host. If it is not C(/), the host does not run there.
    type: path
    default: /
  unprotected:
    description: Whether a host without protection is what is wanted, as C(lockcfg disable) makes it.
    type: bool
    default: false
  force:
    description: Whether to write what is refused otherwise.
    type: bool
    default: false
  backup:
    description: A suffix, such as C(.bak), under which each old file is kept.
    type: str
  request:
    description:
      - What the host is to read or to write, compressed and in base64.
      - The controller sets it, and there is no need to give it.
    type: str
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
- name: Have libvirt lock the disks of guests in a lockspace
  lockcfg.lockcfg.settings:
    settings:
      lock_manager: lockd
      file_lockspace_dir: /var/lib/libvirt/lockd/files
  register: changed

- name: Say what is left to do
  ansible.builtin.debug:
    msg: "{{ changed.advice }}"

- name: Let libvirt's default hold again
  lockcfg.lockcfg.settings:
    settings:
      require_lease_for_disks: null
"""

RETURN = r"""
files:
  description: The files that are changed.
  returned: success
  type: list
  elements: str
  sample: [/etc/libvirt/qemu-lockd.conf, /etc/libvirt/qemu.conf]
restart:
  description:
    - The services that read the changed files when they start. Of libvirtd and virtqemud restart the
      one that runs.
    - virtlockd is not among them. Its settings take effect without a restart, and with a restart the
      locks of running guests are lost.
  returned: success
  type: list
  elements: str
  sample: [libvirtd, virtqemud]
advice:
  description: What must be done for the changes to take effect, as sentences.
  returned: success
  type: list
  elements: str
findings:
  description: Warnings about the result, or why it is refused.
  returned: always
  type: list
  elements: dict
protection:
  description:
    - What the files protect. Where a lockspace is cannot be seen from the controller, so that is
      never said to be shared.
  returned: success
  type: dict
  sample: {level: unknown, summary: "..."}
"""

import base64
import glob
import json
import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lockcfg.lockcfg.plugins.module_utils import files
from ansible_collections.lockcfg.lockcfg.plugins.module_utils.running import packed, unpacked

FILES = (
    "qemu.conf",
    "qemu-lockd.conf",
    "qemu-sanlock.conf",
    "libxl.conf",
    "libxl-lockd.conf",
    "libxl-sanlock.conf",
    "virtlockd.conf",
)


def main():
    """Do what the controller asks: read files, or write them."""
    module = AnsibleModule(
        argument_spec=dict(
            settings=dict(type="dict", required=True),
            file=dict(type="str", choices=list(FILES)),
            driver=dict(type="str", choices=["qemu", "libxl"], default="qemu"),
            root=dict(type="path", default="/"),
            unprotected=dict(type="bool", default=False),
            force=dict(type="bool", default=False),
            backup=dict(type="str"),
            request=dict(type="str", no_log=True),
        ),
        supports_check_mode=True,
    )
    if not module.params["request"]:
        module.fail_json(
            msg="this module runs by its action plugin: call it by its full name,"
            " lockcfg.lockcfg.settings"
        )
    request = json.loads(unpacked(module.params["request"]).decode("utf-8"))
    root = module.params["root"]
    try:
        if "write" in request:
            if not module.check_mode:
                files.write(root, list(to_write(request["write"])), module.params["backup"])
            module.exit_json(changed=True)
        answer = dict(read=contents(root, request["read"]), present=present(root, request["look"]))
        directory = os.path.join(root, "etc/libvirt")
        answer["directory"] = os.path.isdir(directory)
        answer["writable"] = os.access(directory, os.W_OK)
        module.exit_json(changed=False, answer=packed(json.dumps(answer).encode("utf-8")))
    except files.FileError as error:
        module.fail_json(msg=str(error))


def contents(root, paths):
    """The files that are there, by path, in base64; why one cannot be read, in a list."""
    found = {}
    for path in paths:
        try:
            data = files.read(root, path)
        except files.FileError as error:
            found[path] = [str(error)]
            continue
        if data is not None:
            found[path] = base64.b64encode(data).decode("ascii")
    return found


def present(root, patterns):
    """The paths that match, each with what it is a link to."""
    found = {}
    top = root.rstrip("/")
    for pattern in patterns:
        for path in glob.glob(glob.escape(top) + pattern):
            target = os.readlink(path) if os.path.islink(path) else ""
            found[path.replace(top, "", 1) if top else path] = target
    return found


def to_write(asked):
    """The files as the writer takes them."""
    for each in asked:
        old = None if each["old"] is None else base64.b64decode(each["old"])
        yield each["path"], old, base64.b64decode(each["new"]), each["mode"]


if __name__ == "__main__":
    main()
