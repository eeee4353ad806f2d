"""JUnit's XML, against the schema of Jenkins."""

from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given, settings

from lockcfg.findings import Place
from lockcfg.lint.result import LintResult, Suppression
from lockcfg.report.untrusted import clean
from tests.report.lint import (
    DATA,
    ROOT,
    RULES,
    diagnostic,
    empty,
    hostile_results,
    rendered,
    sample,
    xmllint,
)

SCHEMA = DATA / "junit-10.xsd"


def report(result: LintResult) -> ElementTree.Element:
    """The report, whose counts are right."""
    root = ElementTree.fromstring(rendered(result, "junit"))
    for suite in root:
        assert int(suite.attrib["tests"]) == len(suite.findall("testcase"))
        for count, outcome in (("failures", "failure"), ("errors", "error"), ("skipped",) * 2):
            assert int(suite.attrib[count]) == len(suite.findall(f"testcase/{outcome}"))
    for count in ("tests", "failures", "errors"):
        assert int(root.attrib[count]) == sum(int(suite.attrib[count]) for suite in root)
    return root


def test_a_file_is_a_suite_and_a_finding_a_case() -> None:
    """What is suppressed is skipped, what could not be read is an error."""
    xmllint(rendered(sample(), "junit"), SCHEMA)
    root = report(sample())
    assert [suite.attrib["name"] for suite in root] == [
        *("hosts/a/qemu.conf", "hosts/b c/qemu.conf"),
        *("/etc/libvirt/qemu.conf", "hosts/d/qemu.conf"),
    ]
    case = root[0][0]
    assert case.attrib == {
        "name": "LK102 unknown-key at 3:1",
        "classname": "hosts/a/qemu.conf",
    }
    assert case[0].tag == "failure"
    assert case[0].attrib == {
        "message": "unknown setting 'lock_managr': libvirt ignores it",
        "type": "LK102",
    }
    assert case[0].text == (
        "hosts/a/qemu.conf:3:1: warning: unknown setting 'lock_managr': libvirt ignores it\n"
        "did you mean 'lock_manager'?"
    )
    assert [(case.attrib["name"], case[0].tag) for case in root[1]] == [
        ("LK102 unknown-key at 3:1", "failure"),
        ("LK102 unknown-key at 3:1 (2)", "skipped"),
        ("LK102 unknown-key at 3:1 (3)", "skipped"),
        ("LK102 unknown-key at 3:1 (4)", "skipped"),
    ]
    assert root[1][1][0].attrib == {"message": "old, ticket 7"}
    assert root[3][0][0].tag == "error"
    assert root[3][0][0].attrib == {"message": "cannot be read: Permission denied"}


def test_a_run_without_findings_has_a_case_that_passed() -> None:
    """For an empty report is taken for one that went wrong."""
    waived = diagnostic(suppression=Suppression("inline", "known"))
    for run in (empty(), LintResult([waived], RULES, files=3, hosts=1)):
        xmllint(rendered(run, "junit"), SCHEMA)
        (case,) = report(run)[-1]
        assert case.attrib["name"] == "3 files checked"
        assert len(case) == 0


def test_what_xml_cannot_hold_is_replaced() -> None:
    """And what it could mistake is escaped."""
    message = "a\x00\x1b\ufffe\udcff]]><&\"'\n\r\té"
    place = Place(f"{ROOT}/f", 1, 1)
    run = LintResult([diagnostic(message=message, place=place)], RULES, files=1, hosts=1)
    output = rendered(run, "junit")
    xmllint(output, SCHEMA)
    assert output.isascii()
    assert report(run)[0][0][0].attrib["message"] == clean(message)


@given(hostile_results)
@settings(deadline=None, max_examples=50)
def test_hostile_files_do_not_break_it(result: LintResult) -> None:
    """It is valid, and attributes say what was meant."""
    xmllint(rendered(result, "junit"), SCHEMA)
    messages = [failure.attrib["message"] for failure in report(result).iter("failure")]
    assert messages == [clean(each.finding.message) for each in result.counted]
