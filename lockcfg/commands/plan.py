"""``lockcfg plan``: the safe order of changes from here to the policy."""

from __future__ import annotations

from lockcfg.commands.arguments import output_of
from lockcfg.commands.audit import (
    add_output,
    add_policy,
    check_found,
    check_paths,
    ingested,
    max_age_of,
    now_of,
    policy_of,
)
from lockcfg.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

DESCRIPTION = """\
Read snapshots of hosts, as 'lockcfg audit' does, and a policy, and print what to change on which
hosts and in which order: what every host needs before anything takes effect, when no guest may be
started because hosts of the old and of the new kind do not exclude each other, what to restart, and
which guests keep their old locks; each with the commands for it. It changes nothing. What the audit
finds and the plan has no step for is listed at the end.

A group with a host of which nothing is known has no plan: look at that host first.

The exit status is 0 if there is nothing to do, 1 if there are steps, or if too little is known of
some hosts.
"""
EXAMPLES = (
    ("lockcfg plan --policy fleet.yaml snapshots", "what to do, step by step"),
    ("lockcfg plan --policy fleet.yaml --format json snapshots", "for a program that does it"),
)


FORMATS = ("text", "json", "html")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("paths", nargs="+", metavar="PATH", help="where the snapshots are")
    add_policy(parser.add_argument_group("the policy and the time"))
    add_output(parser, FORMATS)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    from lockcfg.fleet.audit import read_fleet
    from lockcfg.fleet.forecast import plan_of
    from lockcfg.report.audit.plan import LeftOut, write_json, write_text

    if arguments.policy is None:
        raise UsageError(
            "--policy is required: it defines what the plan is to reach",
            help="'lockcfg audit --write-policy fleet.yaml' makes a first one",
        )
    check_paths(arguments)
    policy = policy_of(arguments)
    with ingested(arguments) as store:
        fleet = read_fleet(
            store, now=now_of(arguments), policy=policy, max_age=max_age_of(arguments)
        )
        check_found(fleet, arguments)
        plan = plan_of(fleet, store)
    left_out = LeftOut(fleet.missing, sorted({*fleet.old, *fleet.ahead}), fleet.problems)
    with output_of(arguments) as stream:
        if arguments.format == "html":
            from lockcfg.report.audit.plan_page import write_page

            write_page(plan, left_out, stream, now=fleet.now)
        else:
            (write_json if arguments.format == "json" else write_text)(plan, left_out, stream)
    return int(bool(plan.steps) or left_out.any or plan.is_short)
