"""The Code Quality report, as GitLab documents it."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from jsonschema import Draft202012Validator

from lockcfg.yamlschema import load_schema
from tests.report.lint import empty, fingerprint, hostile_results, rendered, sample, strict_json

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.lint.result import LintResult


SCHEMA = load_schema("lint-gitlab")
VALIDATOR = Draft202012Validator(SCHEMA)


def test_the_schema_is_one() -> None:
    """And takes no severity that GitLab does not have."""
    Draft202012Validator.check_schema(SCHEMA)
    severities = SCHEMA["items"]["properties"]["severity"]["enum"]
    assert set(severities) <= {"info", "minor", "major", "critical", "blocker"}


def issues(result: LintResult) -> list[dict[str, Any]]:
    """The issues of a report, each of which has the documented fields."""
    content: list[dict[str, Any]] = strict_json(rendered(result, "gitlab"))
    assert isinstance(content, list)
    VALIDATOR.validate(content)
    return content


def test_a_finding_is_an_issue() -> None:
    """At its line; the suppressed ones are none."""
    assert issues(empty()) == []
    found = issues(sample())
    assert found[0] == {
        "description": "unknown setting 'lock_managr': libvirt ignores it\n"
        "did you mean 'lock_manager'?",
        "check_name": "LK102",
        "fingerprint": fingerprint(1),
        "severity": "major",
        "location": {"path": "hosts/a/qemu.conf", "lines": {"begin": 3}},
    }
    assert [issue["severity"] for issue in found] == [
        *("major", "critical", "major", "info", "blocker"),
    ]
    assert found[3]["location"] == {"path": "/etc/libvirt/qemu.conf", "lines": {"begin": 1}}
    assert found[4]["description"] == "cannot be read: Permission denied"


@given(hostile_results)
@settings(deadline=None)
def test_hostile_files_do_not_break_it(result: LintResult) -> None:
    """It parses, has its fields, and nothing is lost."""
    assert len(issues(result)) == len(result.counted) + len(result.unreadable)
