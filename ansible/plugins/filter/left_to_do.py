"""What a plan leaves to do, and what an audit finds, in lines for a person."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

#: The most hosts that a line names.
MOST = 20


def left_to_do(steps, actions, hosts):
    """See the documentation of the filter."""
    wanted = set(hosts)
    found = []
    for step in steps:
        named = [host for host in step["hosts"] if host in wanted]
        if step["action"] in actions and named:
            said = "; ".join(step["details"]) or step["text"]
            found.append("{0}: {1}: {2}".format(_shown(named), step["action"], said))
    return found


def merge_steps(steps):
    """See the documentation of the filter."""
    found = []
    for step in steps:
        last = found[-1] if found else None
        if last and (last["group"], last["action"]) == (step["group"], step["action"]):
            found[-1] = dict(
                last,
                hosts=last["hosts"] + [each for each in step["hosts"] if each not in last["hosts"]],
                details=last["details"] + step["details"],
                work=last["work"] + step["work"],
            )
        else:
            found.append(step)
    return found


def merge_undo(undo, works, hosts):
    """See the documentation of the filter."""
    found = {host: list(changes) for host, changes in undo.items()}
    for work in works:
        for host in work["hosts"]:
            if host not in hosts:
                continue
            mine = found.setdefault(host, [])
            known = [(each["file"], each["key"]) for each in mine]
            mine += [
                {"file": each["file"], "key": each["key"], "old": each["old"]}
                for each in work.get("changes", ())
                if (each["file"], each["key"]) not in known
            ]
    return found


def worth_stopping(findings, severities=("error", "warning")):
    """See the documentation of the filter."""
    return [
        "{0}: {1} [{2}]".format(_shown(each["hosts"]) or "fleet", each["message"], each["code"])
        for each in findings
        if each["severity"] in severities and not each.get("waived")
    ]


def _shown(hosts):
    more = len(hosts) - MOST
    return ", ".join(hosts[:MOST]) + (" and {0} more".format(more) if more > 0 else "")


class FilterModule(object):
    """The filters of this file."""

    def filters(self):
        """The filters by name."""
        return {
            "left_to_do": left_to_do,
            "merge_steps": merge_steps,
            "merge_undo": merge_undo,
            "worth_stopping": worth_stopping,
        }
