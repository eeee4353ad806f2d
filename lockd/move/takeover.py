"""From virtlockd to lockd.

At SIGUSR1 virtlockd executes the program in its own place. For the moment of the change that is
lockd, by a mount on the file of virtlockd, which stays as it is.
"""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

from lockcfg import LockcfgError, read_mounts
from lockd.counted import counted
from lockd.locks.remote_mounts import remote_mounts
from lockd.move.held import check_held
from lockd.move.refused import RefusedError
from lockd.move.running import Process, is_same_namespace, virtlockd_process
from lockd.move.waiting import LOOK, PATIENCE, runs
from lockd.programs.inspect import STATUS
from lockd.query import QueryError, ask, call
from lockd.survival.journal import FORMAT

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Final

    from lockcfg import Mount

#: How many descriptors lockd needs besides those of locks and clients.
_DESCRIPTORS: Final = 64

#: The first release of libvirt whose virtlockd can become another program, by its release notes.
#: That of 7.0 tries, and ends with status 9.
_STARTS_AGAIN: Final = (7, 2, 0)

#: How long a file system may take to answer, in seconds.
_ANSWER: Final = 5.0


def take_over(options: argparse.Namespace, address: str, aside: str) -> str:
    """Do it, or say whether it would be done; returns what was done, in words. Raises RefusedError,
    QueryError."""
    pid = options.pid or virtlockd_process()
    if not pid:
        return "no virtlockd runs: nothing to take over"
    process = Process(pid)
    reasons = [*reasons_against(process)]
    if reasons:
        raise RefusedError("\n".join(reasons))
    locked = process.locked()
    of_whom = f"of virtlockd (pid {pid})"
    if options.dry_run:
        count = process.count(_far_files(process, _mounts()))
        return f"would take over {counted(count, 'lock')} {of_whom}"
    with _in_place_of(process, aside):
        # What virtlockd is about to execute is not only the same file: it has another place.
        reasons = _does_not_start(process.program, process)
        if reasons:
            raise RefusedError("\n".join(reasons))
        process.wait_for_quiet()
        os.kill(pid, signal.SIGUSR1)
        _wait(lambda: _is_lockd(process, address, aside), process, "lockd has taken over")
    status = ask(address, lambda connection: call(connection, STATUS))
    check_held(locked, status["pid"])
    for each in status["problems"]:
        raise QueryError(f"lockd has taken over, but {each['path']}: {each['problem']}")
    locks = counted(status["locks"], "lock")
    return f"took over {locks} {of_whom}: now held by lockd, and all guests run"


def reasons_against(process: Process) -> Iterator[str]:
    """Why lockd could not take over, a sentence each."""
    if any(not is_same_namespace(process.pid, kind) for kind in ("pid", "mnt")):
        yield "virtlockd sees other files than this command: run it where virtlockd runs (nsenter)"
        return
    release = process.release
    if release < _STARTS_AGAIN:
        shown = (
            f"of libvirt {'.'.join(map(str, release))}" if any(release) else "of unknown release"
        )
        yield (
            f"virtlockd {shown} may end, and its locks with it, when it becomes another program;"
            " libvirt 7.2 and newer do not: stop virtlockd while no guest runs, and try again"
        )
    program = process.program
    if not program or not os.access(program, os.X_OK):
        yield f"the place of virtlockd is unknown: it was started as {process.arguments[0]!r}"
    yield from _does_not_start(_program(), process)
    mounts = _mounts()
    far = _far_files(process, mounts)
    # First: to look at a file may wait for its server.
    silent = [*_silent(far, mounts)]
    if silent:
        yield from silent
        return
    locked = process.locked()
    for names in process.twice(far):
        yield (
            f"two guests write one disk: virtlockd has granted {names}, which is one file; shut"
            " one of them down"
        )
    for path in dict.fromkeys([*(paths[0] for paths in locked.values()), *far]):
        if path.endswith(" (deleted)"):
            yield f"the lock file {path} was removed: pause its guest and resume it"
    most = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)[1]
    needed = len(os.listdir(f"/proc/{process.pid}/fd")) + _DESCRIPTORS
    if needed > most:
        yield f"virtlockd may have {most} descriptors, and lockd needs {needed} in its place"


def _does_not_start(program: str, process: Process) -> list[str]:
    """Why lockd would not start in virtlockd's process, a sentence each: ``program`` is started
    once, with the arguments and the environment that it would have."""
    checked = subprocess.run(
        [program, f"--takes-over={FORMAT}", *process.arguments[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        env=process.environment,
        timeout=PATIENCE,
    )
    if not checked.returncode:
        return []
    return checked.stderr.strip().splitlines() or [f"{program} does not start"]


def _far_files(process: Process, mounts: Mapping[str, Mount]) -> list[str]:
    """The files of virtlockd whose file systems have a server."""
    return process.far_files(lambda path: next(remote_mounts(path, mounts), None) is not None)


def _mounts() -> dict[str, Mount]:
    """The mounted file systems by their points. Raises RefusedError."""
    try:
        return {each.point: each for each in read_mounts()}
    except LockcfgError as error:
        raise RefusedError(error.message) from error


def _silent(paths: Sequence[str], mounts: Mapping[str, Mount]) -> Iterator[str]:
    """The file systems of some files that do not answer, a sentence each."""
    silent: set[str] = set()
    for path in paths:
        for _, asked in remote_mounts(path, mounts):
            if asked in silent:
                break
            thread = threading.Thread(target=_ask_file_system, args=(asked,), daemon=True)
            thread.start()
            thread.join(_ANSWER)
            if thread.is_alive():
                silent.add(asked)
                break  # no further: a look behind it would wait
    for asked in sorted(silent):
        yield f"{asked}: the file system does not answer"


def _ask_file_system(path: str) -> None:
    with suppress(OSError):
        os.statvfs(path)


@contextmanager
def _in_place_of(process: Process, aside: str) -> Iterator[None]:
    """Put lockd in virtlockd's place, and virtlockd ``aside`` for the way back."""
    place = process.program
    with open(aside, "wb"):
        pass
    mounted: list[str] = []
    try:
        for source, target in ((place, aside), (_program(), place)):
            done = _run("mount", "--bind", source, target)
            if done:
                raise RefusedError(f"{source} cannot be mounted on {target}: {done}")
            mounted.append(target)
        yield
    finally:
        for target in reversed(mounted):
            _run("umount", "--lazy", target)
        with suppress(OSError):
            os.unlink(aside)


def _program() -> str:
    """The executable file of lockd, which works wherever it is mounted."""
    beside = os.path.dirname(sys.executable)
    # The program that people start looks for its interpreter beside itself; another one names it.
    places = [os.path.join(beside, "lockd-in-place"), sys.argv[0], os.path.join(beside, "lockd")]
    for place in places:
        with suppress(OSError), open(place, "rb") as file:
            if file.read(2) == b"#!" and os.access(place, os.X_OK):
                return os.path.realpath(place)
    raise RefusedError("the program 'lockd' is not beside its interpreter")


def _run(*command: str) -> str:
    """Run a command. Returns what is wrong, or empty text."""
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=PATIENCE
    )
    return (done.stderr.strip() or f"exit status {done.returncode}") if done.returncode else ""


def _is_lockd(process: Process, address: str, aside: str) -> bool:
    """Whether lockd answers in virtlockd's place, and its locks are kept. Raises RefusedError if
    virtlockd has continued."""
    program = os.path.basename(os.readlink(f"/proc/{process.pid}/exe"))
    if program == os.path.basename(aside):
        raise RefusedError(
            "lockd cannot take over the state that virtlockd left: see virtlockd's log"
        )
    if program.startswith("virtlockd"):
        return False
    try:
        status = ask(address, lambda connection: call(connection, STATUS))
    except QueryError:
        return False
    return bool(status["keeper"] == "ok")


def _wait(is_so: Callable[[], bool], process: Process, what: str) -> None:
    end = time.monotonic() + PATIENCE
    while not is_so():
        if time.monotonic() > end or not runs(process.pid):
            raise QueryError(f"cannot see that {what}: see the log, and 'lockd status'")
        time.sleep(LOOK)
