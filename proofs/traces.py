"""Whether what a real lockd did is a run of ``lock_file.pml``.

strace tells the calls of the system of each host (:data:`STRACE`). From these the steps of the
model are made, in the order in which they happened, and Spin looks whether the model has a run with
just these steps. A cache does what it likes in the model, and no call tells of that.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from proofs.spin import MODELS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Final

#: The options of strace, with ``-p PID -o FILE``: with times, whole structures, paths of
#: descriptors, and strings in hexadecimal.
STRACE: Final = (
    *("strace", "-f", "-q", "-ttt", "-v", "-y", "-xx", "-s", "256", "-e"),
    "trace=openat,fcntl,fstat,statx,stat,newfstatat,close,sendto,unlink,unlinkat",
)

#: The macro of a line that is a step, and how many steps one trace may have.
STEPS: Final = ("OPEN", "LOCK", "SHARE", "GONE", "REFUSED", "SAME", "OTHER", "HOLD", "UNLOCK")
_MOST: Final = 250

_CALL: Final = re.compile(r"(?:(\d+) +)?(\d+\.\d+) (\w+)\((.*)\) += (-?\d+|\?)(.*)")
_FD: Final = re.compile(r"(\d+)<((?:\\x[0-9a-f]{2})*)>")
_RESUMED: Final = re.compile(r"\d+ +\S+ <\.\.\. \w+ resumed>(.*)")
_ACQUIRE: Final = 6
_REMOVED: Final = "REMOVED"


class Step(NamedTuple):
    """What a host did with the lock file, and when."""

    when: float
    host: int
    what: str


def steps_of(host: int, trace: str, path: str) -> Iterator[Step]:
    """The steps of a host for the lock file at ``path``, from what strace tells."""
    hexed = "".join(f"\\x{byte:02x}" for byte in path.encode())
    above = path.rpartition("/")[0]
    inode = ""
    locked: set[str] = set()
    refused = asked = False
    for line in _whole(trace):
        found = _CALL.match(line)
        if found is None:
            continue
        when, call, arguments, result, rest = float(found[2]), *found.group(3, 4, 5, 6)
        fd, at = _descriptor(arguments)
        is_file = at == path
        if call == "openat" and f'"{hexed}"' in arguments and result != "-1":
            refused = asked = False
            yield Step(when, host, "OPEN")
        elif call == "fcntl" and is_file and "F_OFD_SETLK" in arguments:
            if result == "-1":
                gone = "ESTALE" in rest or "ENOENT" in rest
                refused = "EAGAIN" in rest or "EACCES" in rest
                yield Step(when, host, "GONE" if gone else "REFUSED")
            elif "F_UNLCK" in arguments:
                if fd in locked:
                    locked.discard(fd)
                    yield Step(when, host, "UNLOCK")
            elif fd not in locked:
                locked.add(fd)
                yield Step(when, host, "SHARE" if "F_RDLCK" in arguments else "LOCK")
        elif call == "close" and is_file and fd in locked:
            locked.discard(fd)
            yield Step(when, host, "UNLOCK")
        elif is_file and call in ("fstat", "newfstatat"):
            inode = _inode(arguments)
        elif call == "statx" and "AT_STATX_FORCE_SYNC" in arguments:
            if is_file:
                asked = False
                if "stx_nlink=0" in arguments:
                    yield Step(when, host, "OTHER")
            elif at == above:
                asked = True  # the file was asked for, then the directory
        elif call in ("stat", "newfstatat") and f'"{hexed}"' in arguments and asked:
            asked = False
            yield Step(when, host, "SAME" if _inode(arguments) == inode else "OTHER")
        elif call in ("unlink", "unlinkat") and f'"{hexed}"' in arguments and result == "0":
            yield Step(when, host, _REMOVED)
        elif call == "sendto" and not refused and _granted(arguments):
            yield Step(when, host, "HOLD")


def _whole(trace: str) -> Iterator[str]:
    """The lines of a trace; a call during which another thread made one is in two of them."""
    begun: dict[str, str] = {}
    for line in trace.splitlines():
        thread = line.partition(" ")[0]
        if line.endswith(" <unfinished ...>"):
            begun[thread] = line.removesuffix(" <unfinished ...>")
            continue
        resumed = _RESUMED.match(line)
        yield begun.pop(thread, "") + resumed[1] if resumed else line


def _descriptor(arguments: str) -> tuple[str, str]:
    """The descriptor that a call begins with, and its path; empty if it has none."""
    found = _FD.match(arguments)
    if found is None:
        return "", ""
    path = bytes.fromhex(found[2].replace("\\x", "")).decode(errors="replace")
    return found[1], path.removesuffix(" (deleted)")


def _inode(arguments: str) -> str:
    found = re.search(r"st_dev=([^,]*),.*?st_ino=(\d+)", arguments)
    return "" if found is None else f"{found[1]} {found[2]}"


def _granted(arguments: str) -> bool:
    """Whether what is sent is the answer to ACQUIRE_RESOURCE, and grants it."""
    text = re.search(r'"((?:\\x[0-9a-f]{2})*)"', arguments)
    data = bytes.fromhex(text[1].replace("\\x", "")) if text else b""
    # The length, the program, its version, the procedure, the type, the serial, the status.
    words = [int.from_bytes(data[at : at + 4], "big") for at in range(0, 28, 4)]
    return len(data) == 28 and words[3] == _ACQUIRE and words[4] == 1 and words[6] == 0


def merged(traces: Mapping[int, str], path: str) -> list[Step]:
    """The steps of all hosts, in their order."""
    return sorted(step for host, trace in traces.items() for step in steps_of(host, trace, path))


def refused_at(steps: Sequence[Step], define: Sequence[str]) -> int | None:
    """The number of the first step that the model cannot take after those before it; None if
    there is a run of the model with all of them. ``define`` are macros of the model."""
    if _is_run(steps, define):
        return None
    good, bad = 0, len(steps)
    while bad - good > 1:
        middle = (good + bad) // 2
        if _is_run(steps[:middle], define):
            good = middle
        else:
            bad = middle
    return bad


def _is_run(steps: Sequence[Step], define: Sequence[str]) -> bool:
    assert len(steps) <= _MOST
    if any(step.what == _REMOVED for step in steps):
        return False  # what lockd never does on a file system that hosts share
    numbers = ", ".join(str(16 * step.host + 1 + STEPS.index(step.what)) for step in steps)
    macros = [f"-D{macro}" for macro in (*define, "TRACE")]
    with TemporaryDirectory() as directory:
        folder = Path(directory)
        text = f"#define LENGTH {len(steps)}\nbyte expected[{len(steps)}] = {{ {numbers} }};\n"
        (folder / "trace.h").write_text(text)
        (folder / "model.pml").write_text((MODELS / "lock_file.pml").read_text())
        for command in (
            ("spin", "-a", *macros, "model.pml"),
            ("gcc", "-O0", "-w", "-DSAFETY", "-o", "pan", "pan.c"),
        ):
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=120)
        said = subprocess.run(
            ("./pan", "-E", "-m100000"), cwd=folder, check=True, capture_output=True, text=True
        ).stdout
    assert "max search depth too small" not in said
    found = re.search(r"assertion violated +(.*?) \(at depth", said)
    assert found is None or "at!=" in found[1], said
    return found is not None
