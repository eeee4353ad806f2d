"""strace on a process that runs."""

from __future__ import annotations

import re
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.lockd.engine import wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def attached(pid: int, log: Path, *command: str) -> Iterator[None]:
    """Have ``command``, strace with its options, trace a process and write to ``log``. It is
    attached when this begins, unless the process has ended, and no longer attached afterwards."""
    strace = subprocess.Popen([*command, "-p", str(pid), "-o", str(log)], stderr=subprocess.PIPE)
    try:
        # The first fault that it puts in may be the end of the process.
        wait_for(
            lambda: tracer(pid) == strace.pid or not Path(f"/proc/{pid}").exists(), "it is attached"
        )
        yield
    finally:
        strace.terminate()
        strace.communicate()
        wait_for(lambda: tracer(pid) != strace.pid, "it is no longer attached")


def tracer(pid: int) -> int:
    """The process that traces another one; 0 if there is none."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(re.findall(r"TracerPid:\s*(\d+)", status)[0])
