"""Logging commands, taken apart as the agent of Azure Pipelines does."""

from __future__ import annotations

from hypothesis import given, settings

from lockcfg.report.diagnostics import relative, words
from lockcfg.report.untrusted import plain
from tests.report.lint import ROOT, empty, hostile_results, rendered, sample

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.lint.result import LintResult


def unescape(text: str) -> str:
    """What the agent makes of a value, the percent sign last."""
    for escape, character in (("%3B", ";"), ("%0D", "\r"), ("%0A", "\n"), ("%5D", "]")):
        text = text.replace(escape, character)
    return text.replace("%AZP25", "%")


def commands(result: LintResult) -> list[tuple[str, dict[str, str], str]]:
    """The command, the properties and the message of each line."""
    output = rendered(result, "azure")
    assert "\r" not in output
    found = []
    for line in output.split("\n")[:-1]:
        prefix, command, rest = line.partition("##vso[")
        assert (prefix, command) == ("", "##vso["), line
        head, _, message = rest.partition("]")
        name, _, fields = head.partition(" ")
        pairs = (pair.split("=", 1) for pair in fields.split(";") if pair)
        properties = {key: unescape(value) for key, value in pairs}
        found.append((name, properties, unescape(message)))
    return found


def test_a_finding_is_an_issue() -> None:
    """At its place; the suppressed ones are none."""
    assert rendered(empty(), "azure") == ""
    first, second = rendered(sample(), "azure").splitlines()[:2]
    assert first == (
        "##vso[task.logissue type=warning;sourcepath=hosts/a/qemu.conf;linenumber=3;"
        "columnnumber=1;code=LK102;]unknown setting 'lock_managr': libvirt ignores it"
        "%0Adid you mean 'lock_manager'?"
    )
    assert second == (
        "##vso[task.logissue type=error;sourcepath=hosts/a/qemu.conf;linenumber=7;"
        "columnnumber=5;code=LK101;]expecting a value [here%5D(1), 100%AZP25 {sure}"
    )
    found = commands(sample())
    assert [properties.get("type") for _, properties, _ in found] == [
        *("warning", "error", "warning", "warning", "error", None),
    ]
    assert found[1][2] == "expecting a value [here](1), 100% {sure}"
    assert found[5] == ("task.debug", {}, "hosts/c/qemu.conf: a template, passed over")


@given(hostile_results)
@settings(deadline=None)
def test_hostile_files_make_no_commands_of_their_own(result: LintResult) -> None:
    """One line a finding, and what the agent reads is what was meant."""
    found = commands(result)
    counted = result.counted
    assert len(found) == len(counted) + len(result.unreadable) + len(result.notes)
    for (name, properties, message), each in zip(found, counted, strict=False):
        assert name == "task.logissue"
        assert properties["sourcepath"] == plain(relative(each.finding.path, ROOT))
        assert properties["code"] == each.code
        assert message == words(each.finding)
