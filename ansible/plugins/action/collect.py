"""Collect a snapshot: the host runs the collector of the lockcfg that is installed here."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import time

from ansible.plugins.action import ActionBase
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.thinking import (
    forget,
    host_name,
    kept,
    lockcfg,
    run_collector,
    said,
    unpacked,
    warn,
)


#: How many seconds the clock of a host may differ from the one here: as much as the audit allows.
CLOCK = 300


class ActionModule(ActionBase):
    """See the documentation of the module."""

    def run(self, tmp=None, task_vars=None):
        """Have the host collect, and keep what it sends."""
        super().run(tmp, task_vars)
        package = lockcfg()
        name = host_name(self._task.args, task_vars)
        dest = self._task.args.get("dest")
        if dest and not self._task.check_mode:
            forget(dest, name)
        args = {key: value for key, value in self._task.args.items() if key != "dest"}
        result = run_collector(self, dict(args, name=name), task_vars)
        if result.get("failed") or "snapshot" not in result:
            return result
        snapshot = unpacked(result["snapshot"])
        try:
            facts = package.summary_of(snapshot)
        except package.LockcfgError as error:
            return dict(
                result, failed=True, msg="the snapshot of {0} {1}".format(name, said(error))
            )
        off = facts["taken"] - int(time.time())
        if abs(off) > CLOCK:
            where = "ahead of" if off > 0 else "behind"
            warn(
                self,
                result,
                "the clock of {0} is {1} seconds {2} the one here: set it, for facts are judged by"
                " their age".format(name, abs(off), where),
            )
        result["name"] = name
        result["ansible_facts"] = {"lockcfg": facts}
        if dest and not self._task.check_mode:
            return kept(result, dest, name)
        if dest or self._task.args.get("path"):
            del result["snapshot"]
        return result
