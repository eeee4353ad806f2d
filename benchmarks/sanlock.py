"""sanlock by itself: one daemon on a file, its calls, its memory, and what a kill of it leaves.

It is asked by its own library, as libvirt's plugin asks it. There is no watchdog (``-w 0``): that
would restart this machine. It raises no limits of its own, which not every machine allows.
"""

from __future__ import annotations

import ctypes
import os
import statistics
import subprocess
import sys
import tempfile
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

_LIBRARY: Final = "libsanlock_client.so.1"
_PROGRAM: Final = "sanlock"

#: The size of a lease, in bytes, for sectors of 512.
_LEASE: Final = 1 << 20

#: How many leases there are, and how often each is taken and released.
_RESOURCES: Final = 8
_TIMES: Final = 25

#: How long another host waits before it asks again, in seconds.
_AGAIN: Final = 1.0

_NO_LIMITS: Final = "int setrlimit(int a, const void *b) { return 0; }\n"

#: The daemon's sockets are in a /run of its own.
_IN_NAMESPACES: Final = (
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"),
    *(
        "--mount-proc",
        "sh",
        "-c",
        'mount -t tmpfs none /run && mkdir /run/sanlock /run/lock && "$@"; exit',
    ),
    "sh",
)


def run() -> None:
    """Print the table, from a place of its own that takes the daemon with it."""
    with tempfile.TemporaryDirectory(prefix="lockcfg-benchmark-", dir="/var/tmp") as directory:
        command = [sys.executable, "-m", "benchmarks.sanlock", directory]
        status = subprocess.run([*_IN_NAMESPACES, *command], check=False).returncode
    if status:
        raise SystemExit(status)


def main() -> None:
    """The work itself, in a directory that is there for it."""
    (directory,) = sys.argv[1:]
    print("| sanlock | measured |")
    print("|---|---|")
    for what, figure in _figures(directory):
        print(f"| {what} | {figure} |", flush=True)


def _client(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [_PROGRAM, "client", *arguments], capture_output=True, text=True, check=False
    )


def _without_limits(directory: str) -> str:
    """A library with which a program raises no limits."""
    source, library = os.path.join(directory, "limits.c"), os.path.join(directory, "limits.so")
    with open(source, "w", encoding="utf-8") as file:
        file.write(_NO_LIMITS)
    subprocess.run(["cc", "-shared", "-fPIC", "-o", library, source], check=True)
    return library


def _start(preload: str) -> subprocess.Popen[bytes]:
    options = ("-D", "-w", "0", "-h", "0", "-l", "0", "-U", "root", "-G", "root", "-e", "bench")
    daemon = subprocess.Popen(
        [_PROGRAM, "daemon", *options],
        stderr=subprocess.DEVNULL,
        env={**os.environ, "LD_PRELOAD": preload},
    )
    while _client("status").returncode:
        if daemon.poll() is not None:
            raise SystemExit("the daemon of sanlock does not start")
        time.sleep(0.005)
    return daemon


class _Owner:
    """A process that has leases: this one, by the library."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL(_LIBRARY)
        self._socket = self._library.sanlock_register()
        if self._socket < 0:
            raise SystemExit("the daemon of sanlock takes no connection")

    def _resources(self, text: str) -> ctypes.Array[ctypes.c_void_p]:
        found = ctypes.c_void_p()
        assert self._library.sanlock_str_to_res(text.encode(), ctypes.byref(found)) == 0
        return (ctypes.c_void_p * 1)(found)

    def acquire(self, text: str) -> int:
        """0, or an error of sanlock's."""
        resources = self._resources(text)
        result: int = self._library.sanlock_acquire(self._socket, -1, 0, 1, resources, None)
        return result

    def release(self, text: str) -> int:
        """0, or an error of sanlock's."""
        result: int = self._library.sanlock_release(self._socket, -1, 0, 1, self._resources(text))
        return result


def _figures(directory: str) -> Iterator[tuple[str, str]]:
    space_file, file = os.path.join(directory, "space"), os.path.join(directory, "leases")
    for path, leases in ((space_file, 1), (file, _RESOURCES)):
        with open(path, "wb") as stream:
            stream.truncate(leases * _LEASE)
    space = f"bench:1:{space_file}:0"
    resources = [f"bench:disk{n}:{file}:{n * _LEASE}" for n in range(_RESOURCES)]

    preload = _without_limits(directory)
    begun = time.monotonic()
    daemon = _start(preload)
    yield "start-up until a call is answered", f"{(time.monotonic() - begun) * 1000:.0f} ms"

    assert not _client("init", "-s", f"bench:0:{space_file}:0").returncode
    for each in resources:
        assert not _client("init", "-r", each).returncode
    begun = time.monotonic()
    joined = _client("add_lockspace", "-s", space)
    if joined.returncode:
        raise SystemExit(f"the lockspace cannot be joined: {joined.stdout}{joined.stderr}")
    yield "until the host has joined a lockspace", f"{time.monotonic() - begun:.0f} s"

    owner = _Owner()
    taken, both = [], []
    used = _processor(daemon.pid)
    begun = time.monotonic()
    for _ in range(_TIMES):
        for each in resources:
            at = time.perf_counter()
            assert owner.acquire(each) == 0
            taken.append(time.perf_counter() - at)
            assert owner.release(each) == 0
            both.append(time.perf_counter() - at)
    seconds = time.monotonic() - begun
    calls = 2 * len(taken)
    yield "acquire and release, one at a time", f"{calls / seconds:.0f} calls/s"
    yield (
        "an acquisition: p50, p99, worst",
        ", ".join(f"{each * 1000:.2f} ms" for each in _percentiles(taken)),
    )
    yield (
        "processor of the daemon for such a pair",
        f"{(_processor(daemon.pid) - used) / len(taken) * 1e6:.0f} µs",
    )
    yield "resident (RSS)", f"{_resident(daemon.pid):.0f} MiB"

    assert owner.acquire(resources[0]) == 0
    daemon.kill()
    daemon.wait()
    killed = time.monotonic()
    second = _start(preload)
    told = _client("status").stdout
    yield (
        "`kill -9`: what the next daemon knows of a lease that was held",
        "the lease" if "disk0" in told else "nothing; its owner runs on",
    )
    # The first host does not come back. This one is another.
    if _client("add_lockspace", "-s", f"bench:2:{space_file}:0").returncode:
        raise SystemExit("the second host cannot join the lockspace")
    other = _Owner()
    while other.acquire(resources[0]) != 0:
        time.sleep(_AGAIN)
    yield (
        "`kill -9` until another host has the lease, without a watchdog",
        f"{time.monotonic() - killed:.0f} s; the first owner still runs",
    )
    second.kill()
    second.wait()


def _percentiles(values: list[float]) -> tuple[float, float, float]:
    ordered = sorted(values)
    return statistics.median(ordered), ordered[int(len(ordered) * 0.99)], ordered[-1]


def _processor(pid: int) -> float:
    """How many seconds of a processor a process has used."""
    with open(f"/proc/{pid}/stat", encoding="utf-8") as file:
        fields = file.read().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> float:
    with open(f"/proc/{pid}/status", encoding="utf-8") as file:
        (line,) = [line for line in file if line.startswith("VmRSS:")]
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()
