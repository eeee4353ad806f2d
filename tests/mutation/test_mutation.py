"""Mutants are found where the tests notice them, and those that survive are explained."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from tests.mutation.changes import changed_lines
from tests.mutation.mutants import PROJECT, mutants_of
from tests.mutation.results import explained, kept
from tests.mutation.running import modules_of, targets

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SMALL = "lockd/survival/records/encoding.py"


def test_what_is_noticed_and_what_survives() -> None:
    """A change of what a record looks like is noticed; how many lines are parsed at a time makes no
    difference, so that is explained."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.mutation", SMALL, "--seconds=1000"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    count = len(mutants_of(SMALL))
    survive = [key for key in explained() if key[0] == SMALL]
    assert survive
    assert f"{count - len(survive)} of {count} mutants are noticed" in done.stdout
    assert "NOT EXPLAINED" not in done.stdout
    assert (done.returncode, done.stderr) == (0, "")


def test_each_target_has_modules_and_tests() -> None:
    for target in targets():
        assert target.tests or target.schedules
        assert modules_of([target]).keys(), target
        for each in target.tests:
            assert (PROJECT / each).exists(), each


def test_every_survivor_that_is_kept_is_explained() -> None:
    for module, result in kept().items():
        for survivor in result["survivors"]:
            assert (module, *survivor) in explained()


def test_an_explanation_is_of_a_line_that_is_there() -> None:
    """Of a line that was changed since, nothing is known."""
    for module, _, was, _ in explained():
        assert was in " ".join((PROJECT / module).read_text().split()), module


def test_a_mutant_differs_in_one_place() -> None:
    """And in nothing that no function does."""
    before = (PROJECT / SMALL).read_text().splitlines()
    for mutant in mutants_of(SMALL):
        changed = [
            number
            for number, (a, b) in enumerate(
                zip(before, mutant.source.splitlines(), strict=True), start=1
            )
            if a != b
        ]
        assert changed == [mutant.line]


def test_the_lines_that_a_branch_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Since it left another branch; if there is none, in its last commit; if that is the first,
    none."""
    monkeypatch.setattr("tests.mutation.changes.PROJECT", tmp_path)
    file = tmp_path / "a.py"

    def commit(text: str, *command: str) -> None:
        file.write_text(text)
        who = ("-c", "user.name=a", "-c", "user.email=a@b.example")
        for each in (command, ("add", "a.py"), (*who, "commit", "--quiet", "--message=a")):
            if each:
                subprocess.run(["git", *each], cwd=tmp_path, check=True)

    subprocess.run(["git", "init", "--quiet", "--initial-branch=main"], cwd=tmp_path, check=True)
    commit("1\n2\n")
    lines, told = changed_lines()
    assert (lines, told) == ({}, "nothing to compare with: there is one commit")
    commit("1\n2\n3\n")
    lines, told = changed_lines()
    assert lines == {"a.py": {3}}
    assert told.startswith("in the last commit")
    commit("1\nb\n3\n", "switch", "--quiet", "--create=other")
    commit("1\nb\n3\n4\n5\n")
    lines, told = changed_lines()
    assert lines == {"a.py": {2, 4, 5}}
    assert told.endswith("where this left main")
