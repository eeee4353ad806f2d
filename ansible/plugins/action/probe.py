"""A round of a probe: those of the hosts are done there, the others by lockcfg here."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.fleet import plain
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.thinking import (
    host_name,
    kept,
    lockcfg,
    run_collector,
    said,
)

#: How long hosts hold the locks of a probe at most, in seconds.
LONGEST = 3600

#: The strategies with which all hosts do a task before one of them does the next.
TOGETHER = ("linear", "debug")


class ActionModule(ActionBase):
    """See the documentation of the module."""

    def run(self, tmp=None, task_vars=None):
        """Do the round."""
        super().run(tmp, task_vars)
        package = lockcfg()
        step = self._task.args.get("round")
        try:
            if step == "plan":
                return self._plan(package, task_vars)
            if step == "questions":
                return self._questions(package)
        except package.LockcfgError as error:
            raise AnsibleActionFail(said(error)) from error
        name = host_name(self._task.args, task_vars)
        args = {key: value for key, value in self._task.args.items() if key != "dest"}
        result = run_collector(self, dict(args, name=name), task_vars)
        dest = self._task.args.get("dest")
        return kept(result, dest, name) if dest and "snapshot" in result else result

    def _plan(self, package, task_vars):
        hosts = self._task.args.get("hosts")
        if not hosts:
            self._see_that_all_take_part(task_vars)
            hosts = task_vars["ansible_play_hosts_all"]
        given = self._task.args.get("seconds")
        try:
            seconds = 300 if given is None else int(given)
        except (TypeError, ValueError):
            raise AnsibleActionFail("seconds: not a number") from None
        if not 0 < seconds <= LONGEST:
            raise AnsibleActionFail("seconds: not a number from 1 to {0}".format(LONGEST))
        directories = self._task.args.get("directories") or []
        if not isinstance(hosts, (list, tuple)) or not isinstance(directories, (list, tuple)):
            raise AnsibleActionFail("hosts, directories: each is a list")
        plan = package.new_plan(plain(sorted(hosts)), plain(directories), seconds)
        return {"changed": False, "plan": plan}

    def _see_that_all_take_part(self, task_vars):
        """Fail if the hosts do not make each round together: one would ask before another holds."""
        play = self._task.play
        strategy = str(play.strategy).rpartition(".")[2]
        if strategy not in TOGETHER:
            raise AnsibleActionFail(
                "the play has the strategy '{0}', with which hosts do not wait for each other:"
                " take 'linear'. Nothing was done".format(strategy)
            )
        left_out = set(task_vars["ansible_play_hosts_all"]) - set(task_vars["ansible_play_batch"])
        if left_out and play.serial not in ([], ["100%"]):
            raise AnsibleActionFail(
                "the play has 'serial', so these hosts do not take part: {0}. Leave 'serial' out."
                " Nothing was done".format(", ".join(sorted(left_out)))
            )

    def _questions(self, package):
        plan = plain(self._task.args.get("plan"))
        held = plain(self._task.args.get("held"))
        if not isinstance(plan, dict) or not isinstance(held, dict):
            raise AnsibleActionFail("the round 'questions' needs the plan, and what hosts hold")
        answers = [(host, text.encode()) for host, text in sorted(held.items())]
        questions, silent = package.questions_of(plan, answers)
        return {"changed": False, "plan": questions, "silent": silent}
