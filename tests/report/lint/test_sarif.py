"""SARIF, against the schema of its standard."""

from __future__ import annotations

import json
import re
from typing import Any

from hypothesis import given, settings
from jsonschema.validators import validator_for

from lockcfg.lint.result import LintResult
from tests.report.lint import (
    DATA,
    ROOT,
    RULES,
    diagnostic,
    empty,
    fingerprint,
    hostile_results,
    rendered,
    sample,
    strict_json,
)

_SCHEMA = json.loads((DATA / "sarif-schema-2.1.0.json").read_text())
VALIDATOR = validator_for(_SCHEMA)(_SCHEMA)

#: RFC 3986: what a URI is made of.
_URI = re.compile(r"(?:[A-Za-z0-9:/?#\[\]@!$&'()*+,;=._~-]|%[0-9A-F]{2})*")


def run_of(result: LintResult) -> Any:
    """The one run of a log, which is valid."""
    content = strict_json(rendered(result, "sarif"))
    VALIDATOR.validate(content)
    (run,) = content["runs"]
    return run


def test_a_run_is_valid() -> None:
    """Also one that found nothing: it has results, and they are none."""
    run = run_of(empty())
    assert run["results"] == []
    assert run["invocations"] == [
        {"executionSuccessful": True, "toolExecutionNotifications": []},
    ]
    assert run["columnKind"] == "unicodeCodePoints"


def test_rules_carry_their_metadata() -> None:
    """helpUri only where it is a URI; a brace is doubled, as it would make a placeholder."""
    driver = run_of(sample())["tool"]["driver"]
    assert (driver["name"], driver["version"]) == ("lockcfg", "0.1.0")
    assert [rule["id"] for rule in driver["rules"]] == ["LK101", "LK102", "LK205"]
    assert [rule.get("helpUri") for rule in driver["rules"]] == [None, "https://x/LK102", None]
    assert driver["rules"][1] == {
        "id": "LK102",
        "name": "unknown-key",
        "shortDescription": {"text": "A setting {{it}} does not know."},
        "fullDescription": {"text": "A setting {{it}} does not know."},
        "help": {"text": "See https://x/LK102"},
        "defaultConfiguration": {"level": "warning"},
        "helpUri": "https://x/LK102",
    }


def test_a_result_says_where_and_how_to_mend_it() -> None:
    """By the fields that viewers and code scanning read."""
    results = run_of(sample())["results"]
    artifact = {"uri": "hosts/a/qemu.conf", "uriBaseId": "%SRCROOT%"}
    assert results[0] == {
        "ruleId": "LK102",
        "ruleIndex": 1,
        "level": "warning",
        "message": {
            "text": "unknown setting 'lock_managr': libvirt ignores it\n"
            "did you mean 'lock_manager'?"
        },
        "locations": [
            {
                "physicalLocation": {
                    "artifactLocation": artifact,
                    "region": {"startLine": 3, "startColumn": 1, "endLine": 3, "endColumn": 12},
                }
            }
        ],
        "partialFingerprints": {"lockcfg/v1": fingerprint(1)},
        "fixes": [
            {
                "description": {"text": "rename it to lock_manager"},
                "artifactChanges": [
                    {
                        "artifactLocation": artifact,
                        "replacements": [
                            {
                                "deletedRegion": {
                                    "startLine": 3,
                                    "startColumn": 1,
                                    "endLine": 3,
                                    "endColumn": 12,
                                },
                                "insertedContent": {"text": "lock_manager"},
                            }
                        ],
                    }
                ],
                "properties": {"safety": "safe"},
            }
        ],
        "suppressions": [],
    }
    assert results[1]["message"] == {"text": "expecting a value [here] (1), 100% {{sure}}"}
    assert results[6]["locations"][0]["physicalLocation"]["region"] == {
        "startLine": 1,
        "startColumn": 1,
        "endLine": 1,
        "endColumn": 1,
    }
    assert [result["level"] for result in results] == [
        *("warning", "error", "warning", "warning", "warning", "warning", "note"),
    ]


def test_what_is_suppressed_is_marked() -> None:
    """All results of a run say whether they are, or none does."""
    results = run_of(sample())["results"]
    assert [result["suppressions"] for result in results[2:]] == [
        [],
        [{"kind": "inSource", "justification": "old, ticket 7"}],
        [{"kind": "external", "justification": "known"}],
        [{"kind": "external", "justification": "in the baseline"}],
        [],
    ]
    run = run_of(LintResult([diagnostic()], RULES, files=1, hosts=1))
    assert "suppressions" not in run["results"][0]


def test_what_could_not_be_looked_at_is_told() -> None:
    """A run with unreadable files is not a success."""
    assert run_of(sample())["invocations"] == [
        {
            "executionSuccessful": False,
            "toolExecutionNotifications": [
                {
                    "level": "error",
                    "message": {"text": "Cannot be read: Permission denied"},
                    "locations": [
                        {
                            "physicalLocation": {
                                "artifactLocation": {
                                    "uri": "hosts/d/qemu.conf",
                                    "uriBaseId": "%SRCROOT%",
                                }
                            }
                        }
                    ],
                },
                {
                    "level": "note",
                    "message": {"text": "hosts/c/qemu.conf: a template, passed over"},
                },
            ],
        }
    ]


def test_paths_are_uris() -> None:
    """Of bytes, where they are not UTF-8; absolute outside the repository."""
    paths = [f"{ROOT}/b c/caf\udce9.conf", f"{ROOT}/a:b", "/etc/100%", f"{ROOT}/\ud800"]
    run = LintResult([diagnostic(path=path) for path in paths], RULES, files=1, hosts=1)
    locations = [
        result["locations"][0]["physicalLocation"]["artifactLocation"]
        for result in run_of(run)["results"]
    ]
    assert locations == [
        {"uri": "b%20c/caf%E9.conf", "uriBaseId": "%SRCROOT%"},
        {"uri": "a%3Ab", "uriBaseId": "%SRCROOT%"},
        {"uri": "file:///etc/100%25"},
        {"uri": "%EF%BF%BD", "uriBaseId": "%SRCROOT%"},
    ]


@given(hostile_results)
@settings(deadline=None)
def test_hostile_files_do_not_break_it(result: LintResult) -> None:
    """It is valid, its paths are URIs, and no message has placeholders or links."""
    run = run_of(result)
    assert len(run["results"]) == len(result.diagnostics)
    for each in run["results"]:
        artifact = each["locations"][0]["physicalLocation"]["artifactLocation"]
        assert _URI.fullmatch(artifact["uri"])
        assert artifact["uri"].startswith("file:///") or artifact["uriBaseId"] == "%SRCROOT%"
        text = each["message"]["text"].replace("{{", "").replace("}}", "")
        assert not re.search(r"[{}]|\]\(", text)
