"""What a person sees, whatever is in the files."""

from __future__ import annotations

import io

import pytest

from lockcfg.conf.files import KINDS
from lockcfg.conf.settings import settings_of
from lockcfg.findings import Finding, Place
from lockcfg.report import terminal
from lockcfg.report.secrets import HIDDEN, hide_secrets
from lockcfg.report.terminal import Terminal, escape


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        """It is."""
        return True


def rendered(finding: Finding) -> str:
    """A finding as it is printed into a pipe."""
    stream = io.StringIO()
    Terminal(stream).finding(finding)
    return stream.getvalue()


def at(text: str, column: int, length: int = 0) -> Finding:
    """A finding about a place in a line."""
    return Finding("a-rule", "error", "m", path="f", place=Place("f", 3, column, text, length))


def test_the_caret_is_under_the_place() -> None:
    """Counted in columns of the terminal, not in characters or bytes."""
    assert rendered(at('lock_manager = "lockdd"', 16, 8)) == (
        'f:3:16: error: m [a-rule]\n  3 | lock_manager = "lockdd"\n    |                ^~~~~~~~\n'
    )
    wide = rendered(at('é漢 = "x"', 6, 3)).splitlines()
    assert wide[2].index("^") == wide[1].index('"') + 1  # one wide character before it


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x07", "\x00", "\r", "\u202e", "\x9b31m"])
def test_nothing_from_a_file_drives_the_terminal(hostile: str) -> None:
    """Escape sequences, bells, direction overrides: all shown, none sent."""
    text = f"a{hostile}b"
    output = rendered(
        Finding(text, "error", text, path=text, place=Place(text, 1, 2, text, 1), help=text)
    )
    assert hostile not in output.replace("\n", "")
    assert escape(hostile).startswith("\\")


def test_bytes_that_are_not_utf8_are_shown() -> None:
    """And do not break the output."""
    assert escape("caf\udce9") == "caf\\xe9"


def test_a_long_line_is_cut_around_the_place() -> None:
    """The place stays in sight."""
    lines = rendered(at("x" * 5000 + "HERE" + "y" * 5000, 5001, 4)).splitlines()
    assert len(lines[1]) < 200
    caret = lines[2].index("^")
    assert lines[1][caret : caret + 4] == "HERE"


def test_colour_is_for_terminals_and_not_where_it_is_unwanted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """https://no-color.org: set to anything but the empty string."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert "\x1b[" in Terminal(Tty()).style("x", "error")
    assert Terminal(io.StringIO()).style("x", "error") == "x"
    monkeypatch.setenv("NO_COLOR", "1")
    assert Terminal(Tty()).style("x", "error") == "x"
    monkeypatch.setenv("NO_COLOR", "")
    monkeypatch.setenv("TERM", "dumb")
    assert Terminal(Tty()).style("x", "error") == "x"


@pytest.mark.parametrize(
    "line",
    [
        'vnc_password = "hunter2"',
        "vnc_password='hunter2' # c",
        'spice_password="""hunter2"""',
        '+#vnc_password = "hunter2"',
        'a = 1; vnc_password = "hunter2"; b = 2',
        'vnc_password = "hunter2',
        "vnc_password = hunter2",
        "spice_password =hunter2;",
    ],
)
def test_a_password_is_never_printed(line: str) -> None:
    """Not in a diff, not in a line with an error, not commented out, not cut short."""
    assert "hunter2" not in hide_secrets(line)
    assert HIDDEN in hide_secrets(line)
    assert "hunter2" not in rendered(at(line, 5, 3))


def test_the_hidden_settings_are_the_secret_ones() -> None:
    """A secret that a schema gains must be hidden too."""
    for kind in KINDS.values():
        for key, setting in settings_of(kind).items():
            assert (hide_secrets(f'{key} = "x"') != f'{key} = "x"') == setting.secret, key


class _Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_paragraphs_fit_the_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the words are; and they are all there. What is no terminal gets one line."""
    monkeypatch.setenv("NO_COLOR", "1")
    text = "two hosts lock /srv/" + "x" * 90 + " and 漢字 " * 12
    for columns in (20, 33, 80):
        monkeypatch.setenv("COLUMNS", str(columns))
        screen = _Screen()
        Terminal(screen).paragraph(("note:", "info"), (text, ""), indent=2, hang=2)
        lines = screen.getvalue().splitlines()
        assert all(terminal._columns(line) <= columns for line in lines)
        assert lines[0].startswith("  note:")
        assert all(line.startswith("    ") for line in lines[1:])
        assert "".join("".join(lines).split()) == "note:" + "".join(text.split())
    pipe = io.StringIO()
    Terminal(pipe).paragraph((text, ""), indent=2)
    assert len(pipe.getvalue().splitlines()) == 1
