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
    description:
      - How many clients may wait to be let in. C(virtlockd.conf) has no setting for it.
      - It is never more than I(max_clients). To make that smaller, give both.
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
  description: The limits, and how many clients there are.
  returned: success
  type: dict
  sample: {max_clients: 1024, clients: 12}
after:
  description: The same, when it is done. In check mode, as it would be.
  returned: success
  type: dict
  sample: {max_clients: 4096, clients: 12}
"""

import re

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.lockcfg.lockcfg.plugins.module_utils.running import program

#: What virt-admin calls the limits: in its answer, and as an option.
LIMITS = {
    "max_clients": ("nclients_max", "--max-clients"),
    "max_anonymous_clients": ("nclients_unauth_max", "--max-unauth-clients"),
}


def main():
    """Change what is not as it was asked for, and look whether it is then."""
    module = AnsibleModule(
        argument_spec=dict(
            server=dict(type="str", choices=["virtlockd", "admin"], default="virtlockd"),
            uri=dict(type="str", default="virtlockd:///system"),
            max_clients=dict(type="int"),
            max_anonymous_clients=dict(type="int"),
        ),
        supports_check_mode=True,
    )
    asked = {limit: module.params[limit] for limit in LIMITS if module.params[limit] is not None}
    for limit, value in sorted(asked.items()):
        if not 0 < value < 2**32:
            module.fail_json(
                msg="{0}: {1} is not a number from 1 to 4294967295".format(limit, value)
            )
    before = answer(module)
    wanted = {limit: value for limit, value in asked.items() if before[limit] != value}
    if not wanted or module.check_mode:
        after = dict(before, **wanted)
        module.exit_json(changed=bool(wanted), before=before, after=after)
    options = []
    for limit, value in sorted(wanted.items()):
        options += [LIMITS[limit][1], str(value)]
    ask(module, "srv-clients-set", *options)
    after = answer(module)
    others = sorted(limit for limit, value in asked.items() if after[limit] != value)
    if others:
        module.fail_json(
            msg="the daemon does not have what it was told: {0}".format(", ".join(others)),
            changed=after != before,
            before=before,
            after=after,
        )
    module.exit_json(changed=True, before=before, after=after)


def answer(module):
    """What the daemon allows, and how many clients it has."""
    text = ask(module, "srv-clients-info")
    numbers = dict(re.findall(r"^(\w+)\s*:\s*([0-9]+)\s*$", text, re.MULTILINE))
    words = {limit: word for limit, (word, _option) in LIMITS.items()}
    found = {}
    for name, word in dict(words, clients="nclients").items():
        if word not in numbers:
            module.fail_json(msg="virt-admin does not tell {0}: {1}".format(word, text.strip()))
        found[name] = int(numbers[word])
    return found


def ask(module, command, *options):
    """What virt-admin says."""
    path = program(module, "virt-admin")
    if path is None:
        module.fail_json(msg="virt-admin is not installed: it is in the package libvirt-clients")
    words = [path, "-c", module.params["uri"], command, module.params["server"]]
    status, output, error = module.run_command(
        words + list(options), environ_update={"LC_ALL": "C", "LANG": "C"}
    )
    if status:
        said = error.strip().splitlines() or ["no reason was given"]
        module.fail_json(msg="virt-admin {0}: {1}".format(command, said[-1]), rc=status)
    return output


if __name__ == "__main__":
    main()
