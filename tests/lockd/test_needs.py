"""What the daemon needs of the system and does not have is said at its start and in its status."""

from __future__ import annotations

import os
import resource
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import PROGRAM, Engine, wait_for

if TYPE_CHECKING:
    from collections.abc import Sequence

DROP = ("setpriv", "--inh-caps=-{0}", "--bounding-set=-{0}")


def without(capability: str) -> Sequence[str]:
    """A command that runs another one without a capability."""
    return [each.format(capability) for each in DROP]


LACKS = {
    "descriptors": (
        ["prlimit", "--nofile=300:300"],
        "At most 300 files may be open, and 1024 guests with three disks each need 5184",
    ),
    "kill": (
        without("kill"),
        "CAP_KILL is missing: lockd cannot end a guest that has lost its connection",
    ),
    "files": (without("dac_override"), "CAP_DAC_OVERRIDE is missing: disks and lock files"),
    "memory": (
        [
            "sh",
            "-c",
            'echo 0 >/proc/self/oom_score_adj && exec "$@"',
            "sh",
            *without("sys_resource"),
        ],
        "the kernel may end this process (oom_score_adj is 0)",
    ),
}


@pytest.mark.parametrize("lack", LACKS)
def test_it_is_said(tmp_path: Path, lack: str) -> None:
    """In the log, in the table and in the JSON, also after a crash."""
    prefix, said = LACKS[lack]
    with Engine(tmp_path, command=(*prefix, PROGRAM)) as engine:
        engine.crash()
        wait_for(
            lambda: sum(said in line for line in engine.log.splitlines()) == 2, "each start says it"
        )
        assert any(said in each for each in engine.ask("status")["lacks"])
        table = subprocess.run(
            [PROGRAM, "status", "--socket", engine.admin_socket], stdout=subprocess.PIPE, text=True
        )
        assert any(
            line.startswith("lacks: ") and said in line for line in table.stdout.splitlines()
        )


def test_only_what_is_missing(tmp_path: Path) -> None:
    """Of those that it has nothing is said."""
    with Engine(tmp_path) as engine:
        lacks = engine.ask("status")["lacks"]
    protected = int(Path("/proc/self/oom_score_adj").read_text()) < 0 or _may_protect()
    assert len(lacks) == (0 if protected else 1)


def _may_protect() -> bool:
    done = subprocess.run(["sh", "-c", "echo -900 >/proc/self/oom_score_adj"], capture_output=True)
    return not done.returncode


def test_as_many_descriptors_as_it_may_have(tmp_path: Path) -> None:
    """The soft limit becomes the hard one."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Engine(tmp_path, command=("prlimit", f"--nofile=100:{hard}", PROGRAM)) as engine:
        limits = Path(f"/proc/{engine.pid}/limits").read_text()
        (line,) = (line for line in limits.splitlines() if line.startswith("Max open files"))
        assert line.split()[3:5] == [str(hard), str(hard)]
        assert os.path.exists(engine.socket)
