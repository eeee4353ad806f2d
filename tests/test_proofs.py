"""The models hold, their mutants do not, and the documentation says what Spin says."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from proofs.runs import Run, lives, runs
from proofs.spin import MODELS, SpinError, check, never_happens

if TYPE_CHECKING:
    from pathlib import Path

PROJECT = MODELS.parent


def test_every_run_is_as_it_has_to_be_and_as_the_page_says() -> None:
    """What holds and what breaks, with the number of states and each trace."""
    page = subprocess.run(
        [sys.executable, "-m", "proofs", "--page"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (page.returncode, page.stderr) == (0, "")
    assert (PROJECT / "docs/reference/proof-traces.md").read_text() == page.stdout


def test_every_model_has_runs_of_both_kinds() -> None:
    """Each has to hold as it is, and has mutants that break."""
    kinds = {(run.model, run.holds) for run in runs()}
    models = {path.stem for path in MODELS.glob("*.pml")}
    assert kinds == {(model, holds) for model in models for holds in (True, False)}
    assert [life.model for life in lives()] == [*dict.fromkeys(run.model for run in runs())]
    assert all(life.happens for life in lives())


@pytest.mark.parametrize("run", [*runs()], ids=str)
def test_every_macro_is_one_of_the_model(run: Run) -> None:
    """A mutant whose macro is misspelt is the model itself."""
    text = (MODELS / f"{run.model}.pml").read_text()
    for macro in run.define:
        name = macro.partition("=")[0]
        assert f"#ifdef {name}\n" in text or f"#ifndef {name}\n" in text


@pytest.mark.parametrize(
    ("right", "wrong", "never"),
    [
        ("lock == FREE -> lock = OURS", "false -> skip", "the guest has its lock and writes"),
        ("at_pid = STRANGER", "skip", "another process has the pid when it is watched"),
        ("lock = THEIRS; other_writes", "other_writes", "line"),
    ],
)
def test_a_model_in_which_too_little_happens_is_told_of(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, right: str, wrong: str, never: str
) -> None:
    """Nothing breaks in it, as no process does what would."""
    (life,) = (each for each in lives() if each.model == "adoption")
    text = (MODELS / "adoption.pml").read_text()
    assert text.count(right) == 1
    (tmp_path / "adoption.pml").write_text(text.replace(right, wrong))
    monkeypatch.setattr("proofs.spin.MODELS", tmp_path)
    assert any(
        each.startswith(never) for each in never_happens("adoption", life.defines, life.happens)
    )


def test_what_spin_cannot_read_is_an_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """And no model that holds."""
    (tmp_path / "broken.pml").write_text("active proctype p() { no such thing }\n")
    monkeypatch.setattr("proofs.spin.MODELS", tmp_path)
    with pytest.raises(SpinError, match="undeclared variable"):
        check("broken", (), deadlocks=True)
