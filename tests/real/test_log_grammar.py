"""What virtlockd makes of values that the rules about virtlockd.conf judge.

virtlockd is the judge of the grammar of log_filters and log_outputs: it either starts with a
value or refuses to. It runs as an unprivileged user with directories of its own, takes some
milliseconds to say which, and is ended by its process id.
"""

from __future__ import annotations

import os
import random
import socket
import struct
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from lockcfg.conf.files import VIRTLOCKD
from lockcfg.conf.load import parse
from lockcfg.host.installed import libvirt_release
from lockcfg.rules import rule_module
from lockcfg.rules.lk304_log_filters import LAST_TO_START
from lockcfg.rules.rule import FileSubject, Options

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

NOBODY: Final = 65534

#: It takes milliseconds.
TIMEOUT: Final = 60

#: How many mutated values are tried for each setting, besides the fixed ones.
MUTATED: Final = 60

RULES: Final = {"log_filters": "lk304_log_filters", "log_outputs": "lk305_log_outputs"}

#: Values to start from. Every user may open the log file, wherever this runs.
SEEDS: Final = {
    "log_filters": [
        "1:locking 4:object 4:json 4:event 1:util",
        "1:+qemu",
        "3:remote",
        " 2:a  3:b ",
    ],
    "log_outputs": [
        "3:syslog:virtlockd",
        "1:file:/dev/null 3:stderr",
        "4:journald",
        " 2:stderr  3:syslog:a ",
    ],
}

#: What mutations put in. Paths stay whole, so that none is made up.
PIECES: Final = (
    *(" ", "  ", "\t", "\n", "\v", ":", "::", "+", "-", ",", ";", "*", "[", "x", "qemu", "é"),
    *("0", "1", "3", "4", "5", "01", "+2", "-1", "0x1", "1.5", "4294967297", "debug", "9" * 30),
    *("stderr", "journald", "syslog", "file", "stdout", "STDERR", "journal", "/dev/null"),
)

FIXED: Final = {
    "log_filters": [
        *("", " ", "1:", "1:+", "1:++", "1", "x", ":x", "1:x:y", "1::x", "1 :x", "1: x", "0:x"),
        *("5:x", "12:x", "01:x", "+1:x", "++1:x", "-1:x", "1x:x", "\t1:x", "1\t:x", "1:\t"),
        *("1:x,2:y", "1:x\t9:y", "1:x\n9:y", "1:x 9:y", "9:y 1:x", "1.5:x", "0x1:x", "warn:x"),
    ],
    "log_outputs": [
        *("", " ", "3", "3:", ":stderr", "stderr", "3 stderr", "0:stderr", "5:stderr", "03:stderr"),
        *("3:stderr:", "3:stderr:x", "3:journald:", "3:syslog", "3:syslog:", "3:syslog:a:b"),
        *("3:file", "3:file:", "3:file:/dev/null", "3:file:/dev/null:x", "3:file:here", "3:stdout"),
        *("3:STDERR", "3:journal", "3:stderr,3:stderr", "3:stderr\t", "\t3:stderr", "3:file: /x"),
        *("3:stderr 5:stderr", "3:stderr 3:stderr", "3:syslog:a 2:syslog:b", "\n3:stderr"),
    ],
}


class Ran(NamedTuple):
    """Whether virtlockd started, and what it wrote."""

    started: bool
    output: str


@contextmanager
def virtlockd(conf: str) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """virtlockd with a configuration, as a user who may write nowhere else than in a directory
    made for it; where its socket is or will be."""
    with tempfile.TemporaryDirectory(prefix="lockcfg-") as top:
        directory = Path(top)
        directory.chmod(0o777)
        (directory / "virtlockd.conf").write_bytes(conf.encode())
        places = ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")
        program = ("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups")
        process = subprocess.Popen(
            [*program, "/usr/sbin/virtlockd", "-f", directory / "virtlockd.conf"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            cwd=top,
            env={"PATH": os.environ["PATH"], **dict.fromkeys(places, top)},
        )
        try:
            yield process, directory / "libvirt/virtlockd-sock"
        finally:
            if process.poll() is None:
                process.kill()
            process.communicate(timeout=TIMEOUT)


def wait_for(process: subprocess.Popen[bytes], path: Path) -> bool:
    """Whether virtlockd came to listen at ``path``; otherwise it has ended."""
    deadline = time.monotonic() + TIMEOUT
    while process.poll() is None:
        if path.exists():
            return True
        assert time.monotonic() < deadline
        time.sleep(0.001)
    return False


def started_with(conf: str) -> Ran:
    """What virtlockd does with a configuration."""
    with virtlockd(conf) as (process, path):
        if wait_for(process, path):
            return Ran(started=True, output="")
        return Ran(started=False, output=process.communicate(timeout=TIMEOUT)[1].decode())


def line(key: str, value: str) -> str:
    """A configuration with nothing but one setting."""
    return f'{key} = """{value}"""\n'


def refused_by_virtlockd(key: str, value: str) -> bool | None:
    """Whether virtlockd does not take a value; None if it may not open a file that was named,
    or cannot where it runs, and so says nothing of the rest."""
    ran = started_with(line(key, value))
    if ran.started:
        return False
    if "failed to open" in ran.output and "Is a directory" not in ran.output:
        return None
    assert "invalid argument" in ran.output or "Is a directory" in ran.output, (value, ran.output)
    return True


def refused_by_rule(key: str, value: str) -> bool:
    """Whether the rule calls a value an error."""
    document = parse(line(key, value).encode(), VIRTLOCKD, VIRTLOCKD.name)
    all_found = rule_module(RULES[key]).check(
        FileSubject(document), Options(installed=libvirt_release())
    )
    return any(found.finding.severity == "error" for found in all_found)


def mutated(key: str, seed: int) -> list[str]:
    """Values that are a few pieces away from good ones, none of them twice."""
    choose = random.Random(f"{key} {seed}")
    found: set[str] = set()
    while len(found) < MUTATED:
        pieces = pieces_of(choose.choice(SEEDS[key]))
        for _ in range(choose.randint(1, 3)):
            at = choose.randrange(len(pieces))
            match choose.randrange(3):
                case 0:
                    pieces[at : at + 1] = []
                case 1:
                    pieces[at : at + 1] = [choose.choice(PIECES)]
                case _:
                    pieces[at:at] = [choose.choice(PIECES)]
            pieces = pieces or [""]
        found.add("".join(pieces))
    return sorted(found)


def pieces_of(value: str) -> list[str]:
    """A value as separators and what is between them."""
    pieces = [""]
    for character in value:
        if character in ": +":
            pieces += [character, ""]
        else:
            pieces[-1] += character
    return [piece for piece in pieces if piece]


@pytest.mark.parametrize("key", RULES)
def test_the_rule_refuses_what_virtlockd_refuses(key: str, request: pytest.FixtureRequest) -> None:
    """And nothing else. That of libvirt 7.0 refuses nothing."""
    values = [*FIXED[key], *SEEDS[key], *mutated(key, request.config.getoption("--seed"))]
    with ThreadPoolExecutor(4) as pool:
        verdicts = list(pool.map(lambda value: refused_by_virtlockd(key, value), values))
    judged = [
        (v, refused) for v, refused in zip(values, verdicts, strict=True) if refused is not None
    ]
    assert len(judged) > 80
    if libvirt_release()[:2] > LAST_TO_START:
        assert 10 < verdicts.count(True) < len(judged) - 10
    wrong = [
        (value, refused) for value, refused in judged if refused_by_rule(key, value) != refused
    ]
    assert wrong == []


@pytest.mark.parametrize(("limit", "served"), [(0, [True, False]), (1, [True, True])])
def test_with_no_clients_allowed_one_is_served_and_then_none(
    limit: int, served: list[bool]
) -> None:
    """What the rule max-clients-zero says; with one allowed, there is a next one."""
    with virtlockd(f"max_clients = {limit}\n") as (process, path):
        assert wait_for(process, path)
        assert [is_served(path) for _ in served] == served


def is_served(path: Path) -> bool:
    """Whether virtlockd answers a client, which then goes away."""
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        # virtlockd serves its own user alone, and looks at who connects.
        os.seteuid(NOBODY)
        try:
            connect(client, path)
        finally:
            os.seteuid(0)
        # Register, as the owner of a guest called 'a'; see the protocol's definition.
        owner = bytes(16) + struct.pack(">I4sIII", 1, b"a", 1, os.getpid(), 0)
        call = struct.pack(">6I", 0xEA7BEEF, 1, 1, 0, 1, 0) + owner
        client.sendall(struct.pack(">I", 4 + len(call)) + call)
        try:
            return len(client.recv(4096)) > 0
        except TimeoutError:
            return False


def connect(client: socket.socket, path: Path) -> None:
    """Connect to a socket that is there and may not be listened to yet."""
    deadline = time.monotonic() + TIMEOUT
    while True:
        try:
            client.connect(str(path))
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.001)
        else:
            return
