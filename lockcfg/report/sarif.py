"""SARIF 2.1.0, the OASIS standard: what the reports of the linter and of the audit share."""

from __future__ import annotations

from urllib.parse import quote

from lockcfg.report.jsonstream import dump
from lockcfg.report.untrusted import clean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final, TextIO

    from lockcfg.rules.rule import RuleInfo

_SCHEMA: Final = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)

#: The characters that a URI may have as they are, besides letters and digits.
_URI: Final = ":/?#[]@!$&'()*+,;=%-._~"

#: The levels of the standard, by lockcfg's severities.
LEVELS: Final = {"error": "error", "warning": "warning", "info": "note"}


def write_run(
    stream: TextIO,
    *,
    version: str,
    rules: Iterable[RuleInfo],
    successful: bool,
    notifications: object,
    results: object,
    bases: dict[str, Any] | None = None,
) -> None:
    """Write a log with one run. ``notifications`` and ``results`` are lists or iterators of JSON
    objects; an iterator is written one object at a time. ``bases`` are the URIs that paths are
    relative to."""
    driver: dict[str, object] = {"name": "lockcfg"}
    if version:
        driver["version"] = version
    driver["rules"] = (_rule(rule) for rule in rules)
    run: dict[str, object] = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints"}
    if bases:
        run["originalUriBaseIds"] = bases
    run["invocations"] = (
        {"executionSuccessful": successful, "toolExecutionNotifications": notifications},
    )
    run["results"] = results
    dump({"$schema": _SCHEMA, "version": "2.1.0", "runs": (run,)}, stream)
    stream.write("\n")


def message(text: str) -> dict[str, str]:
    """A message. Braces, which make placeholders, are doubled, and nothing in it is a link."""
    text = clean(text).replace("{", "{{").replace("}", "}}")
    return {"text": text.replace("](", "] (")}


def _rule(rule: RuleInfo) -> dict[str, Any]:
    description = {
        "id": rule.code,
        "name": rule.name,
        "shortDescription": message(rule.summary),
        "fullDescription": message(rule.summary),
        "help": message(f"See {rule.url}" if rule.url else rule.summary),
        "defaultConfiguration": {"level": LEVELS[rule.severity]},
    }
    if "://" in rule.url:  # the standard requires an absolute one
        description["helpUri"] = quote(clean(rule.url), safe=_URI)
    return description
