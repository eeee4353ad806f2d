"""Fixes: what they do to a text, and that they leave alone what they are not about."""

from __future__ import annotations

import contextlib
import io
import random
from typing import TYPE_CHECKING
from zlib import crc32

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lockcfg.conf.files import KINDS
from lockcfg.conf.load import parse
from lockcfg.errors import ConfSyntaxError
from lockcfg.lint.fixes import applied, are_for, fixable
from lockcfg.lint.result import LintFix, LintReplacement
from lockcfg.main import main
from tests.lint import host, lint, write
from tests.real.generate import Generator
from tests.real.libvirt_parser import Accepted, LibvirtParser

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real.libvirt_parser import Value


def fix(*edits: tuple[int, int, int, int, str], made_for: int | None = None) -> LintFix:
    """A safe fix of some stretches."""
    return LintFix("safe", "x", [LintReplacement(*edit) for edit in edits], made_for)


def run(*arguments: str | Path) -> tuple[int, str]:
    """The command in this process: its status and what it prints."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        status = main(["lint", *map(str, arguments)])
    return status, output.getvalue()


def mended(top: Path, text: str | bytes, *options: str, name: str = "qemu.conf") -> bytes:
    """What the command makes of a text; a second run makes nothing more of it."""
    write(top, {name: text})
    run("--fix", *options, top)
    once = (top / name).read_bytes()
    run("--fix", *options, top)
    assert (top / name).read_bytes() == once
    return once


# --- applying


@pytest.mark.parametrize(
    ("text", "edit", "expected"),
    [
        (b"ab\ncd\n", (1, 1, 1, 2, "x"), b"xb\ncd\n"),
        (b"ab\ncd\n", (2, 2, 2, 3, ""), b"ab\nc\n"),
        (b"ab\ncd\n", (1, 1, 2, 1, ""), b"cd\n"),
        (b"ab\ncd\n", (2, 1, 3, 1, ""), b"ab\n"),
        (b"ab\ncd", (2, 1, 2, 3, "x"), b"ab\nx"),
        (b"ab", (2, 1, 2, 1, "x"), b"abx"),
        (b"", (1, 1, 1, 1, "x"), b"x"),
        ("éö\n漢字\n".encode(), (2, 2, 2, 3, "x"), "éö\n漢x\n".encode()),
        (b"\xff\xfeab\n", (1, 3, 1, 4, "x"), b"\xff\xfexb\n"),
        (b"\xe9ab\xe9\n", (1, 2, 1, 5, "\udce9"), b"\xe9\xe9\n"),
        (b"ab\r\ncd\r\n", (1, 1, 2, 1, ""), b"cd\r\n"),
    ],
)
def test_lines_and_columns(
    text: bytes, edit: tuple[int, int, int, int, str], expected: bytes
) -> None:
    """Lines end at a line feed, columns are characters, and bytes that are none count as one."""
    assert applied(text, [fix(edit)]) == expected


def test_fixes_that_touch_wait(tmp_path: Path) -> None:
    """The first one is applied; all of the other, or nothing of it, the next time."""
    first, second = fix((1, 1, 1, 3, "x")), fix((1, 3, 1, 4, "y"), (2, 1, 2, 2, "z"))
    assert applied(b"abc\nd\n", [first, second]) == b"xc\nd\n"
    assert applied(b"abc\nd\n", [second, first]) == b"aby\nz\n"
    far = fix((2, 1, 2, 2, "z"))
    assert applied(b"abc\nd\n", [first, far]) == applied(b"abc\nd\n", [far, first]) == b"xc\nz\n"
    del tmp_path


def test_a_file_of_nothing_but_blanks_becomes_empty() -> None:
    """As libvirt refuses the one and takes the other."""
    assert applied(b"a = 1\n\n \t\r\n", [fix((1, 1, 2, 1, ""))]) == b""
    assert applied(b"a = 1\n#\n", [fix((1, 1, 2, 1, ""))]) == b"#\n"


def test_a_fix_is_for_the_text_it_was_made_for() -> None:
    """And for no other."""
    text = b"ab\n"
    assert are_for([fix((1, 1, 1, 2, "")), fix((1, 1, 1, 2, ""), made_for=crc32(text))], text)
    assert not are_for([fix((1, 1, 1, 2, ""), made_for=crc32(text))], b"ab")
    assert are_for([], text)


def test_every_fix_of_a_run_says_what_it_was_made_for(tmp_path: Path) -> None:
    """Or the file could be changed under it."""
    write(tmp_path, {"qemu.conf": BAD, "virtlockd.conf": "max_clients = 0\n"})
    write(tmp_path, {"qemu-lockd.conf": "auto_disk_leases = 0\n"})
    fixes = [d.fix for d in lint(tmp_path).diagnostics if d.fix is not None]
    assert len(fixes) > 5
    made_for = {crc32(path.read_bytes()) for path in tmp_path.iterdir()}
    assert {each.made_for for each in fixes} <= made_for


def test_which_fixes_are_applied(tmp_path: Path) -> None:
    """Safe ones, or all of them; none of what is waived, in the baseline or not looked for."""
    text = 'lock_managr = "lockd"\nmax_files = "5"\nmax_queued = "5" # lockcfg: ignore[LK105] x\n'
    write(tmp_path, {"qemu.conf": text})
    result = lint(tmp_path, ignore=["LK110"])
    path = str(tmp_path / "qemu.conf")
    assert [f.safety for f in fixable(result, unsafe=False)[path]] == ["safe"]
    assert [f.safety for f in fixable(result, unsafe=True)[path]] == ["unsafe", "safe"]
    assert fixable(lint(tmp_path, select=["LK101"]), unsafe=True) == {}


# --- the command

BAD = """\
lock_managr = "lockd"
max_files = "5"
max_files = 6
user = 'root'  # why
namespaces = "mount"
lock_manager = 'nop'
"""


def test_safe_and_unsafe(tmp_path: Path) -> None:
    """--fix leaves alone what a person should look at."""
    safe = mended(tmp_path, BAD)
    assert safe == (
        b'lock_managr = "lockd"\nmax_files = 5\n# why\nuser = "root"\nnamespaces = [ "mount" ]\n'
        b'lock_manager = "nop"\n'
    )
    unsafe = mended(
        tmp_path, 'lock_managr = "lockd"\nmax_files = "5"\nmax_files = 6\n', "--unsafe-fixes"
    )
    assert unsafe == b'lock_manager = "lockd"\nmax_files = 5\n'


def test_many_of_one_thing_are_mended_in_one_run(tmp_path: Path) -> None:
    """Though neighbours wait for each other."""
    text = "max_files = 5\n" * 500
    assert mended(tmp_path, text) == b"max_files = 5\n"


def test_what_is_left_is_no_blank_file(tmp_path: Path) -> None:
    """Or libvirt would not start where it did before."""
    assert mended(tmp_path, "max_clients = 0\n\n", "--unsafe-fixes", name="virtlockd.conf") == b""


@pytest.mark.parametrize("eol", ["\r\n", "\r"])
def test_other_line_ends(tmp_path: Path, eol: str) -> None:
    """What is fixed reads as it should, and is fixed once."""
    text = f"max_files = '5'{eol}max_files = 6{eol}# c{eol}user = 'x' # y{eol}"
    new = mended(tmp_path, text)
    entries = parse(new, KINDS["qemu.conf"], "").entries
    assert [(entry.key, entry.value) for entry in entries] == [("max_files", 5), ("user", "x")]


def test_one_file_by_several_names_is_mended_once(tmp_path: Path) -> None:
    """Links to it are links to it still; and the diff shows it once."""
    text = 'max_files = 5\nmax_files = 6\nuser = "x"\nuser = "y"\ngroup = "z"\n'
    write(tmp_path, {"common/qemu.conf": text})
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "qemu.conf").symlink_to("../common/qemu.conf")
    _, diff = run("--fix", "--diff", tmp_path)
    assert diff.count("\n-") == 2
    run("--fix", tmp_path)
    expected = b'max_files = 5\nuser = "x"\ngroup = "z"\n'
    assert (tmp_path / "common/qemu.conf").read_bytes() == expected
    assert (tmp_path / "a/qemu.conf").is_symlink()
    assert (tmp_path / "b/qemu.conf").is_symlink()


def test_a_file_that_is_changed_meanwhile_is_not_mended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By another process, after it was read: the places of the fixes are old."""
    path = tmp_path / "qemu.conf"
    other = b'user = "mine"\nmax_files = 5\nmax_files = 6\n'
    write(tmp_path, {"qemu.conf": "max_files = 5\nmax_files = 6\n"})
    from lockcfg.lint.engine import Linter

    looked = Linter.run

    def run_and_change(*arguments: object) -> object:
        result = looked(*arguments)  # type: ignore[arg-type]
        path.write_bytes(other)
        return result

    monkeypatch.setattr(Linter, "run", run_and_change)
    status, output = run("--fix", tmp_path)
    assert status == 3
    assert "was changed by another program in the meantime" in output
    assert path.read_bytes() == other


def test_the_diff_is_what_is_written(tmp_path: Path) -> None:
    """Applied to the old file by patch it makes the new one."""
    import shutil
    import subprocess

    write(tmp_path, host("a", qemu=BAD))
    shutil.copy(tmp_path / "a/qemu.conf", tmp_path / "copy")
    status, diff = run("--fix", "--diff", "--ignore", "LK104", tmp_path)
    assert status == 1
    assert (tmp_path / "a/qemu.conf").read_text() == BAD
    subprocess.run(["patch", tmp_path / "copy"], input=diff, text=True, check=True)
    run("--fix", "--ignore", "LK104", tmp_path)
    assert (tmp_path / "copy").read_bytes() == (tmp_path / "a/qemu.conf").read_bytes()


# --- properties

PARSER = LibvirtParser()

#: What the rules have something to say of.
STATEMENTS = st.sampled_from(
    [
        b'lock_managr = "lockd"',
        b"lock_manager = 'nop'",
        b'lock_manager = "sanlok"  # why',
        b'max_files = "5"',
        b"max_files = +5 ; max_files = 6",
        b"namespaces = 'mount'  # c",
        b"namespaces = [ 'mount', ]",
        b'security_driver = [ "none" ]',
        b"user = 5",
        b'user = """x"""  # y',
        b"# lockcfg: ignore[LK104] x",
        b"auto_disk_leases = 0",
        b"require_lease_for_disks = '1'",
        b'file_lockspace_dir = "/a//b/ "',
        b"max_clients = 0;",
        b"max_clients = '20'",
        b'log_filters = "1:qemu"',
        b"vnc_password = 'x'",
        b'vnc_password = "y"',
        b"  max_queued = 1 # a",
        b"max_queued = 1; max_queued = 2; max_queued = 3 # b",
        b"",
        b"# c",
    ]
)

DOCUMENTS = st.one_of(
    st.integers(0, 2**32).map(lambda seed: Generator(random.Random(seed)).well_formed()),
    st.builds(
        lambda lines, eol: b"".join(line + eol for line in lines),
        st.lists(STATEMENTS, max_size=8),
        st.sampled_from([b"\n", b"\n", b"\r\n", b"\r"]),
    ),
)

#: Rules whose fixes do not change what is read.
SPELLING = {"LK104", "LK110"}


def read(value: Value) -> Value:
    """A value as libvirt uses it: of some settings a string is a list of one."""
    return value[0] if isinstance(value, tuple) and len(value) == 1 else value


@settings(max_examples=250, deadline=None)
@given(text=DOCUMENTS, name=st.sampled_from([*KINDS]), unsafe=st.booleans())
def test_a_fix_leaves_alone_what_it_is_not_about(
    text: bytes, name: str, unsafe: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """libvirt parses the result and reads there what it read of all settings without a finding;
    a second run changes nothing."""
    before = PARSER.read(text)
    assume(isinstance(before, Accepted))
    assert isinstance(before, Accepted)
    try:
        parse(text, KINDS[name], name)
    except ConfSyntaxError:
        assume(False)  # a list in a list
    top = tmp_path_factory.getbasetemp() / "property"
    for path in top.glob("*"):
        path.unlink()
    write(top, {name: text})
    about = {d.finding.key for d in lint(top).counted if d.code not in SPELLING}
    new = mended(top, text, *(["--unsafe-fixes"] if unsafe else []), name=name)
    after = PARSER.read(new)
    assert isinstance(after, Accepted), after
    for key, value in before.in_force.items():
        if key not in about:
            assert read(after.in_force[key]) == read(value), key
    if not unsafe:
        assert set(after.in_force) == set(before.in_force)
