"""Make the plan of a fleet on the controller."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.fleet import asked_of, options
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.thinking import lockcfg


class ActionModule(ActionBase):
    """See the documentation of the module."""

    _requires_connection = False

    def run(self, tmp=None, task_vars=None):
        """Ask lockcfg."""
        super().run(tmp, task_vars)
        package = lockcfg()
        found = options(self._task.args, [])
        if found["policy"] is None:
            raise AnsibleActionFail("policy: it is required, for it says what the plan is to reach")
        plan = asked_of(package.plan_data, package, found)
        serious = any(each["severity"] != "info" for each in plan["uncovered"])
        left_out = plan["missing"] or plan["old"] or plan["unreadable"]
        return {
            "changed": False,
            "plan": plan,
            "steps": plan["steps"],
            "todo": bool(plan["steps"] or left_out or serious),
        }
