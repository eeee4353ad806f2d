"""What a start of lockd loads."""

from __future__ import annotations

import subprocess
import sys

#: What a start does not load, as each takes milliseconds of it.
_TAKES_LONG = ("typing", "dataclasses", "threading", "subprocess", "argparse", "logging")


def test_a_start_does_not_load_what_takes_long() -> None:
    program = (
        "import sys, lockd.main, lockd.daemon.supervising, lockd.daemon.serving\n"
        f"print(*(set({_TAKES_LONG!r}) & set(sys.modules)))"
    )
    run = subprocess.run(
        [sys.executable, "-I", "-c", program], check=True, capture_output=True, text=True
    )
    assert run.stdout.split() == []
