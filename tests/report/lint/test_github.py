"""Workflow commands, taken apart as GitHub's runner does."""

from __future__ import annotations

import re

from hypothesis import given, settings

from lockcfg.report.diagnostics import relative, words
from lockcfg.report.untrusted import plain
from tests.report.lint import ROOT, empty, hostile_results, rendered, sample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.lint.result import LintResult

_LINE = re.compile(r"::(error|warning|notice)(?: ([^:]*))?::(.*)", re.DOTALL)


def unescape(text: str, *, data: bool = False) -> str:
    """What the runner makes of a value, the percent sign last."""
    text = text.replace("%0D", "\r").replace("%0A", "\n")
    if not data:
        text = text.replace("%3A", ":").replace("%2C", ",")
    return text.replace("%25", "%")


def commands(result: LintResult) -> list[tuple[str, dict[str, str], str]]:
    """The name, the properties and the message of each line."""
    output = rendered(result, "github")
    assert "\r" not in output
    found = []
    for line in output.split("\n")[:-1]:
        match = _LINE.fullmatch(line)
        assert match, line
        pairs = (pair.split("=", 1) for pair in (match[2] or "").split(",") if pair)
        properties = {key: unescape(value) for key, value in pairs}
        found.append((match[1], properties, unescape(match[3], data=True)))
    return found


def test_a_finding_is_an_annotation() -> None:
    """At its place; the suppressed ones are none."""
    assert rendered(empty(), "github") == ""
    assert rendered(sample(), "github").splitlines()[0] == (
        "::warning file=hosts/a/qemu.conf,line=3,col=1,endColumn=12,title=LK102 unknown-key"
        "::unknown setting 'lock_managr': libvirt ignores it%0Adid you mean 'lock_manager'?"
    )
    found = commands(sample())
    assert [name for name, _, _ in found] == [
        *("warning", "error", "warning", "notice", "error", "notice"),
    ]
    assert found[1][2] == "expecting a value [here](1), 100% {sure}"
    assert found[2][1]["file"] == "hosts/b c/qemu.conf"
    assert found[3][1] == {"file": "/etc/libvirt/qemu.conf", "title": "LK205 sample-trap"}
    assert found[4] == (
        "error",
        {"file": "hosts/d/qemu.conf"},
        "cannot be read: Permission denied",
    )


@given(hostile_results)
@settings(deadline=None)
def test_hostile_files_make_no_commands_of_their_own(result: LintResult) -> None:
    """One line a finding, and what the runner reads is what was meant."""
    found = commands(result)
    counted = result.counted
    assert len(found) == len(counted) + len(result.unreadable) + len(result.notes)
    for (_, properties, message), each in zip(found, counted, strict=False):
        assert properties["file"] == plain(relative(each.finding.path, ROOT))
        assert properties["title"] == f"{each.code} {each.finding.rule}"
        assert message == plain(words(each.finding))
