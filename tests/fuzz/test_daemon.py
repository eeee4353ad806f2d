"""The runs of :mod:`tests.fuzz.fuzz_daemon`: short, and long where that is asked for."""

from __future__ import annotations

import re
import subprocess
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: What a run takes at most, in seconds, and for every thousand inputs.
_SECONDS = 120
_SECONDS_A_THOUSAND = 5

#: The longest input, in bytes: a hundred calls. Left alone they grow to 4096, and each takes as
#: long as ten; the longest strings and messages have tests of their own.
_LONGEST = 512


# A journal takes memory of the kernel again for each input, which is slow.
@pytest.mark.parametrize(("what", "share"), [("messages", 1.0), ("journal", 0.125)])
def test_a_run(what: str, share: float, tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """Every input ends in an answer or in an error of the protocol."""
    inputs = int(pytestconfig.getoption("--fuzz-inputs") * share)
    seed: int = pytestconfig.getoption("--seed")
    done = subprocess.run(
        [
            *("unshare", "--mount", "--propagation", "private"),
            *(sys.executable, "-m", "tests.fuzz.fuzz_daemon", what, tmp_path),
            *(f"-runs={inputs}", f"-seed={seed}", f"-max_len={_LONGEST}"),
            *("-rss_limit_mb=1024", "-timeout=10"),
        ],
        capture_output=True,
        text=True,
        errors="replace",
        timeout=_SECONDS + inputs / 1000 * _SECONDS_A_THOUSAND,
    )
    assert done.returncode == 0, done.stderr[-8000:]
    runs = re.search(r"^Done (\d+) runs", done.stderr, re.MULTILINE)
    assert runs is not None
    assert int(runs[1]) >= inputs
    if find_spec("atheris") is None:
        return
    # It is guided by what is covered: it has found more than it began with.
    units = re.search(r"INITED .* corp: (\d+)/", done.stderr)
    corpus = re.findall(r" corp: (\d+)/", done.stderr)
    assert units is not None
    assert int(corpus[-1]) > int(units[1])
