"""Bugs that are put into lockd by hand: the simulation has to find each. A simulation that finds
none of them proves nothing.

``python -m tests.simulation.bugs`` tries all, each in a copy of the code.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from typing import Final

PROJECT: Final = Path(__file__).parents[2]

#: How many schedules are tried at most.
_SCHEDULES: Final = 3000


class Bug(NamedTuple):
    """What is wrong, and where: ``right`` stands once in ``file`` and becomes ``wrong``."""

    what: str
    file: str
    right: str
    wrong: str
    #: Whether the code had it once.
    is_old: bool = False
    #: What is wrong besides, in the same way.
    also: tuple[tuple[str, str, str], ...] = ()
    #: The first of the seeds to try.
    seed: int = 1

    @property
    def changes(self) -> tuple[tuple[str, str, str], ...]:
        """All of it: file, right, wrong."""
        return ((self.file, self.right, self.wrong), *self.also)


BUGS: Final = (
    Bug(
        "who has locked a file does not look whether it still has its name",
        "kernel/filelock.py",
        "        if not may_be_shared(mine.st_dev, path):\n",
        "        if True:\n",
    ),
    Bug(
        "no server is asked, so the cache of the client answers, as with virtlockd",
        "kernel/statx.py",
        "    if flush:\n",
        "    return True\n    if flush:\n",
    ),
    Bug(
        "the file of a released lock is locked again although it is removed",
        "kernel/filelock.py",
        "        if os.fstat(lock.fd).st_nlink:\n            return True\n",
        "        return True\n",
    ),
    Bug(
        "nobody keeps the descriptor of a lock",
        "locks/engine.py",
        "                self._keeper.keep(resource.lock.fd, lock_name(resource.number))\n",
        "                pass\n",
    ),
    Bug(
        "a call is answered before the lock is written down",
        "locks/engine.py",
        "            self._journal.append(records.lock(resource.record(), resource.disk_born))\n",
        "            pass\n",
    ),
    Bug(
        "the locks of a guest are released before it has ended",
        "locks/guests.py",
        "        self._journal.append(_dying(guest, ()))\n",
        "        self._engine.release_all(self._engine.table.held_by(*guest))\n",
    ),
    Bug(
        "a client whose call went with the process is not disconnected",
        "rpc/service.py",
        "        if fd < 0 or client.busy or was_served:\n",
        "        if fd < 0:\n",
    ),
    Bug(
        "what a killed process has not unlocked waits for an answer that is too old each time",
        "locks/idle.py",
        "            error.remote.wait(partial(self._close_soon, resource))\n",
        "            self._waiting.discard(resource)\n            error.remote.wait(int)\n",
        is_old=True,
    ),
    Bug(
        "nobody keeps the journal",
        "daemon/daemon.py",
        "            self.upkeep.keep_journal()\n",
        "",
    ),
    Bug(
        "the beginning of a message is not written down",
        "rpc/service.py",
        "                self._journal.append(records.received(session.number, rest, skip))\n",
        "                pass\n",
    ),
    Bug(
        "a call that waits for a server is not written down",
        "rpc/service.py",
        "        self._journal.append(records.waiting(session.number, messages))\n",
        "",
    ),
    Bug(
        "a file that could not be unlocked is locked again, though the server has unlocked it and"
        " another host has removed it",
        "locks/idle.py",
        "                create\n                and not self._files.has_other_hosts(resource)\n",
        "                create\n",
        is_old=True,
        seed=20320,
    ),
    Bug(
        "a resource that is being released is in no new journal",
        "locks/engine.py",
        "            self.idle.know(resource)\n            self.visibility.hide(resource)\n",
        "            self.visibility.hide(resource)\n",
        is_old=True,
    ),
    Bug(
        "a new journal lacks what changes after it was written there",
        "survival/journal.py",
        "        if number not in self.left:\n",
        "        if False:\n",
    ),
    Bug(
        "a new journal has changes of what is written there later",
        "survival/journal.py",
        "        if number not in self.left:\n",
        "        if True:\n",
    ),
    Bug(
        "what is gone while a new journal is written is in it all the same",
        "survival/journal.py",
        "        if kind in (self._end, self._renumbers):\n",
        "        if kind == self._renumbers:\n",
    ),
    Bug(
        "a descriptor is kept as that of a lock whose file is closed",
        "locks/idle.py",
        "        self._forget(resource)\n        self._disk.drop(resource.lock)\n",
        "        self._disk.drop(resource.lock)\n        self._forget(resource)\n",
        is_old=True,
    ),
    Bug(
        "while a call waits for a server, others begin on its file system",
        "locks/remote.py",
        "            while remote.due and not remote.visits:\n",
        "            while remote.due:\n",
        also=(
            (
                "locks/remote.py",
                " or remote.answered < visit.begun or remote.visits:\n",
                " or remote.answered < visit.begun:\n",
            ),
        ),
    ),
)


def found(bug: Bug, seed: int, schedules: int = _SCHEDULES, *, may_be_narrow: bool = False) -> str:
    """What the simulation says of the code with a bug; empty if it finds nothing."""
    with TemporaryDirectory() as scratch:
        copy = Path(scratch)
        for name in ("lockcfg", "tests", "schemas", "lenses"):
            (copy / name).symlink_to(PROJECT / name)
        for source in (PROJECT / "lockd").rglob("*.py"):
            target = copy / source.relative_to(PROJECT)
            target.parent.mkdir(parents=True, exist_ok=True)
            text = source.read_text()
            for file, right, wrong in bug.changes:
                if source == PROJECT / "lockd" / file:
                    assert text.count(right) == 1, bug
                    text = text.replace(right, wrong)
            target.write_text(text)
        command = [sys.executable, "-m", "tests.simulation", "--no-shrinking"]
        command += ["--narrow"] if may_be_narrow else []
        done = subprocess.run(
            [*command, f"--seed={seed}", f"--schedules={schedules}"],
            cwd=copy,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        return ""
    if done.returncode != 1:
        raise AssertionError(done.stderr)
    return done.stdout.partition("\n")[0]


def main() -> int:
    """Try all, and say what each comes to."""
    missed = 0
    for bug in BUGS:
        what = found(bug, bug.seed)
        missed += not what
        print(f"{bug.what}: {what or 'NOT FOUND'}", flush=True)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
