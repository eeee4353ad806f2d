"""The findings for a person: each with its line and its help, and a last line with the counts."""

from __future__ import annotations

from collections import Counter

from lockcfg.counted import counted
from lockcfg.findings import Finding, Place
from lockcfg.report.diagnostics import counts, notes, relative
from lockcfg.report.terminal import Terminal, escape
from lockcfg.report.verdicts import VERDICTS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

    from lockcfg.lint.result import LintFinding, LintFix, LintResult


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    terminal = Terminal(stream)
    for diagnostic in result.diagnostics:
        if diagnostic.suppression is None:
            terminal.finding(_shown(diagnostic, root))
            if diagnostic.fix is not None:
                _fix(diagnostic.fix, terminal)
    _end(result, terminal, root)


def write_statistics(result: LintResult, stream: TextIO) -> None:
    """Write how many findings each rule has, the largest count first."""
    terminal = Terminal(stream)
    counted = [d for d in result.diagnostics if d.suppression is None]
    by_rule = Counter((d.code, d.finding.rule) for d in counted)
    fixable = Counter(d.code for d in counted if d.fix is not None and d.fix.safety == "safe")
    rows = sorted(by_rule.items(), key=lambda row: (-row[1], row[0]))
    width = len(str(rows[0][1])) if rows else 0
    if rows:
        terminal.table(
            [
                (f"{count:{width}}", code, name, f"{fixable[code]} fixable" * bool(fixable[code]))
                for (code, name), count in rows
            ]
        )
    terminal.line(_summary(result))


def _shown(diagnostic: LintFinding, root: str) -> Finding:
    """The finding with the code of its rule, and with its path as the report prints it."""
    finding, place = diagnostic.finding, diagnostic.finding.place
    path = relative(finding.path, root)
    if place is not None:
        place = Place(path, place.line, place.column, place.text, place.length)
    return Finding(
        f"{diagnostic.code} {finding.rule}",
        finding.severity,
        finding.message,
        path=path,
        place=place,
        help=finding.help,
    )


def _fix(fix: LintFix, terminal: Terminal) -> None:
    hint = "fixable with --fix" if fix.safety == "safe" else "fixable with --unsafe-fixes"
    terminal.line(f"  {terminal.style('fix:', 'info')} {escape(fix.description)} ({hint})")


def _end(result: LintResult, terminal: Terminal, root: str) -> None:
    """Write what could not be read, and the counts."""
    for path, why in result.unreadable:
        terminal.finding(Finding("", "error", f"cannot be read: {why}", path=relative(path, root)))
    for note in notes(result, root):
        terminal.line(f"{terminal.style('note:', 'info')} {escape(note)}")
    for each in result.mended:
        word, style = VERDICTS[each.protection.level]
        where = escape(relative(each.directory, root))
        terminal.line(f"fixed {where} ({each.driver}). Protection: {terminal.style(word, style)}")
        terminal.line(f"  {escape(each.protection.summary)}")
    terminal.line(_summary(result))


def _summary(result: LintResult) -> str:
    findings, fixable, suppressed = counts(result)
    parts = [
        f"{counted(findings, 'finding')} in {counted(result.files, 'file')}",
        f"{fixable} fixable",
        f"{suppressed} suppressed",
    ]
    if result.notes:
        parts.append(f"{len(result.notes)} passed over")
    if result.unreadable:
        parts.append(f"{len(result.unreadable)} unreadable")
    return ", ".join(parts)
