"""Whether a run leaves out a part of its playbook or of its hosts."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
name: whole
author: The lockcfg maintainers (@lockcfg)
version_added: "0.1.0"
short_description: Fail if a run leaves out a part of its playbook or of its hosts
description:
  - Fails if the command line has C(--tags), C(--skip-tags), C(--start-at-task), C(--step) or C(--limit).
    Such a run can change hosts while others are not held, and end well without the proof.
  - The playbooks of this collection ask it in C(hosts), and the role P(lockcfg.lockcfg.rollout#role) in
    C(when), because a task that asked it could itself be left out.
  - It does not fail if the command line only lists hosts, tasks or tags.
options:
  limit:
    description: Whether C(--limit) is right, because the run changes nothing.
    type: bool
    default: false
  tags:
    description: Whether C(--tags) and C(--skip-tags) are right, because all tasks have the same tags.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Change all hosts or none
  ansible.builtin.import_tasks: change.yml
  when: lookup('lockcfg.lockcfg.whole')
"""

RETURN = r"""
_raw:
  description: True.
  type: list
  elements: bool
"""

from ansible import context
from ansible.errors import AnsibleLookupError
from ansible.plugins.lookup import LookupBase

#: What the command line says if it only lists or checks what there is.
LISTS = ("listhosts", "listtasks", "listtags", "syntax")


class LookupModule(LookupBase):
    """See the documentation above."""

    def run(self, terms, variables=None, **kwargs):
        """Look at the command line."""
        self.set_options(var_options=variables, direct=kwargs)
        if terms:
            raise AnsibleLookupError("whole: it takes options, and no terms")
        # A program that is not of Ansible has none of this.
        given = context.CLIARGS
        if any(given.get(each) for each in LISTS):
            return [True]
        some = not self.get_option("tags")
        parts = [
            option
            for option, is_given in (
                ("--tags", some and list(given.get("tags") or ["all"]) != ["all"]),
                ("--skip-tags", some and given.get("skip_tags")),
                ("--start-at-task", given.get("start_at_task")),
                ("--step", given.get("step")),
            )
            if is_given
        ]
        if parts:
            raise AnsibleLookupError(
                "A part of the playbook proves nothing, and can leave hosts that do not exclude each"
                " other: run it without {0}. Nothing was done.".format(" and ".join(parts))
            )
        if given.get("subset") and not self.get_option("limit"):
            raise AnsibleLookupError(
                "A part of the hosts cannot be changed while the others are neither held nor looked"
                " at: run it without --limit. A playbook of lockcfg takes its hosts from --extra-vars"
                " lockcfg_hosts=..., the first ones to change from the playbook canary. Nothing was"
                " done."
            )
        return [True]
