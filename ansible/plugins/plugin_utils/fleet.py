"""What the action plugins 'audit' and 'plan' have in common."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from collections.abc import Mapping

from ansible.errors import AnsibleActionFail
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.thinking import said


def options(args, known):
    """The options of a task as lockcfg takes them. What is unknown is refused, as with modules."""
    unknown = sorted(set(args) - {"paths", "policy", "max_age_hours", "now"} - set(known))
    if unknown:
        raise AnsibleActionFail("unsupported parameters: {0}".format(", ".join(unknown)))
    paths = args.get("paths")
    if isinstance(paths, str):
        paths = [paths]
    if not isinstance(paths, list) or not paths:
        raise AnsibleActionFail("paths: a list of paths is required")
    policy = args.get("policy")
    if policy is not None and not isinstance(policy, (str, Mapping)):
        raise AnsibleActionFail("policy: neither the path of a policy nor what is in one")
    try:
        age = None if args.get("max_age_hours") is None else float(args["max_age_hours"])
        now = None if args.get("now") is None else int(args["now"])
    except (TypeError, ValueError) as error:
        raise AnsibleActionFail("max_age_hours, now: not a number: {0}".format(error)) from error
    if (age is not None and not 0 <= age < 1e9) or (now is not None and not 0 <= now < 2**40):
        raise AnsibleActionFail("max_age_hours, now: not a number of hours, or of seconds")
    return {
        "paths": [str(path) for path in paths],
        "policy": plain(policy),
        "max_age_hours": age,
        "now": now,
    }


def plain(value):
    """A value of a task without what Ansible puts around strings."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, str):
        return str(value)
    return value


def asked_of(function, package, found):
    """What lockcfg says of the fleet."""
    try:
        return function(found.pop("paths"), **found)
    except package.LockcfgError as error:
        raise AnsibleActionFail(said(error)) from error
