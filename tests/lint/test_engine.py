"""What a run says of its files: fingerprints, order, severity, and one file in an editor."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lockcfg.conf.files import KINDS
from lockcfg.lint.engine import Linter
from lockcfg.lint.settings import LintSettings
from tests.lint import codes, host, lint, write

if TYPE_CHECKING:
    from pathlib import Path

    from lockcfg.lint.result import LintResult

#: A file with a finding on each line, and two on one.
BAD = 'nope = 1\nmax_files = "5"\nmax_files = 6\nnope2 = 1; nope3 = 1\nlock_manager = "nop"\n'


def fingerprints(result: LintResult) -> dict[str, str]:
    """The fingerprints, by what the findings are about."""
    found = {}
    for diagnostic in result.diagnostics:
        finding = diagnostic.finding
        found[f"{finding.path} {diagnostic.code} {finding.key}"] = diagnostic.fingerprint
    return found


def test_fingerprints_are_all_different(tmp_path: Path) -> None:
    """Within a file, where the same line stands several times, and between files."""
    write(tmp_path, {"a/qemu.conf": BAD * 3, "b/qemu.conf": BAD, "b/libxl.conf": BAD})
    result = lint(tmp_path)
    found = [diagnostic.fingerprint for diagnostic in result.diagnostics]
    assert len(found) > 20
    assert len(set(found)) == len(found)
    assert all(re.fullmatch("[0-9a-f]{64}", fingerprint) for fingerprint in found)


@pytest.mark.parametrize("above", ["# a comment\n", "\n\n\n", 'user = "x"\n', "a = [\n 1\n]\n"])
def test_fingerprints_survive_moved_lines(tmp_path: Path, above: str) -> None:
    """Whatever moves them: what is above is another matter."""
    write(tmp_path, {"qemu.conf": BAD})
    before = fingerprints(lint(tmp_path))
    lines = [d.finding.place.line for d in lint(tmp_path).diagnostics if d.finding.place]
    write(tmp_path, {"qemu.conf": above + BAD})
    result = lint(tmp_path)
    assert lines != [d.finding.place.line for d in result.diagnostics if d.finding.place]
    assert before.items() <= fingerprints(result).items()


def test_fingerprints_survive_another_indentation_and_line_end(tmp_path: Path) -> None:
    """Which say nothing."""
    write(tmp_path, {"qemu.conf": "nope = 1\n"})
    before = fingerprints(lint(tmp_path))
    write(tmp_path, {"qemu.conf": "\t nope = 1\r\n"})
    assert fingerprints(lint(tmp_path)) == before


def test_fingerprints_are_of_the_repository_and_not_of_its_place(tmp_path: Path) -> None:
    """A clone has the same ones, whatever path is linted."""
    found = []
    for name in ("one", "other"):
        write(tmp_path / name, {"hosts/a/qemu.conf": BAD})
        for below in (".", "hosts", "hosts/a"):
            result = lint(tmp_path / name, [tmp_path / name / below])
            found.append([diagnostic.fingerprint for diagnostic in result.diagnostics])
    assert all(each == found[0] for each in found)


def test_a_changed_line_is_another_finding(tmp_path: Path) -> None:
    """A person has looked at it."""
    write(tmp_path, {"qemu.conf": 'max_files = "5"\n'})
    (before,) = fingerprints(lint(tmp_path, select=["LK105"])).values()
    write(tmp_path, {"qemu.conf": 'max_files = "6"\n'})
    (after,) = fingerprints(lint(tmp_path, select=["LK105"])).values()
    assert before != after


def test_findings_are_in_order(tmp_path: Path) -> None:
    """By path, line, column and code, on every run."""
    names = ["z", "a/b", "a", "a-b", "a b", "Z", "é", "10", "9"]
    write(tmp_path, {f"{name}/{kind}": BAD for name in names for kind in KINDS})
    first = lint(tmp_path)
    keys = [
        (
            d.finding.path,
            d.finding.place.line if d.finding.place else 0,
            d.finding.place.column if d.finding.place else 0,
            d.code,
        )
        for d in first.diagnostics
    ]
    assert keys == sorted(keys)
    for _ in range(3):
        assert lint(tmp_path).diagnostics == first.diagnostics
    some = [tmp_path / name for name in names]
    assert lint(tmp_path, some).diagnostics == lint(tmp_path, some[::-1]).diagnostics


def test_the_same_content_is_said_of_each_file(tmp_path: Path) -> None:
    """With its own path, also in the place."""
    write(tmp_path, {f"h{number}/qemu.conf": "nope = 1\n" for number in range(20)})
    result = lint(tmp_path, select=["LK102"])
    assert len(result.diagnostics) == 20
    for number, diagnostic in enumerate(sorted(result.diagnostics, key=lambda d: d.finding.path)):
        place = diagnostic.finding.place
        assert place is not None
        assert place.path == diagnostic.finding.path
        assert diagnostic.finding.path.startswith(f"{tmp_path}/h")
        del number


def test_counts(tmp_path: Path) -> None:
    """Of files that were read and of directories that hold some, templates left out."""
    write(tmp_path, {**host("a"), **host("b"), "c/qemu.conf": "x = {{ y }}\n", "d/qemu.conf": ""})
    result = lint(tmp_path)
    assert (result.files, result.hosts) == (5, 3)


# --- one file, in an editor


def in_editor(top: Path, text: str | bytes, name: str = "qemu.conf") -> LintResult:
    """What is said of a text that is not saved yet."""
    raw = text if isinstance(text, bytes) else text.encode()
    return Linter(LintSettings(str(top))).run_text(raw, str(top / name), KINDS[name])


def test_one_file_is_looked_at_by_itself(tmp_path: Path) -> None:
    """Whatever is on the disk; it is not held against other files."""
    write(tmp_path, {"qemu.conf": "nope = 1\n"})
    assert codes(in_editor(tmp_path, 'max_files = "5"\nlock_manager = "nop"\n')) == ["LK105"]
    assert codes(in_editor(tmp_path, "nope = 1\n", "virtlockd.conf")) == ["LK102"]
    result = in_editor(tmp_path, "user = root\n")
    assert (codes(result), result.files) == (["LK101"], 1)


def test_one_file_has_the_fingerprints_of_the_repository(tmp_path: Path) -> None:
    """So that the baseline covers it."""
    write(tmp_path, {"qemu.conf": BAD})
    here = fingerprints(in_editor(tmp_path, BAD))
    assert here.items() <= fingerprints(lint(tmp_path)).items()
    assert here


def test_one_template_is_noted(tmp_path: Path) -> None:
    """As in a repository."""
    result = in_editor(tmp_path, "user = {{ user }}\n")
    assert codes(result) == []
    assert result.notes == ((f"{tmp_path}/qemu.conf", "a template, passed over"),)


@given(
    text=st.binary(max_size=60) | st.text(max_size=60).map(str.encode),
    kind=st.sampled_from([*KINDS]),
)
def test_any_text_is_looked_at(
    text: bytes, kind: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Nothing is raised, and what is not found fine has a finding or a note."""
    result = in_editor(tmp_path_factory.getbasetemp(), text, kind)
    for diagnostic in result.diagnostics:
        assert "\n" not in diagnostic.finding.message
