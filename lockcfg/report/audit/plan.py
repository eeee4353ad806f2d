"""The plan of ``lockcfg plan``, for a person and as JSON. ``plan_page.py`` makes the page."""

from __future__ import annotations

from itertools import groupby

from lockcfg.fleet.policy.host_ranges import fold, natural
from lockcfg.report import terminal
from lockcfg.report.audit.text import folded
from lockcfg.report.terminal import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final, TextIO

    from lockcfg.fleet.comparison.result import AuditFinding, UnreadSource
    from lockcfg.fleet.plan.steps import Plan, Step, Work

#: How many lines of details the text shows.
_MOST: Final = 20


class LeftOut:
    """What a plan leaves out: hosts without a snapshot (``missing``) or with only an outdated one
    (``old``), and snapshots that could not be read (``unreadable``)."""

    __slots__ = ("missing", "old", "unreadable")

    def __init__(
        self, missing: Sequence[str], old: Sequence[str], unreadable: Sequence[UnreadSource]
    ) -> None:
        self.missing: Final = missing
        self.old: Final = old
        self.unreadable: Final = unreadable

    @property
    def any(self) -> bool:
        """Whether the plan leaves anything out."""
        return bool(self.missing or self.old or self.unreadable)


def write_text(plan: Plan, left_out: LeftOut, stream: TextIO) -> None:
    """Write numbered steps, group by group, and then what the plan does not cover."""
    out = terminal.Terminal(stream)
    for group, of_group in groupby(plan.steps, key=lambda step: step.group):
        out.line(out.style(escape(group), "bold"))
        for number, step in enumerate(of_group, 1):
            gap = [(" (a gap):", "error")] if step.gap else []
            out.paragraph(
                (f"{number}. {step.action}{'' if gap else ':'}", ""),
                *gap,
                (hosts_of(step), ""),
                indent=3 - len(str(number)),
                hang=2 + len(str(number)),
            )
            out.paragraph((step.text, ""), indent=5)
            for line in _some([f"- {detail}" for detail in step.details]):
                out.paragraph((line, ""), indent=5, hang=2)
            for line in _some(list(_commands(step))):
                out.line(f"     {line}")  # to be copied
        out.line()
    for finding in plan.uncovered:
        _write_uncovered(finding, out)
    if plan.uncovered:
        out.line()
    _write_left_out(left_out, out)
    if not plan.steps and plan.is_short:
        out.line("no step: the plan covers nothing of what is listed above")
    elif not plan.steps:
        which = " on the hosts that are known well enough" if left_out.any else ""
        out.line(f"nothing to do{which}: the hosts are as the policy says")


def _some(lines: list[str]) -> list[str]:
    """The first of many lines."""
    more = len(lines) - _MOST
    return [*lines[:_MOST], f"… and {more} more: see --format json"] if more > 0 else lines


def _commands(step: Step) -> Iterator[str]:
    """The commands to type. A command that is the same for all hosts of a step appears once."""
    for commands, hosts in works_of(step):
        where = f"{escape(', '.join(fold(hosts)))}" if set(hosts) != set(step.hosts) else ""
        for command in commands:
            yield f"{where}$ {escape(command)}"


def works_of(step: Step) -> list[tuple[tuple[str, ...], list[str]]]:
    """The commands of a step and the hosts they are for. Hosts with the same commands are together,
    in the order of the first one."""
    found: dict[tuple[str, ...], list[str]] = {}
    for work in step.work:
        found.setdefault(work.commands, []).extend(work.hosts)
    return list(found.items())


def hosts_of(step: Step) -> str:
    """The hosts of a step, in the order of the work if the order counts."""
    return in_order(step.hosts) if step.action == "restart" else folded(step.hosts)


def _write_uncovered(finding: AuditFinding, out: terminal.Terminal) -> None:
    hosts = f"{folded(finding.hosts)}: " if finding.hosts else ""
    out.paragraph(
        ("not covered:", "warning"), (f"{hosts}{finding.message} [{finding.code}]", ""), hang=2
    )
    if finding.help:
        out.paragraph(("help:", ""), (finding.help, ""), indent=2, hang=2)


def in_order(hosts: Sequence[str], *, most: int | None = _MOST) -> str:
    """Host names in the order of their turn, successive ones as ranges, at most ``most`` ranges."""
    runs: list[list[str]] = []
    for host in hosts:
        if runs and len(fold([*runs[-1], host])) == 1 and natural(runs[-1][-1]) < natural(host):
            runs[-1].append(host)
        else:
            runs.append([host])
    shown = ", ".join(folded(run) for run in runs[:most])
    if most is None or len(runs) <= most:
        return shown
    return f"{shown}, then {len(runs) - most} more: see --format json"


def _write_left_out(left_out: LeftOut, out: terminal.Terminal) -> None:
    said: list[str] = []
    if left_out.missing:
        said.append(f"no snapshot, and no plan, for {folded(left_out.missing)}")
    for problem in left_out.unreadable[:_MOST]:
        said.append(f"no plan for {problem.source}: it {problem.reason}")
    if len(left_out.unreadable) > _MOST:
        more = len(left_out.unreadable) - _MOST
        said.append(f"no plan for {more} more snapshots that cannot be read: see --json")
    if left_out.old:
        hosts = folded(left_out.old)
        said.append(f"too old to go by, or of a wrong clock: the facts of {hosts}")
    for each in said:
        out.paragraph(("warning:", "warning"), (each, ""), hang=2)


def write_json(plan: Plan, left_out: LeftOut, stream: TextIO) -> None:
    """Write the steps in order, as ``schemas/output.schema.json`` describes them."""
    from lockcfg.report import jsonreport

    jsonreport.write(members_of(plan, left_out), stream)


def members_of(plan: Plan, left_out: LeftOut) -> dict[str, Any]:
    """The members of the JSON report."""
    return {
        "steps": [
            {
                "group": step.group,
                "action": step.action,
                "hosts": list(step.hosts),
                "text": step.text,
                "details": list(step.details),
                "work": [_work(work) for work in step.work],
                "gap": step.gap,
            }
            for step in plan.steps
        ],
        "covered": [_finding(finding) for finding in plan.covered],
        "uncovered": [_finding(finding) for finding in plan.uncovered],
        "missing": list(left_out.missing),
        "old": list(left_out.old),
        "unreadable": [
            {"source": each.source, "host": each.host or None, "reason": each.reason}
            for each in left_out.unreadable
        ],
    }


def _work(work: Work) -> dict[str, Any]:
    return {
        "do": work.do,
        "hosts": list(work.hosts),
        **work.data,
        "commands": list(work.commands),
    }


def _finding(finding: AuditFinding) -> dict[str, Any]:
    return {
        "code": finding.code,
        "rule": finding.rule,
        "severity": finding.severity,
        "group": finding.group,
        "message": finding.message,
        "hosts": list(finding.hosts),
        "help": finding.help,
    }
