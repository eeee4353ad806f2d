"""JSON of our own, which ``schemas/lint-output.schema.json`` describes."""

from __future__ import annotations

from lockcfg.report.diagnostics import counts, notes, reason, relative, replacements
from lockcfg.report.jsonstream import dump
from lockcfg.report.untrusted import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TextIO

    from lockcfg.lint.result import LintFinding, LintResult


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    findings, fixable, suppressed = counts(result)
    dump(
        {
            "version": result.version,
            "summary": {
                "files": result.files,
                "hosts": result.hosts,
                "findings": findings,
                "suppressed": suppressed,
                "fixable": fixable,
            },
            "findings": (_finding(diagnostic, root) for diagnostic in result.diagnostics),
            "unreadable": (
                {"path": clean(relative(path, root)), "reason": clean(why)}
                for path, why in result.unreadable
            ),
            "notes": (clean(note) for note in notes(result, root)),
            "mended": (
                {
                    "path": clean(relative(each.directory, root)),
                    "driver": each.driver,
                    "level": each.protection.level,
                    "summary": clean(each.protection.summary),
                }
                for each in result.mended
            ),
            "rules": (
                {
                    "code": rule.code,
                    "name": rule.name,
                    "severity": rule.severity,
                    "summary": clean(rule.summary),
                    "url": clean(rule.url),
                }
                for rule in result.rules
            ),
        },
        stream,
    )
    stream.write("\n")


def _finding(diagnostic: LintFinding, root: str) -> dict[str, Any]:
    finding, place = diagnostic.finding, diagnostic.finding.place
    return {
        "code": diagnostic.code,
        "rule": finding.rule,
        "severity": finding.severity,
        "message": clean(finding.message),
        "path": clean(relative(finding.path, root)),
        "line": place.line if place else None,
        "column": place.column if place else None,
        "end_column": place.column + place.length if place else None,
        "key": clean(finding.key) if finding.key is not None else None,
        "help": clean(finding.help),
        "fingerprint": diagnostic.fingerprint,
        "fix": _fix(diagnostic),
        "suppression": _suppression(diagnostic),
    }


def _fix(diagnostic: LintFinding) -> dict[str, Any] | None:
    fix = diagnostic.fix
    if fix is None:
        return None
    return {
        "safety": fix.safety,
        "description": clean(fix.description),
        "replacements": [
            {
                "line": replacement.line,
                "column": replacement.column,
                "end_line": replacement.end_line,
                "end_column": replacement.end_column,
                "text": replacement.text,
            }
            for replacement in replacements(diagnostic)
        ],
    }


def _suppression(diagnostic: LintFinding) -> dict[str, Any] | None:
    suppression = diagnostic.suppression
    if suppression is None:
        return None
    return {"kind": suppression.kind, "reason": reason(diagnostic)}
