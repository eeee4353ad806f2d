"""For a person: the lock domains, the worst first, then the findings, and a verdict in one line."""

from __future__ import annotations

from itertools import groupby

from lockcfg.fleet.policy.host_ranges import fold
from lockcfg.report.audit.words import (
    COLOURS,
    KIND_WORDS,
    LEVELS,
    standing_in_words,
    standing_of,
)
from lockcfg.report.terminal import Terminal, escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, TextIO

    from lockcfg.fleet.comparison.result import AuditFinding, AuditResult, DomainRow, GroupRow

#: How much of a long list is shown.
_MOST: Final = 12
_MOST_FINDINGS: Final = 200


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`."""
    terminal = Terminal(stream)
    groups = {group.name: group for group in result.groups}
    by_group = {
        name: list(rows) for name, rows in groupby(result.domains, key=lambda row: row.group)
    }
    for name in sorted(groups, key=lambda name: (_rank(groups[name]), name)):
        _group(groups[name], by_group.get(name, []), terminal)
    counted = [finding for finding in result.counted if finding.severity != "info"]
    informing = [finding for finding in result.counted if finding.severity == "info"]
    for finding in (counted + informing)[:_MOST_FINDINGS]:
        _finding(finding, terminal)
    if len(result.counted) > _MOST_FINDINGS:
        terminal.line(f"… and {len(result.counted) - _MOST_FINDINGS} more: see --format json")
    terminal.line()
    _end(result, terminal)


def _rank(group: GroupRow) -> int:
    return {"error": 0, "warning": 1, "info": 2, None: 3}[group.worst]


def _group(group: GroupRow, domains: Iterable[DomainRow], terminal: Terminal) -> None:
    title = group.name or "no shared storage seen"
    said = " (inferred)" if group.inferred and group.name else ""
    terminal.line(
        f"{terminal.style(escape(title), 'bold')}{said}: {_count(len(group.hosts), 'host')}"
    )
    if group.inferred and group.name and group.storages != (group.name,):
        shared = ", ".join(escape(each) for each in group.storages[:_MOST])
        more = f" and {len(group.storages) - _MOST} more" if len(group.storages) > _MOST else ""
        terminal.line(f"  {terminal.style(f'they share {shared}{more}', 'dim')}")
    for kind, rows in groupby(domains, key=lambda row: row.kind):
        terminal.line(f"  {KIND_WORDS[kind]}")
        for row in rows:
            words = terminal.style(standing_in_words(row), COLOURS[standing_of(row)])
            terminal.line(f"    {words}: {folded(row.hosts)}")
            terminal.line(f"      {terminal.style(escape(row.where), 'dim')}")
    terminal.line()


def _finding(finding: AuditFinding, terminal: Terminal) -> None:
    severity = terminal.style(f"{finding.severity}:", finding.severity)
    rule = terminal.style(f"[{finding.code} {finding.rule}]", "dim")
    terminal.line(f"{severity} {escape(finding.message)} {rule}")
    if finding.hosts:
        terminal.line(f"  {terminal.style(folded(finding.hosts), 'bold')}")
    for reason in finding.reasons[:_MOST]:
        terminal.line(f"  - {escape(reason)}")
    if len(finding.reasons) > _MOST:
        terminal.line(f"  - … and {len(finding.reasons) - _MOST} more")
    if finding.help:
        terminal.line(f"  {terminal.style('help:', 'info')} {escape(finding.help)}")


def _end(result: AuditResult, terminal: Terminal) -> None:
    """The counts and the verdict."""
    for note in result.notes:
        terminal.line(f"{terminal.style('note:', 'info')} {escape(note)}")
    counts = [
        _count(sum(f.severity == severity for f in result.counted), severity)
        for severity in ("error", "warning")
    ]
    waived = len(result.findings) - len(result.counted)
    counts += [f"{waived} waived"] if waived else []
    counts += [f"{len(result.unknown)} unknown"] if result.unknown else []
    terminal.line(f"{_count(len(result.hosts), 'host')}: {', '.join(counts)}")
    terminal.line(terminal.style(escape(result.verdict.text), LEVELS[result.verdict.level]))


def folded(hosts: Iterable[str]) -> str:
    """Host names in ranges, in as much as fits."""
    ranges = fold(hosts)
    shown = ", ".join(escape(each) for each in ranges[:_MOST])
    return shown if len(ranges) <= _MOST else f"{shown} and {len(ranges) - _MOST} more"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
