"""Checkstyle's XML."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given, settings

from lockcfg.report.diagnostics import words
from tests.report.lint import empty, hostile_results, rendered, sample, xmllint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.lint.result import LintResult


def report(result: LintResult) -> ElementTree.Element:
    """The report."""
    root = ElementTree.fromstring(rendered(result, "checkstyle"))
    assert (root.tag, list(root.attrib)) == ("checkstyle", ["version"])
    assert {file.tag for file in root} <= {"file"}
    return root


def test_a_finding_is_an_error_of_its_file() -> None:
    """The suppressed ones are none."""
    assert len(report(empty())) == 0
    root = report(sample())
    assert [file.attrib["name"] for file in root] == [
        *("hosts/a/qemu.conf", "hosts/b c/qemu.conf"),
        *("/etc/libvirt/qemu.conf", "hosts/d/qemu.conf"),
    ]
    assert [len(file) for file in root] == [2, 1, 1, 1]
    assert root[0][0].attrib == {
        "line": "3",
        "column": "1",
        "severity": "warning",
        "message": "unknown setting 'lock_managr': libvirt ignores it\n"
        "did you mean 'lock_manager'?",
        "source": "lockcfg.LK102",
    }
    assert root[2][0].attrib["line"] == "1"
    assert "column" not in root[2][0].attrib
    assert root[3][0].attrib["message"] == "cannot be read: Permission denied"


@given(hostile_results)
@settings(deadline=None, max_examples=50)
def test_hostile_files_do_not_break_it(result: LintResult) -> None:
    """It is well-formed for libxml2 as for Python, and attributes say what was meant."""
    output = rendered(result, "checkstyle")
    assert output.isascii()
    xmllint(output)
    found = [error.attrib for error in report(result).iter("error")]
    expected = [words(each.finding) for each in result.counted]
    assert [error["message"] for error in found[: len(expected)]] == expected
    assert len(found) == len(expected) + len(result.unreadable)
