"""The plan of ``lockcfg plan``, for a person and as JSON."""

from __future__ import annotations

from itertools import groupby

from lockcfg.fleet.policy.host_ranges import fold, natural
from lockcfg.report import terminal
from lockcfg.report.audit.text import folded
from lockcfg.report.terminal import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from lockcfg.fleet.comparison.result import Problem
    from lockcfg.fleet.plan.plan import Step

#: How many lines of details are shown.
_MOST: Final = 20


class LeftOut:
    """What a plan cannot say: hosts of which there is no snapshot (``missing``) or none that tells
    what holds now (``old``), and snapshots that could not be read (``unreadable``)."""

    __slots__ = ("missing", "old", "unreadable")

    def __init__(
        self, missing: Sequence[str], old: Sequence[str], unreadable: Sequence[Problem]
    ) -> None:
        self.missing: Final = missing
        self.old: Final = old
        self.unreadable: Final = unreadable

    @property
    def any(self) -> bool:
        """Whether there is anything of that."""
        return bool(self.missing or self.old or self.unreadable)


def write_text(steps: Sequence[Step], left_out: LeftOut) -> None:
    """Numbered steps, group by group."""
    out = terminal.stdout()
    for group, of_group in groupby(steps, key=lambda step: step.group):
        out.line(out.style(escape(group), "bold"))
        for number, step in enumerate(of_group, 1):
            gap = out.style(" (a gap)", "error") if step.gap else ""
            hosts = in_order(step.hosts) if step.action == "restart" else folded(step.hosts)
            out.line(f"{number:3}. {step.action}{gap}: {hosts}")
            out.line(f"     {escape(step.text)}")
            for detail in step.details[:_MOST]:
                out.line(f"     - {escape(detail)}")
            if len(step.details) > _MOST:
                out.line(f"     - … and {len(step.details) - _MOST} more: see --json")
        out.line()
    _write_left_out(left_out, out)
    if not steps:
        which = " on the hosts that are known well enough" if left_out.any else ""
        out.line(f"nothing to do{which}: the hosts are what the policy says")


def in_order(hosts: Sequence[str]) -> str:
    """Host names in the order in which their turn comes: those that follow each other in ranges."""
    runs: list[list[str]] = []
    for host in hosts:
        if runs and len(fold([*runs[-1], host])) == 1 and natural(runs[-1][-1]) < natural(host):
            runs[-1].append(host)
        else:
            runs.append([host])
    shown = ", ".join(folded(run) for run in runs[:_MOST])
    return shown if len(runs) <= _MOST else f"{shown}, then {len(runs) - _MOST} more: see --json"


def _write_left_out(left_out: LeftOut, out: terminal.Terminal) -> None:
    warning = out.style("warning:", "warning")
    if left_out.missing:
        out.line(f"{warning} no snapshot, and no plan, for {folded(left_out.missing)}")
    for problem in left_out.unreadable[:_MOST]:
        out.line(f"{warning} no plan for {escape(problem.source)}: it {escape(problem.reason)}")
    if len(left_out.unreadable) > _MOST:
        more = len(left_out.unreadable) - _MOST
        out.line(f"{warning} no plan for {more} more snapshots that cannot be read: see --json")
    if left_out.old:
        hosts = folded(left_out.old)
        out.line(f"{warning} too old to go by, or of a wrong clock: the facts of {hosts}")


def write_json(steps: Sequence[Step], left_out: LeftOut) -> None:
    """The steps in order, as ``schemas/output.schema.json`` describes."""
    from lockcfg.report import jsonreport

    jsonreport.write(
        {
            "steps": [
                {
                    "group": step.group,
                    "action": step.action,
                    "hosts": list(step.hosts),
                    "text": step.text,
                    "details": list(step.details),
                    "gap": step.gap,
                }
                for step in steps
            ],
            "missing": list(left_out.missing),
            "old": list(left_out.old),
            "unreadable": [
                {"source": each.source, "host": each.host or None, "reason": each.reason}
                for each in left_out.unreadable
            ],
        }
    )
