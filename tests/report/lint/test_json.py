"""Our own JSON, against its schema."""

from __future__ import annotations

import json

from hypothesis import given, settings
from jsonschema import Draft202012Validator

from lockcfg.lint.result import LintFix, LintReplacement, LintResult
from lockcfg.resources import SCHEMAS
from tests.report.lint import (
    RULES,
    diagnostic,
    empty,
    fingerprint,
    hostile_results,
    rendered,
    sample,
    strict_json,
)

with open(f"{SCHEMAS}/lint-output.schema.json", encoding="utf-8") as _file:
    _SCHEMA = json.load(_file)

VALIDATOR = Draft202012Validator(_SCHEMA)


def test_the_schema_is_one() -> None:
    """A schema with a mistake takes anything."""
    Draft202012Validator.check_schema(_SCHEMA)


def test_a_run_has_the_documented_shape() -> None:
    """With something of everything in it, and with nothing."""
    VALIDATOR.validate(strict_json(rendered(empty(), "json")))
    content = strict_json(rendered(sample(), "json"))
    VALIDATOR.validate(content)
    assert content["summary"] == {
        "files": 4,
        "hosts": 2,
        "findings": 4,
        "suppressed": 3,
        "fixable": 1,
    }
    assert content["findings"][0] == {
        "code": "LK102",
        "rule": "unknown-key",
        "severity": "warning",
        "message": "unknown setting 'lock_managr': libvirt ignores it",
        "path": "hosts/a/qemu.conf",
        "line": 3,
        "column": 1,
        "end_column": 12,
        "key": "lock_managr",
        "help": "did you mean 'lock_manager'?",
        "fingerprint": fingerprint(1),
        "fix": {
            "safety": "safe",
            "description": "rename it to lock_manager",
            "replacements": [
                {
                    "line": 3,
                    "column": 1,
                    "end_line": 3,
                    "end_column": 12,
                    "text": "lock_manager",
                }
            ],
        },
        "suppression": None,
    }
    assert content["findings"][3]["suppression"] == {"kind": "inline", "reason": "old, ticket 7"}
    assert content["unreadable"] == [{"path": "hosts/d/qemu.conf", "reason": "Permission denied"}]


def test_a_finding_is_a_line() -> None:
    """So that reports can be compared and searched."""
    lines = rendered(sample(), "json").splitlines()
    assert sum('"fingerprint"' in line for line in lines) == len(sample().diagnostics)


def test_a_fix_that_is_not_text_is_not_given() -> None:
    """Applied as it is printed, it would write other bytes."""
    fix = LintFix("safe", "d", [LintReplacement(1, 1, 1, 2, "caf\udce9")])
    run = LintResult([diagnostic(fix=fix)], RULES, files=1, hosts=1)
    content = strict_json(rendered(run, "json"))
    assert content["findings"][0]["fix"]["replacements"] == []


@given(hostile_results)
@settings(deadline=None)
def test_hostile_files_do_not_break_it(result: LintResult) -> None:
    """It parses, has its shape, and nothing is lost."""
    content = strict_json(rendered(result, "json"))
    VALIDATOR.validate(content)
    assert len(content["findings"]) == len(result.diagnostics)
