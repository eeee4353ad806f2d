"""SARIF 2.1.0, the OASIS standard, for code scanning and the viewers of editors."""

from __future__ import annotations

from urllib.parse import quote

from lockcfg.report.diagnostics import notes, reason, relative, replacements, words
from lockcfg.report.sarif import LEVELS, message, write_run
from lockcfg.report.untrusted import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final, TextIO

    from lockcfg.lint.result import LintFinding, LintReplacement, LintResult

#: The name for the root of the repository, wherever the reader has it.
_ROOT: Final = "%SRCROOT%"

_SUPPRESSIONS: Final = {"inline": "inSource", "settings": "external", "baseline": "external"}


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    index = {rule.code: number for number, rule in enumerate(result.rules)}
    # By the standard, all results of a run have suppressions, or none has.
    suppressing = any(d.suppression is not None for d in result.diagnostics)
    write_run(
        stream,
        version=result.version,
        rules=result.rules,
        successful=not result.unreadable,
        notifications=_notifications(result, root),
        results=(
            _result(diagnostic, index, root, suppressing=suppressing)
            for diagnostic in result.diagnostics
        ),
        bases={_ROOT: {"description": {"text": "The root of the repository."}}},
    )


def _result(
    diagnostic: LintFinding, index: Mapping[str, int], root: str, *, suppressing: bool
) -> dict[str, Any]:
    finding, place = diagnostic.finding, diagnostic.finding.place
    artifact = _artifact(finding.path, root)
    line, column, length = (place.line, place.column, place.length) if place else (1, 1, 0)
    location = {
        "artifactLocation": artifact,
        # GitHub requires all four, even for the whole file.
        "region": {
            "startLine": line,
            "startColumn": column,
            "endLine": line,
            "endColumn": column + length,
        },
    }
    described: dict[str, Any] = {"ruleId": diagnostic.code}
    if diagnostic.code in index:
        described["ruleIndex"] = index[diagnostic.code]
    described |= {
        "level": LEVELS[finding.severity],
        "message": message(words(finding)),
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"lockcfg/v1": diagnostic.fingerprint},
    }
    if fix := _fix(diagnostic, artifact):
        described["fixes"] = [fix]
    if suppressing:
        described["suppressions"] = _suppressions(diagnostic)
    return described


def _fix(diagnostic: LintFinding, artifact: dict[str, str]) -> dict[str, Any] | None:
    changes = replacements(diagnostic)
    if diagnostic.fix is None or not changes:
        return None
    return {
        "description": message(diagnostic.fix.description),
        "artifactChanges": [
            {
                "artifactLocation": artifact,
                "replacements": [_replacement(each) for each in changes],
            }
        ],
        "properties": {"safety": diagnostic.fix.safety},
    }


def _replacement(replacement: LintReplacement) -> dict[str, Any]:
    return {
        "deletedRegion": {
            "startLine": replacement.line,
            "startColumn": replacement.column,
            "endLine": replacement.end_line,
            "endColumn": replacement.end_column,
        },
        "insertedContent": {"text": replacement.text},
    }


def _suppressions(diagnostic: LintFinding) -> list[dict[str, str]]:
    suppression = diagnostic.suppression
    if suppression is None:
        return []
    return [{"kind": _SUPPRESSIONS[suppression.kind], "justification": reason(diagnostic)}]


def _notifications(result: LintResult, root: str) -> Iterator[dict[str, Any]]:
    for path, why in result.unreadable:
        yield {
            "level": "error",
            "message": message(f"Cannot be read: {why}"),
            "locations": [{"physicalLocation": {"artifactLocation": _artifact(path, root)}}],
        }
    for note in notes(result, root):
        yield {"level": "note", "message": message(note)}


def _artifact(path: str, root: str) -> dict[str, str]:
    """The place of a file, as the bytes of its path if the path is not UTF-8."""
    path = relative(path, root)
    try:
        uri = quote(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # surrogates that stand for no byte
        uri = quote(clean(path))
    if path.startswith("/"):
        return {"uri": f"file://{uri}"}
    return {"uri": uri, "uriBaseId": _ROOT}
