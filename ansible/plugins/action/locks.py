"""Tell which locks are held: the host runs the collector of the lockcfg that is installed here."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.plugins.action import ActionBase
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.thinking import (
    lockcfg,
    packed,
    without_internals,
)


class ActionModule(ActionBase):
    """See the documentation of the module."""

    def run(self, tmp=None, task_vars=None):
        """Have the host look."""
        super().run(tmp, task_vars)
        args = dict(self._task.args, collector=packed(lockcfg().collector_program()))
        return without_internals(self._execute_module(module_args=args, task_vars=task_vars))
