"""Lists the hosts of a policy by their groups, for a program that connects to them."""

from __future__ import annotations

from lockcfg.fleet.policy.host_ranges import natural
from lockcfg.fleet.policy.policy import load_policy


def hosts_of_policy(path: str) -> dict[str, tuple[list[str], list[str]]]:
    """The groups of the policy at ``path``, each with its hosts, sorted, and with its globs, whose
    hosts cannot be listed. A host is in the first group that names it, as in an audit. Raises
    :class:`ReadError` and :class:`UsageError`."""
    policy = load_policy(path)
    found: dict[str, tuple[list[str], list[str]]] = {}
    for group in policy.groups:
        mine = [host for host in group.hosts.named if policy.group_of(host) is group]
        found[group.name] = (sorted(mine, key=natural), list(group.hosts.globs))
    return found
