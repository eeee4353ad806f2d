"""The engine is killed before and after each record that it writes, and between any two calls of
the system: what it was about is done once, and whole."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from tests.lockd.attack.faults import (
    answer_of,
    held_by_the_kernel,
    locks_of,
    own_file_system,
    wait_for_agreement,
)
from tests.lockd.client import AUTOCREATE, SHARED, Client
from tests.lockd.engine import Engine, wait_for
from tests.lockd.program import Copy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: Put in front of the writing of each record: it counts down a number in a file, if there is one,
#: and kills the process when that is used up.
MINE = """
        _mine()
        line = text.encode("ascii") + b"\\n"
"""

MINE_BEHIND = """
        self._head[_LENGTH] = self._end = end
        _mine()
"""

DEFINITION = """

def _mine() -> None:
    import signal

    try:
        with open({path!r}, "r+") as file:
            left = int(file.read())
            file.seek(0)
            file.write(f"{{left - 1:08}}")
    except FileNotFoundError:
        return
    if left == 0:
        os.unlink({path!r})
        os.kill(os.getpid(), signal.SIGKILL)
"""


class Mined:
    """A program that kills itself at a record: :meth:`arm` says at which."""

    def __init__(self, directory: Path) -> None:
        self.copy = Copy(directory)
        self._trigger = directory / "mine"
        (journal,) = self.copy.package.rglob("journal.py")
        name = str(journal.relative_to(self.copy.package))
        self.copy.change(name, '\n        line = text.encode("ascii") + b"\\n"\n', MINE)
        self.copy.change(name, "\n        self._head[_LENGTH] = self._end = end\n", MINE_BEHIND)
        with journal.open("a") as file:
            file.write(DEFINITION.format(path=str(self._trigger)))

    def arm(self, number: int) -> None:
        """Let it kill itself at the record of that number from now on, counted from 0: even
        before a record, odd behind it."""
        fresh = self._trigger.with_name("mine.new")
        fresh.write_text(f"{number:08}")
        fresh.rename(self._trigger)

    def has_gone_off(self) -> bool:
        """Whether it has killed itself since."""
        return not self._trigger.exists()

    def disarm(self) -> None:
        """Let it live."""
        self._trigger.unlink(missing_ok=True)


def end_of_a_guest(engine: Engine, arm: Callable[[], object]) -> None:
    """A guest with three locks is killed."""
    process = engine.guest(*"abc")
    arm()
    process.kill()
    process.communicate()


def calls_of_a_client(engine: Engine, arm: Callable[[], object]) -> None:
    """Every call that changes something, by one that acts for a guest, and again if it is hung
    up."""
    arm()
    wanted = [
        lambda client: client.acquire(engine.lockspace, "a"),
        lambda client: client.acquire(engine.lockspace, "b", AUTOCREATE | SHARED),
        lambda client: client.acquire(engine.lockspace, "b", AUTOCREATE | SHARED),
        lambda client: client.release(engine.lockspace, "a"),
        lambda client: client.release(engine.lockspace, "b"),
        lambda client: client.acquire(engine.lockspace, "a"),
        lambda client: client.release(engine.lockspace, "a"),
        lambda client: client.release(engine.lockspace, "b"),
    ]
    for call in wanted:
        for _ in range(2):
            try:
                with Client(engine.socket) as client:
                    client.register("guest", 5004242)
                    if not answer_of(call, client):
                        break
            except (EOFError, OSError):
                continue


def wait_for_takeover(engine: Engine, number: int) -> None:
    """Wait until so many daemons have taken over."""
    wait_for(lambda: engine.log.count("took over") >= number, "the next has taken over")


SCENES = {"a guest ends": end_of_a_guest, "calls": calls_of_a_client}

#: At which records the engine is killed, as far as there are so many, where no more is asked for.
SOME = {"a guest ends": (*range(6), *range(6, 200, 5)), "calls": range(0, 200, 7)}


@pytest.mark.parametrize("scene", SCENES)
def test_at_each_record(tmp_path: Path, pytestconfig: pytest.Config, scene: str) -> None:
    """Whatever was answered is so, and nothing is left of released locks."""
    mined = Mined(tmp_path)
    went_off = 0
    with (
        own_file_system(tmp_path / "lockspace"),
        Engine(tmp_path, command=mined.copy.command) as engine,
    ):
        for number in range(200) if pytestconfig.getoption("--exhaustive") else SOME[scene]:
            takeovers = engine.log.count("took over")
            SCENES[scene](engine, partial(mined.arm, number))
            if scene == "a guest ends":
                # Not to be asked of the engine, which would write records for that.
                wait_for(
                    lambda: mined.has_gone_off() or not held_by_the_kernel(engine.lockspace),
                    "it is through",
                )
                time.sleep(0.3)
            if not mined.has_gone_off():
                mined.disarm()
                break
            went_off += 1
            wait_for_takeover(engine, takeovers + 1)
            if scene == "a guest ends":
                wait_for(lambda: not locks_of(engine), "nothing is left")
            else:
                with engine.client() as client:
                    client.register("guest", 5004242)
                    for name in "aabb":
                        answer_of(client.release, engine.lockspace, name)
            wait_for_agreement(engine)
            assert locks_of(engine) == []
    assert went_off >= 4


def test_many_guests_killed_at_once(tmp_path: Path, pytestconfig: pytest.Config) -> None:
    """While the engine is killed again and again."""
    number, rounds = (150, 28) if pytestconfig.getoption("--exhaustive") else (40, 3)
    with (
        own_file_system(tmp_path / "lockspace"),
        Engine(tmp_path, files={"virtlockd.conf": "max_clients = 500\n"}) as engine,
    ):
        for _ in range(rounds):
            with subprocess.Popen(
                [sys.executable, "-c", MANY, engine.socket, engine.lockspace, str(number)],
                stdout=subprocess.PIPE,
                text=True,
            ) as guests:
                assert guests.stdout is not None
                pids = [int(guests.stdout.readline()) for _ in range(number)]
                assert len(locks_of(engine)) == 3 * number
                for pid in pids:
                    os.kill(pid, signal.SIGKILL)
                engine.crash()
                engine.crash()
            wait_for(lambda: not locks_of(engine), "nothing is left")
            wait_for_agreement(engine)


#: Guests that hold three locks each, in one process each, whose pids are printed.
MANY = """
import os, sys, signal
from tests.lockd.client import Client
children = []
for index in range(int(sys.argv[3])):
    pid = os.fork()
    if not pid:
        client = Client(sys.argv[1], timeout=60)
        client.register(f"guest-{index}")
        for disk in range(3):
            client.acquire(sys.argv[2], f"disk-{index}-{disk}")
        os.write(1, f"{os.getpid()}\\n".encode())
        signal.pause()
    children.append(pid)
for pid in children:
    os.waitpid(pid, 0)
"""
