"""Each target takes the inputs that it has to begin with, and some that are made of them."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

CORPUS = Path(__file__).parent / "corpus"

#: Which part of ``--fuzz-inputs`` each gets: what takes longer gets less.
TARGETS = {
    "wire": 0.5,
    "restart_file": 0.25,
    "snapshot": 0.025,
    "policy": 0.01,
    "yaml": 0.05,
    "store": 0.0025,
    "lens": 0.0125,
}


def test_every_target_has_a_corpus() -> None:
    found = {path.stem.removeprefix("fuzz_") for path in CORPUS.parent.glob("fuzz_*.py")}
    assert found == {*TARGETS, "daemon"}
    assert {path.name for path in CORPUS.iterdir()} == TARGETS.keys()


@pytest.mark.parametrize("target", TARGETS)
def test_a_run(target: str, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """No input raises what the target does not expect."""
    inputs = int(pytestconfig.getoption("--fuzz-inputs") * TARGETS[target])
    seed: int = pytestconfig.getoption("--seed")
    done = subprocess.run(
        [
            *(sys.executable, "-m", f"tests.fuzz.fuzz_{target}"),
            *(f"-runs={inputs}", f"-seed={seed}", "-max_len=4096", "-timeout=20"),
            *(f"-artifact_prefix={tmp_path}/", "-rss_limit_mb=2048"),
            # New inputs go there, and not into the repository.
            *([str(tmp_path)] if has_atheris() else []),
            str(CORPUS / target),
        ],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=240 + inputs / 100,
    )
    assert done.returncode == 0, done.stderr[-8000:]
    runs = re.search(r"^Done (\d+) runs", done.stderr, re.MULTILINE)
    assert runs is not None
    assert int(runs[1]) >= inputs


def has_atheris() -> bool:
    """Whether libFuzzer makes the inputs, which takes several directories."""
    from importlib.util import find_spec

    return find_spec("atheris") is not None
