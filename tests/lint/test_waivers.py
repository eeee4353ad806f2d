"""Waivers: in comments and in the settings, with a reason and for a time."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcfg.conf.files import KINDS
from lockcfg.conf.load import parse
from lockcfg.errors import ConfSyntaxError
from lockcfg.lint.engine import Linter
from lockcfg.lint.settings import LintSettings, SettingsWaiver
from lockcfg.lint.waivers import Waiver, waivers_in
from tests.lint import codes, host, lint, write

if TYPE_CHECKING:
    from pathlib import Path

    from lockcfg.lint.result import LintResult

TODAY = datetime.date(2027, 6, 30)


def read(text: str | bytes) -> list[Waiver]:
    """The waivers of a qemu.conf."""
    raw = text if isinstance(text, bytes) else text.encode()
    return waivers_in(parse(raw, KINDS["qemu.conf"], "qemu.conf"))


def run(top: Path, text: str, **settings: Any) -> LintResult:
    """A run over a host with ``text`` in its qemu.conf, on a certain day."""
    if "lock_manager" not in text:
        text += 'lock_manager = "lockd"\n'
    write(top, host("a", qemu=text))
    return Linter(LintSettings(str(top), path=f"{top}/.lockcfg.yaml", **settings), today=TODAY).run(
        [str(top)]
    )


def reasons(result: LintResult) -> list[tuple[str, str, str]]:
    """What is suppressed, how and why."""
    return [
        (d.code, d.suppression.kind, d.suppression.reason)
        for d in result.diagnostics
        if d.suppression is not None
    ]


# --- in comments


@pytest.mark.parametrize(
    "comment",
    [
        "# lockcfg: ignore[LK105] why",
        "#lockcfg:ignore[LK105]why",
        "#\tlockcfg: \tignore[ LK105 ] why\t",
        "# lockcfg: ignore[LK102,LK105] why",
        "# lockcfg: ignore[LK10] why",
        "# lockcfg: ignore[wrong-type] why",
        "# lockcfg: ignore[ALL] why",
        "# see below # lockcfg: ignore[LK105] why",
        "# lockcfg: ignore[LK105] why (until 2027-06-30)",
    ],
)
def test_a_waiver_on_the_line_or_above_it(tmp_path: Path, comment: str) -> None:
    """However it is spelled."""
    for text in (f'max_files = "5" {comment}\n', f'{comment}\nmax_files = "5"\n'):
        result = run(tmp_path, text, ignore=["LK110", "LK902"])
        assert codes(result) == []
        assert reasons(result) == [("LK105", "inline", "why")]


@pytest.mark.parametrize(
    "text",
    [
        '# lockcfg: ignore[LK102] why\nmax_files = "5"\n',
        '# lockcfg: ignore[LK105] why\n\nmax_files = "5"\n',
        'max_files = "5"\n# lockcfg: ignore[LK105] why\n',
        'user = "x" # lockcfg: ignore[LK105] why\nmax_files = "5"\n',
        'max_files = "5" # lockcfg ignore[LK105] why\n',
        'max_files = "5" # lockcfg: IGNORE[LK105] why\n',
        'max_files = "5" # lockcfg: ignore LK105 why\n',
        'max_files = "5" # lockcfg: ignore[LK105\n',
        'max_files = "5" # lockcfg: ignore[] why\n',
        'max_files = "5"\nuser = "# lockcfg: ignore-file[LK105] in a string"\n',
        'max_files = "5"\nuser = """\n# lockcfg: ignore-file[LK105]\n"""\n',
    ],
)
def test_what_waives_nothing(tmp_path: Path, text: str) -> None:
    """Of another rule, at another place, or no waiver at all."""
    assert "LK105" in codes(run(tmp_path, text))


def test_a_waiver_behind_a_list(tmp_path: Path) -> None:
    """That ends on another line than it begins is about all of it."""
    text = 'namespaces = [\n "mount",\n "x"\n]  # lockcfg: ignore[LK106] why\n'
    result = run(tmp_path, text, ignore=["LK110"])
    assert codes(result) == []
    assert reasons(result) == [("LK106", "inline", "why")]


def test_a_waiver_of_a_whole_file(tmp_path: Path) -> None:
    """Wherever it stands in it; and of that file alone."""
    text = 'max_files = "5"\nmax_queued = "x"\n# lockcfg: ignore-file[LK105] why\n'
    write(tmp_path, {"b/qemu.conf": 'max_files = "5"\n'})
    result = run(tmp_path, text, select=["LK105"])
    assert reasons(result) == [("LK105", "inline", "why")] * 2
    assert [d.finding.path for d in result.counted] == [str(tmp_path / "b/qemu.conf")]


def test_a_waiver_of_what_a_host_is_found_to_be(tmp_path: Path) -> None:
    """A finding that files make together, or hosts, stands in one of them as well."""
    write(tmp_path, {"b/qemu.conf": '# lockcfg: ignore[LK202] a lab\nlock_manager = "nop"\n'})
    result = run(tmp_path, "")
    assert codes(result) == []
    assert reasons(result) == [("LK202", "inline", "a lab")]
    (tmp_path / "b/qemu.conf").unlink()
    for n in range(9):
        write(tmp_path, host(f"h{n}"))
    odd = '# lockcfg: ignore[LK503] the old cluster\nlock_manager = "sanlock"\n'
    result = run(tmp_path, odd, select=["LK503", "LK902"])
    assert codes(result) == []
    assert reasons(result) == [("LK503", "inline", "the old cluster")]


def test_a_time_that_is_over(tmp_path: Path) -> None:
    """The finding counts again, and so does the waiver."""
    text = 'max_files = "5"  # lockcfg: ignore[LK105] soon (until 2027-06-29)\n'
    result = run(tmp_path, text, ignore=["LK110"])
    assert codes(result) == ["LK105", "LK901"]
    (expired,) = (d.finding for d in result.counted if d.code == "LK901")
    assert expired.severity == "error"
    assert "ended on 2027-06-29" in expired.message
    assert expired.place is not None
    assert (expired.place.line, expired.place.column) == (1, 18)


def test_the_last_day_counts(tmp_path: Path) -> None:
    """And the next one no more."""
    for day, expected in (("29", "LK901"), ("30", None)):
        text = f'# lockcfg: ignore[LK105] x (until 2027-06-{day})\nmax_files = "5"\n'
        assert ("LK901" in codes(run(tmp_path, text))) == (expected is not None)


@pytest.mark.parametrize("date", ["2027-02-30", "2027-13-01", "0000-00-00", "9999-99-99"])
def test_a_day_that_is_none_has_passed(tmp_path: Path, date: str) -> None:
    """Said so."""
    text = f'# lockcfg: ignore[LK105] x (until {date})\nmax_files = "5"\n'
    result = run(tmp_path, text)
    assert sorted(codes(result)) == ["LK105", "LK901"]
    assert any("is not a day of the calendar" in d.finding.message for d in result.counted)


@pytest.mark.parametrize("date", ["2027-1-1", "tomorrow", "30.6.2027", "2027-06-30T00:00"])
def test_what_looks_like_no_date_is_part_of_the_reason(date: str) -> None:
    """So that it is read by a person."""
    (waiver,) = read(f"# lockcfg: ignore[LK105] x (until {date})\n")
    assert (waiver.until, waiver.reason) == (None, f"x (until {date})")


def test_a_waiver_of_nothing(tmp_path: Path) -> None:
    """It is a finding, unless its rule does not run."""
    text = "# lockcfg: ignore[LK105] why\nmax_files = 5\n"
    assert codes(run(tmp_path, text)) == ["LK902"]
    assert codes(run(tmp_path, text, ignore=["LK105"])) == []
    assert codes(run(tmp_path, text, select=["LK101", "LK902"])) == []
    assert codes(run(tmp_path, text, ignore=["LK902"])) == []


def test_a_waiver_of_several_rules_needs_one_finding(tmp_path: Path) -> None:
    """They were written together."""
    text = '# lockcfg: ignore[LK102, LK105] why\nmax_files = "5"\n'
    assert codes(run(tmp_path, text)) == []


def test_two_waivers_of_one_finding(tmp_path: Path) -> None:
    """The first one waives it, the other is not needed."""
    text = '# lockcfg: ignore[LK105] above\nmax_files = "5" # lockcfg: ignore[LK105] behind\n'
    result = run(tmp_path, text, ignore=["LK110"])
    assert codes(result) == ["LK902"]
    assert reasons(result) == [("LK105", "inline", "above")]


@pytest.mark.parametrize("reason", ["", " ", "  (until 2099-01-01)"])
def test_a_waiver_without_reason(tmp_path: Path, reason: str) -> None:
    """Counts, and is a finding."""
    result = run(tmp_path, f'# lockcfg: ignore[LK105]{reason}\nmax_files = "5"\n')
    assert codes(result) == ["LK903"]
    assert codes(result, suppressed=True) == ["LK105"]


def test_a_waiver_of_no_rule(tmp_path: Path) -> None:
    """Each name that is none, with the nearest there is; the others count."""
    text = '# lockcfg: ignore[LK105, wrong-typ, LK999] why\nmax_files = "5"\n'
    result = run(tmp_path, text)
    assert codes(result) == ["LK905", "LK905"]
    messages = [f"{d.finding.message} {d.finding.help}" for d in result.counted]
    assert any("'wrong-typ'" in m and "did you mean 'wrong-type'?" in m for m in messages)
    assert any("'LK999'" in m for m in messages)


def test_a_file_that_cannot_be_parsed_waives_nothing(tmp_path: Path) -> None:
    """What is a comment in it, no one can tell."""
    assert codes(run(tmp_path, "# lockcfg: ignore-file[LK101] why\nuser = x\n")) == ["LK101"]


def test_a_waiver_in_an_editor_is_not_unneeded(tmp_path: Path) -> None:
    """One file alone is not all that it may be about."""
    linter = Linter(LintSettings(str(tmp_path)), today=TODAY)
    text = b'# lockcfg: ignore[LK202] a lab\nlock_manager = "nop"\n# lockcfg: ignore[LK105] x\n\n'
    result = linter.run_text(text, str(tmp_path / "qemu.conf"), KINDS["qemu.conf"])
    assert [(d.code, d.finding.place.line) for d in result.counted if d.finding.place] == [
        ("LK902", 3)
    ]


def test_line_ends_and_odd_bytes() -> None:
    """A comment ends with its line, whatever ends it."""
    for eol in ("\n", "\r\n", "\r"):
        found = read(f"# lockcfg: ignore[LK1] one{eol}a = 1{eol}")
        assert [waiver.reason for waiver in found] == ["one"]
    (waiver,) = read(b"# lockcfg: ignore[LK1] caf\xe9\n")
    assert waiver.reason == "caf\udce9"
    assert read(b"") == read(b"# lockcfg:\n") == read(b"# lockcfg: ignore\n") == []


@given(
    st.lists(
        st.sampled_from(
            [
                "# ",
                "lockcfg:",
                " ignore",
                "ignore-file",
                "[",
                "]",
                "LK105",
                ",",
                " (until ",
                "2027",
                "-02-30",
                ")",
                "\n",
                "\r",
                "a = 1",
                ' b = "#"',
                "é",
                "#",
                "'''",
                '"""',
                "-01",
            ]
        ),
        max_size=14,
    ).map("".join)
)
def test_any_comment_is_a_waiver_or_none(text: str) -> None:
    """Nothing is raised, and what is found is about a line of the file or the one behind it."""
    try:
        found = read(text)
    except ConfSyntaxError:
        return
    for waiver in found:
        assert 1 <= waiver.line <= text.count("\n") + 2
        raw = text.encode()[waiver.span.start : waiver.span.end]
        assert raw.startswith(b"#")
        assert b"\n" not in raw


# --- in the settings


def waiver(rule: str, path: str, until: str | None = None) -> SettingsWaiver:
    """A waiver of the settings."""
    return SettingsWaiver(rule, path, "why", datetime.date.fromisoformat(until) if until else None)


def test_a_waiver_of_the_settings(tmp_path: Path) -> None:
    """By rule and path; the others count."""
    write(tmp_path, {"b/qemu.conf": 'max_files = "5"\n'})
    waivers = [waiver("LK105", "a")]
    result = run(tmp_path, 'max_files = "5"\nnope = 1\n', waivers=waivers, select=["LK1"])
    assert reasons(result) == [("LK105", "settings", "why")]
    assert codes(result) == ["LK102", "LK105"]


def test_a_waiver_of_the_settings_expires(tmp_path: Path) -> None:
    """And is then a finding about the settings file."""
    waivers = [waiver("LK105", "a", "2027-06-29")]
    result = run(tmp_path, 'max_files = "5"\n', waivers=waivers)
    assert sorted(codes(result)) == ["LK105", "LK901"]
    (expired,) = (d.finding for d in result.counted if d.code == "LK901")
    assert expired.path == f"{tmp_path}/.lockcfg.yaml"


def test_a_waiver_of_the_settings_that_is_not_needed(tmp_path: Path) -> None:
    """Of a rule without a finding, or of a path without a file; not of a rule that is off."""
    waivers = [waiver("LK105", "a"), waiver("LK105", "b"), waiver("LK102", "a")]
    result = run(tmp_path, 'max_files = "5"\n', waivers=waivers)
    assert codes(result) == ["LK902", "LK902"]
    assert {d.finding.path for d in result.counted} == {f"{tmp_path}/.lockcfg.yaml"}
    assert codes(run(tmp_path, 'max_files = "5"\n', waivers=waivers, select=["LK105"])) == []


def test_a_part_of_the_repository_says_nothing_of_the_rest(tmp_path: Path) -> None:
    """A waiver for what was not looked at may be needed there; one for what was may not."""
    write(tmp_path, {**host("a"), **host("b", qemu='lock_manager = "lockd"\nmax_files = "5"\n')})
    waivers = [waiver("LK105", "b"), waiver("LK105", "c")]
    for name, unneeded in ((".", 1), ("a", 0), ("b", 0)):
        result = lint(
            tmp_path, [tmp_path / name], waivers=waivers, path=str(tmp_path / ".lockcfg.yaml")
        )
        assert codes(result) == ["LK902"] * unneeded, name


def test_a_comment_waives_before_the_settings(tmp_path: Path) -> None:
    """Which are then not needed."""
    text = '# lockcfg: ignore[LK105] here\nmax_files = "5"\n'
    result = run(tmp_path, text, waivers=[waiver("LK105", "a")])
    assert reasons(result) == [("LK105", "inline", "here")]
    assert codes(result) == ["LK902"]


def test_an_expired_comment_leaves_it_to_the_settings(tmp_path: Path) -> None:
    """The finding is waived, and the comment is told of."""
    text = '# lockcfg: ignore[LK105] here (until 2020-01-01)\nmax_files = "5"\n'
    result = run(tmp_path, text, waivers=[waiver("LK105", "a")])
    assert reasons(result) == [("LK105", "settings", "why")]
    assert codes(result) == ["LK901"]


def test_waivers_of_findings_about_waivers(tmp_path: Path) -> None:
    """In the settings, as for every other finding."""
    text = '# lockcfg: ignore[LK105]\nmax_files = "5"\n'
    result = run(tmp_path, text, waivers=[waiver("LK903", "*")])
    assert codes(result) == []
    assert sorted(codes(result, suppressed=True)) == ["LK105", "LK903"]
