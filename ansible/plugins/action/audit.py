"""Audit snapshots on the controller."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.fleet import asked_of, options
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.thinking import lockcfg

SEVERITIES = ("error", "warning", "info")


class ActionModule(ActionBase):
    """See the documentation of the module."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Ask lockcfg, and fail if something is as bad as the task says."""
        super().run(tmp, task_vars)
        package = lockcfg()
        level = self._task.args.get("fail_level") or "never"
        if level not in (*SEVERITIES, "never"):
            raise AnsibleActionFail("fail_level: '{0}' is none of its choices".format(level))
        found = options(self._task.args, ["fail_level"])
        audit = asked_of(package.audit_data, package, found)
        verdict = audit["verdict"]
        result = {
            "changed": False,
            "audit": audit,
            "level": verdict["level"],
            "text": verdict["text"],
            "missing": audit["missing"],
        }
        serious = SEVERITIES[: SEVERITIES.index(level) + 1] if level != "never" else ()
        bad = [
            each for each in audit["findings"] if not each["waived"] and each["severity"] in serious
        ]
        if bad:
            result["failed"] = True
            told = ["{0}: {1}".format(each["code"], each["message"]) for each in bad[:5]]
            more = "; and {0} more".format(len(bad) - 5) if len(bad) > 5 else ""
            result["msg"] = "{0} {1}{2}".format(verdict["text"], "; ".join(told), more)
        return result
