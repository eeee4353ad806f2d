"""What a person reads."""

from __future__ import annotations

from hypothesis import given, settings

from lockcfg.findings import Place
from lockcfg.lint.result import LintResult
from tests.report.lint import ROOT, RULES, diagnostic, empty, hostile_results, rendered, sample


def test_a_finding_has_its_line_its_help_and_its_fix() -> None:
    """And the code that waivers and the manual go by. Suppressed ones are not shown."""
    assert rendered(sample(), "text") == (
        "hosts/a/qemu.conf:3:1: warning: unknown setting 'lock_managr': libvirt ignores it"
        " [LK102 unknown-key]\n"
        '  3 | lock_managr = "lockd"\n'
        "    | ^~~~~~~~~~~\n"
        "  help: did you mean 'lock_manager'?\n"
        "  fix: rename it to lock_manager (fixable with --fix)\n"
        "hosts/a/qemu.conf:7:5: error: expecting a value [here](1), 100% {sure} [LK101 syntax]\n"
        "  7 | é漢 = \n"
        "    |      ^\n"
        "hosts/b c/qemu.conf:3:1: warning: unknown setting 'lock_managr': libvirt ignores it"
        " [LK102 unknown-key]\n"
        '  3 | lock_managr = "lockd"\n'
        "    | ^~~~~~~~~~~\n"
        "  help: did you mean 'lock_manager'?\n"
        "  fix: remove it (fixable with --unsafe-fixes)\n"
        "/etc/libvirt/qemu.conf: info: unknown setting 'lock_managr': libvirt ignores it"
        " [LK205 sample-trap]\n"
        "hosts/d/qemu.conf: error: cannot be read: Permission denied\n"
        "note: hosts/c/qemu.conf: a template, passed over\n"
        "4 findings in 4 files, 1 fixable, 3 suppressed, 1 passed over, 1 unreadable\n"
    )


def test_the_last_line_counts() -> None:
    """One finding is no findings."""
    assert rendered(empty(), "text") == "0 findings in 3 files, 0 fixable, 0 suppressed\n"
    one = LintResult([diagnostic()], RULES, files=1, hosts=1)
    assert rendered(one, "text").endswith("\n1 finding in 1 file, 1 fixable, 0 suppressed\n")


def test_statistics_count_by_rule() -> None:
    """The most first; what is suppressed does not count."""
    assert rendered(sample(), "text", statistics=True) == (
        "  2  LK102  unknown-key  1 fixable\n"
        "  1  LK101  syntax\n"
        "  1  LK205  sample-trap\n"
        "4 findings in 4 files, 1 fixable, 3 suppressed, 1 passed over, 1 unreadable\n"
    )
    assert rendered(empty(), "text", statistics=True).startswith("0 findings")


def test_a_secret_is_hidden_before_the_line_is_cut() -> None:
    """The line is cut around the place, and a value without its name looks like no secret."""
    line = 'vnc_password = "' + "hunter2" * 40
    place = Place(f"{ROOT}/f", 1, len(line), line, 1)
    output = rendered(LintResult([diagnostic(place=place)], RULES, files=1, hosts=1), "text")
    assert 'vnc_password = "********"' in output
    assert "hunter2" not in output


@given(hostile_results)
@settings(deadline=None)
def test_a_finding_takes_as_many_lines_as_it_should(result: LintResult) -> None:
    """Nothing from a file begins a line of its own."""
    expected = 1 + len(result.unreadable) + len(result.notes)
    for each in result.counted:
        place = each.finding.place
        source = 2 if place is not None and place.text.strip() else 0
        expected += 1 + source + bool(each.finding.help) + (each.fix is not None)
    assert rendered(result, "text").count("\n") == expected
