"""The hosts and groups of a policy of lockcfg."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
name: fleet
author: The lockcfg maintainers (@lockcfg)
version_added: "0.1.0"
short_description: The hosts and groups of a policy of lockcfg
description:
  - Reads C(fleet.yaml), the policy of lockcfg, itself or by a file that names it. The groups of the
    policy are groups of the inventory, and the hosts that it names are their hosts.
  - A host is in the first group that names it, as in an audit.
  - A glob such as C(kvm*) names no host. The plugin warns of each, for these hosts are not in the
    inventory.
  - A name that is a name of a group and not a valid one for Ansible is changed as Ansible says,
    and the variable C(lockcfg_group) of the hosts keeps it.
options:
  plugin:
    description: The name of this plugin, in a file that names the policy.
    type: str
    required: true
    choices: [lockcfg.lockcfg.fleet]
  policy:
    description: The path of the policy. A relative one counts from the file that names it.
    type: path
    required: true
requirements:
  - lockcfg, on the controller, in the Python that runs Ansible
"""

EXAMPLES = r"""
# ansible-inventory -i fleet.yaml --graph, or in a file called kvm.lockcfg.yml:
plugin: lockcfg.lockcfg.fleet
policy: fleet.yaml
"""

import os

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.thinking import lockcfg, said


class InventoryModule(BaseInventoryPlugin):
    """See the documentation above."""

    NAME = "lockcfg.lockcfg.fleet"

    def verify_file(self, path):
        """Whether the file is a policy, or may name one, by its name."""
        name = os.path.basename(path)
        return super().verify_file(path) and (
            name in ("fleet.yaml", "fleet.yml") or name.endswith((".lockcfg.yaml", ".lockcfg.yml"))
        )

    def parse(self, inventory, loader, path, cache=True):
        """Put the hosts of the policy into the inventory."""
        super().parse(inventory, loader, path, cache)
        policy = path
        if os.path.basename(path) not in ("fleet.yaml", "fleet.yml"):
            self._read_config_data(path)
            policy = os.path.join(os.path.dirname(path), self.get_option("policy"))
        package = lockcfg()
        try:
            groups = package.hosts_of_policy(policy)
        except package.LockcfgError as error:
            raise AnsibleParserError(said(error)) from error
        for name, (hosts, globs) in groups.items():
            group = self.inventory.add_group(self._sanitize_group_name(name))
            for host in hosts:
                self.inventory.add_host(host, group=group)
                self.inventory.set_variable(host, "lockcfg_group", name)
            for glob in globs:
                self.display.warning(
                    "{0}: the hosts of '{1}' in the group {2} are not in the inventory: a glob"
                    " names none".format(policy, glob, name)
                )
