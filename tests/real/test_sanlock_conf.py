"""sanlock.conf as the real sanlock daemon reads it: what it says of itself, against our reader."""

from __future__ import annotations

import random
import subprocess
import time
from typing import TYPE_CHECKING

from lockcfg.conf.files import SANLOCK
from lockcfg.conf.load import parse
from lockcfg.conf.sanlock import in_force
from lockcfg.conf.settings import settings_of
from tests.real.test_sanlock import no_limits

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Final

    import pytest

#: What the daemon says of itself that comes from the file alone.
TOLD: Final = (
    *("our_host_name", "use_watchdog", "mlock_level", "quiet_fail"),
    *("debug_renew", "debug_clients", "renewal_history_size", "sh_retries"),
    *("max_worker_threads", "write_init_io_timeout", "use_aio"),
)

#: How a file says what a line of it is: a name, what is before '=', a value, what is behind it.
NAMES: Final = (*TOLD, *TOLD, "Use_watchdog", "use_watchdogs", "use-watchdog", "io_timeout", "")
BEFORE: Final = ("", "", "", " ", "\t", " 1 ", ":", "\r", " \v")
EQUALS: Final = ("=", "=", "=", "=", "=", " ", "==", ":")
VALUES: Final = (
    *("0", "1", "2", "7", "120", "-1", "+3", "007", "0x10", "1k", "8.5", "2147483647"),
    *("yes", "true", "on", '"1"', "'0'", "", "kvm01", "k\xe4", "a b", "\v1", "\f0", "1\x002", "1#"),
)
BEHIND: Final = ("", "", " ", " # why", "\t\t", "\r", " 5", "#", ";", " = 4")
STARTS: Final = ("", "", "", "", "", " ", "\t", "#", "# ", "\r", "\0")
ENDS: Final = ("\n", "\n", "\n", "\n\n", "\r\n", "\n   \n", " " * 120 + "\n", "\n#" + "x" * 126)

_SCRIPT: Final = """
mount --bind "$1/run" /run && mkdir -p /run/sanlock /run/lock &&
mkdir "$1/upper" "$1/work" &&
mount -t overlay overlay -o lowerdir=/etc,upperdir="$1/upper",workdir="$1/work" /etc &&
mkdir -p /etc/sanlock && cp "$1/sanlock.conf" /etc/sanlock/sanlock.conf || exit
LD_PRELOAD="$2" exec sanlock daemon -D -h 0 2>"$1/log"
"""


def told(directory: Path, preload: Path, text: bytes) -> dict[str, str]:
    """What a daemon with this file says of itself."""
    directory.mkdir()
    (directory / "run").mkdir()
    (directory / "sanlock.conf").write_bytes(text)
    # A file system of its own: an overlay cannot be on another one.
    script = 'mount -t tmpfs tmpfs "$1" && cp -a "$3"/. "$1" || exit\n' + _SCRIPT
    source = directory.with_suffix(".files")
    directory.rename(source)
    directory.mkdir()
    daemon = subprocess.Popen(
        [
            *("unshare", "--mount", "--propagation", "private"),
            *("sh", "-c", script, "sh", directory, preload, source),
        ],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    ask = ["nsenter", "--mount", f"--target={daemon.pid}", "sanlock", "client", "status", "-D"]
    try:
        for _ in range(300):
            answer = subprocess.run(ask, capture_output=True, check=False)
            if not answer.returncode and b"use_watchdog" in answer.stdout:
                lines = answer.stdout.decode("utf-8", "surrogateescape").split("\n")
                pairs = [line.strip(" ").partition("=") for line in lines if line[:4] == "    "]
                return {name: value for name, _, value in pairs}
            assert daemon.poll() is None, "the daemon has ended"
            time.sleep(0.05)
        raise AssertionError("the daemon does not answer")
    finally:
        daemon.kill()
        daemon.wait()


def generated(draw: random.Random) -> bytes:
    """The text of a file, as people and chance write it."""
    lines = [
        draw.choice(STARTS)
        + draw.choice(NAMES)
        + draw.choice(BEFORE)
        + draw.choice(EQUALS)
        + draw.choice(("", "", " ", "\t"))
        + draw.choice(VALUES)
        + draw.choice(BEHIND)
        + draw.choice(ENDS)
        for _ in range(draw.randint(1, 12))
    ]
    return "".join(lines).encode("utf-8" if draw.random() < 0.5 else "latin-1")


def expected(text: bytes) -> Mapping[str, int | str | None]:
    """What our reader says of the same."""
    document = parse(text, SANLOCK, "sanlock.conf")
    settings = settings_of(SANLOCK)
    defaults = {key: settings[key].default for key in TOLD if key != "our_host_name"}
    assert all(isinstance(value, int) for value in defaults.values())
    return {**defaults, **in_force(document)}  # type: ignore[dict-item]


def test_the_reader_says_what_the_daemon_takes(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Of generated files, of the seed of the run; more of them in the long run."""
    draw = random.Random(request.config.getoption("--seed"))
    exhaustive = request.config.getoption("--exhaustive", default=False)
    preload = no_limits(tmp_path)
    compared = set()
    for number in range(600 if exhaustive else 40):
        text = generated(draw)
        found = told(tmp_path / str(number), preload, text)
        for key, value in expected(text).items():
            if key not in TOLD or value is None or (key == "our_host_name" and not value):
                continue
            shown = str(value)[:47] if isinstance(value, str) else str(value)
            assert found[key] == shown, f"{key}: {text!r}"
            if value != settings_of(SANLOCK)[key].default:
                compared.add(key)
    assert len(compared) > len(TOLD) // 2


def test_every_setting_of_the_schema_is_one_of_the_daemon() -> None:
    """By the names in the program; the newest it may not have."""
    program = subprocess.run(["strings", "/usr/sbin/sanlock"], capture_output=True, text=True)
    names = set(program.stdout.split())
    for key, setting in settings_of(SANLOCK).items():
        assert key in names or tuple(map(int, setting.since.split("."))) > (3, 8, 5), key
