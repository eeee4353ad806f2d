"""A policy from the groups of an inventory."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from collections.abc import Mapping

from ansible.errors import AnsibleFilterError
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.fleet import plain

#: The groups that every inventory has, and that say nothing of who shares storage.
OF_ANSIBLE = ("all", "ungrouped")


def fleet_policy(groups, only=None, policy=None):
    """See the documentation of the filter."""
    if not isinstance(groups, Mapping):
        raise AnsibleFilterError("fleet_policy: the input is no mapping of groups and hosts")
    groups = plain(groups)
    if only is None:
        only = sorted(name for name in groups if name not in OF_ANSIBLE)
    unknown = sorted(set(only) - set(groups))
    if unknown:
        raise AnsibleFilterError(
            "fleet_policy: the inventory has no group {0}".format(", ".join(unknown))
        )
    found = plain(policy or {})
    said = found.get("groups") or {}
    others = sorted(set(said) - set(only))
    if others:
        raise AnsibleFilterError(
            "fleet_policy: the policy has groups that the inventory has not: {0}".format(
                ", ".join(others)
            )
        )
    found["groups"] = {}
    taken = set()
    for name in only:
        hosts = [host for host in groups[name] if host not in taken]
        taken.update(hosts)
        if hosts:
            found["groups"][str(name)] = dict(said.get(name) or {}, hosts=hosts)
        elif name in said:
            raise AnsibleFilterError(
                "fleet_policy: the policy says what must hold in the group {0}, and the inventory"
                " has no host in it that is in no other".format(name)
            )
    return found


class FilterModule(object):
    """The filters of this file."""

    def filters(self):
        """The filters by name."""
        return {"fleet_policy": fleet_policy}
