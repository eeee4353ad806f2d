"""Tell which locks are held: the host runs the collector of the lockcfg that is installed here."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.plugins.action import ActionBase
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.thinking import run_collector


class ActionModule(ActionBase):
    """See the documentation of the module."""

    def run(self, tmp=None, task_vars=None):
        """Have the host look."""
        super().run(tmp, task_vars)
        return run_collector(self, self._task.args, task_vars)
