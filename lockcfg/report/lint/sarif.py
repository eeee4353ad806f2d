"""SARIF 2.1.0, the OASIS standard, for code scanning and the viewers of editors."""

from __future__ import annotations

from urllib.parse import quote

from lockcfg.report.lint import clean, dump, notes, reason, relative, replacements, words

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final, TextIO

    from lockcfg.lint.result import Diagnostic, LintResult, Replacement, RuleInfo

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

#: Stands for the root of the repository, wherever that is for the reader.
_ROOT: Final = "%SRCROOT%"

#: What may stand in a URI as it is, besides letters and digits.
_URI: Final = ":/?#[]@!$&'()*+,;=%-._~"

_LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}

_SUPPRESSIONS: Final = {"inline": "inSource", "settings": "external", "baseline": "external"}


def write(result: LintResult, stream: TextIO, *, root: str) -> None:
    """See :mod:`lockcfg.report.lint`."""
    index = {rule.code: number for number, rule in enumerate(result.rules)}
    # The standard wants suppressions with all results of a run or with none.
    suppressing = any(d.suppression is not None for d in result.diagnostics)
    driver: dict[str, object] = {"name": "lockcfg"}
    if result.version:
        driver["version"] = result.version
    driver["rules"] = (_rule(rule) for rule in result.rules)
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "originalUriBaseIds": {_ROOT: {"description": {"text": "The root of the repository."}}},
        "invocations": (
            {
                "executionSuccessful": not result.unreadable,
                "toolExecutionNotifications": _notifications(result, root),
            },
        ),
        "results": (
            _result(diagnostic, index, root, suppressing=suppressing)
            for diagnostic in result.diagnostics
        ),
    }
    dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": (run,)}, stream)
    stream.write("\n")


def _rule(rule: RuleInfo) -> dict[str, Any]:
    description = {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": _message(rule.summary),
        "fullDescription": _message(rule.summary),
        "help": _message(f"See {rule.url}" if rule.url else rule.summary),
        "defaultConfiguration": {"level": _LEVELS[rule.severity]},
    }
    if "://" in rule.url:  # the standard wants an absolute one
        description["helpUri"] = quote(clean(rule.url), safe=_URI)
    return description


def _result(
    diagnostic: Diagnostic, index: Mapping[str, int], root: str, *, suppressing: bool
) -> dict[str, Any]:
    finding, place = diagnostic.finding, diagnostic.finding.place
    artifact = _artifact(finding.path, root)
    line, column, length = (place.line, place.column, place.length) if place else (1, 1, 0)
    location = {
        "artifactLocation": artifact,
        # GitHub wants all four, for the whole file as well.
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
        "level": _LEVELS[finding.severity],
        "message": _message(words(finding)),
        "locations": [{"physicalLocation": location}],
        "partialFingerprints": {"lockcfg/v1": diagnostic.fingerprint},
    }
    if fix := _fix(diagnostic, artifact):
        described["fixes"] = [fix]
    if suppressing:
        described["suppressions"] = _suppressions(diagnostic)
    return described


def _fix(diagnostic: Diagnostic, artifact: dict[str, str]) -> dict[str, Any] | None:
    changes = replacements(diagnostic)
    if diagnostic.fix is None or not changes:
        return None
    return {
        "description": _message(diagnostic.fix.description),
        "artifactChanges": [
            {
                "artifactLocation": artifact,
                "replacements": [_replacement(each) for each in changes],
            }
        ],
        "properties": {"safety": diagnostic.fix.safety},
    }


def _replacement(replacement: Replacement) -> dict[str, Any]:
    return {
        "deletedRegion": {
            "startLine": replacement.line,
            "startColumn": replacement.column,
            "endLine": replacement.end_line,
            "endColumn": replacement.end_column,
        },
        "insertedContent": {"text": replacement.text},
    }


def _suppressions(diagnostic: Diagnostic) -> list[dict[str, str]]:
    suppression = diagnostic.suppression
    if suppression is None:
        return []
    return [{"kind": _SUPPRESSIONS[suppression.kind], "justification": reason(diagnostic)}]


def _notifications(result: LintResult, root: str) -> Iterator[dict[str, Any]]:
    for path, why in result.unreadable:
        yield {
            "level": "error",
            "message": _message(f"Cannot be read: {why}"),
            "locations": [{"physicalLocation": {"artifactLocation": _artifact(path, root)}}],
        }
    for note in notes(result, root):
        yield {"level": "note", "message": _message(note)}


def _message(text: str) -> dict[str, str]:
    """A message. Braces, which make placeholders, are doubled; what would be a link is none."""
    text = clean(text).replace("{", "{{").replace("}", "}}")
    return {"text": text.replace("](", "] (")}


def _artifact(path: str, root: str) -> dict[str, str]:
    """Where a file is; of a path that is not UTF-8 the bytes."""
    path = relative(path, root)
    try:
        uri = quote(path.encode("utf-8", "surrogateescape"))
    except UnicodeEncodeError:  # surrogates that stand for no byte
        uri = quote(clean(path))
    if path.startswith("/"):
        return {"uri": f"file://{uri}"}
    return {"uri": uri, "uriBaseId": _ROOT}
