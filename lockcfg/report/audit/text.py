"""The audit for a person: the verdict, the findings with the worst first, and the lock domains."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import groupby

from lockcfg.counted import counted
from lockcfg.fleet.policy.host_ranges import fold, shortened
from lockcfg.report.audit.probe import sentences
from lockcfg.report.audit.words import (
    COLOURS,
    KIND_WORDS,
    LEVELS,
    standing_in_words,
    standing_of,
)
from lockcfg.report.terminal import Terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final, TextIO

    from lockcfg.fleet.comparison.result import (
        AuditFinding,
        AuditResult,
        DomainRow,
        GroupRow,
        Since,
    )

#: How many entries of a long list the text shows.
_MOST: Final = 12
_MOST_REASONS: Final = 40
_MOST_FINDINGS: Final = 200

#: The styles of what a probe showed.
_SEEN: Final = {"yes": "good", "no": "error", "unknown": "warning", "": "dim"}


def write(result: AuditResult, stream: TextIO) -> None:
    """See :mod:`lockcfg.report.audit`."""
    terminal = Terminal(stream)
    _verdict(result, terminal)
    _counts(result, terminal)
    if result.since is not None:
        terminal.line()
        _since(result.since, terminal)
    counted = [finding for finding in result.counted if finding.severity != "info"]
    informing = [finding for finding in result.counted if finding.severity == "info"]
    for finding in (counted + informing)[:_MOST_FINDINGS]:
        terminal.line()
        _finding(finding, terminal)
    if len(result.counted) > _MOST_FINDINGS:
        terminal.line()
        terminal.line(f"… and {len(result.counted) - _MOST_FINDINGS} more: see --format json")
    groups = {group.name: group for group in result.groups}
    by_group = {
        name: list(rows) for name, rows in groupby(result.domains, key=lambda row: row.group)
    }
    for name in sorted(groups, key=lambda name: (_rank(groups[name]), name)):
        terminal.line()
        _group(groups[name], by_group.get(name, []), terminal)
    if result.probe:
        terminal.line()
        terminal.line(terminal.style("what a probe showed", "bold"))
        for seen, sentence in sentences(result.probe):
            terminal.paragraph((sentence, _SEEN[seen]), indent=2, hang=2)
    terminal.line()
    for note in result.notes:
        terminal.paragraph(("note:", "info"), (note, ""), hang=2)
    _verdict(result, terminal)  # the last line is the one that a reader sees


def _rank(group: GroupRow) -> int:
    return {"error": 0, "warning": 1, "info": 2, None: 3}[group.worst]


def _group(group: GroupRow, domains: Iterable[DomainRow], terminal: Terminal) -> None:
    title = group.name or "no shared storage seen"
    said = f"({'inferred, ' if group.inferred and group.name else ''}"
    said += f"{counted(len(group.hosts), 'host')})"
    terminal.paragraph((title, "bold"), (said, ""), hang=2)
    if group.inferred and group.name and group.storages != (group.name,):
        shared = ", ".join(group.storages[:_MOST])
        more = f" and {len(group.storages) - _MOST} more" if len(group.storages) > _MOST else ""
        terminal.paragraph((f"they share {shared}{more}", "dim"), indent=2, hang=2)
    for kind, rows in groupby(domains, key=lambda row: row.kind):
        terminal.line(f"  {KIND_WORDS[kind]}")
        for row in rows:
            words = (f"{standing_in_words(row)}:", COLOURS[standing_of(row)])
            terminal.paragraph(words, (folded(row.hosts), ""), indent=4, hang=2)
            terminal.paragraph((row.where, "dim"), indent=6)


def _finding(finding: AuditFinding, terminal: Terminal) -> None:
    terminal.paragraph(
        (f"{finding.severity}:", finding.severity),
        (finding.message, ""),
        (f"[{finding.code} {finding.rule}]", "dim"),
        hang=2,
    )
    if finding.hosts:
        terminal.paragraph((", ".join(fold(finding.hosts)), "bold"), indent=2)
    for reason in finding.reasons[:_MOST_REASONS]:
        terminal.paragraph(("-", ""), (reason, ""), indent=2, hang=2)
    if len(finding.reasons) > _MOST_REASONS:
        terminal.line(f"  - … and {len(finding.reasons) - _MOST_REASONS} more")
    if finding.help:
        terminal.paragraph(("help:", "info"), (finding.help, ""), indent=2, hang=2)


def _since(since: Since, terminal: Terminal) -> None:
    """What has changed since an earlier audit."""
    when = datetime.fromtimestamp(since.then, UTC).strftime("%Y-%m-%d %H:%M UTC")
    terminal.paragraph((f"since {when}:", "bold"), (since.text, LEVELS[since.level]), hang=2)
    for words, changes, style in (
        ("worse:", since.worse, "error"),
        ("better:", since.better, "good"),
    ):
        for change in changes:
            hosts = f"({', '.join(fold(change.hosts))})" if change.hosts else ""
            terminal.paragraph((words, style), (f"{change.text} {hosts}", ""), indent=2, hang=2)
    for words, hosts_of in (("came:", since.come), ("gone:", since.gone)):
        if hosts_of:
            terminal.paragraph((words, "info"), (", ".join(fold(hosts_of)), ""), indent=2, hang=2)
    if not (since.worse or since.better):
        terminal.line("  nothing is better, and nothing is worse")


def _counts(result: AuditResult, terminal: Terminal) -> None:
    counts = [
        counted(sum(f.severity == severity for f in result.counted), severity)
        for severity in ("error", "warning")
    ]
    waived = len(result.findings) - len(result.counted)
    counts += [f"{waived} waived"] if waived else []
    counts += [f"{len(result.unknown)} unknown"] if result.unknown else []
    terminal.line(f"{counted(len(result.hosts), 'host')}: {', '.join(counts)}")


def _verdict(result: AuditResult, terminal: Terminal) -> None:
    terminal.paragraph((result.verdict.text, LEVELS[result.verdict.level]))


def folded(hosts: Iterable[str]) -> str:
    """Host names in ranges, in as much as fits."""
    return shortened(hosts, _MOST)
