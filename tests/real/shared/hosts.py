"""Hosts on this machine: namespaces with a network between them, and nothing that outlives them.

A host has mount, network, UTS and PID namespaces of its own, with an empty /run and /mnt, so that
each can run a lock daemon at its usual sockets. The first process of a host reads from a pipe that
the test holds: however the test ends, the pipe closes, that process ends, and with it the kernel
ends every process of the host and drops its mounts and interfaces. All hosts share one
CLOCK_MONOTONIC.
"""

from __future__ import annotations

import contextlib
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final, Self

#: How long a host may take to come up, or a command on it to end, in seconds.
PATIENCE: Final = 90.0

_UNSHARE: Final = (
    *("unshare", "--mount", "--propagation", "private", "--net", "--uts"),
    *("--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-euc"),
)
# The last line ignores the end of children, so that none stays behind as a zombie.
_BOOT: Final = """
hostname "$1"
ip link set lo up
for directory in /run /mnt /var/log; do mount -t tmpfs tmpfs "$directory"; done
mkdir -p /run/gluster /var/log/libvirt
echo ready
exec env --ignore-signal=CHLD cat >/dev/null
"""


class Host:
    """A host that is up. ``name`` is its hostname; ``address`` the one that it gets in a network.
    Raises RuntimeError when it does not come up."""

    def __init__(self, name: str, address: str) -> None:
        self.name: Final = name
        self.address: Final = address
        # A session of its own: an interrupt from the keyboard ends the test, which ends the hosts.
        self._process: Final = subprocess.Popen(
            [*_UNSHARE, _BOOT, "sh", name],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """End every process of the host; there are none when this returns."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()

    def wait_until_up(self) -> None:
        """Return when commands may run on the host."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line != "ready\n":
            raise RuntimeError(f"host {self.name} did not come up: {line}")

    @property
    def pid(self) -> int:
        """The host's first process, as this side sees it."""
        parent = self._process.pid
        return int(Path(f"/proc/{parent}/task/{parent}/children").read_text())

    def command(self, *arguments: str | Path) -> list[str]:
        """The command line that runs ``arguments`` on the host."""
        enter = ("nsenter", "--target", str(self.pid), "--mount", "--net", "--uts", "--pid", "--")
        return [*enter, *map(str, arguments)]

    def path(self, path: str) -> Path:
        """What the host has at ``path``, as this side can open it."""
        return Path(f"/proc/{self.pid}/root{path}")

    def popen(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start a command on the host; its output is text."""
        return subprocess.Popen(self.command(*arguments), text=True, **options)

    def run(self, *arguments: str | Path) -> str:
        """Run a command on the host and return what it said.

        Raises RuntimeError with its whole output when it fails.
        """
        result = subprocess.run(
            self.command(*arguments),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE,
        )
        if result.returncode:
            command = " ".join(map(str, arguments))
            raise RuntimeError(
                f"{self.name}: {command}: exit status {result.returncode}\n{result.stdout}"
            )
        return result.stdout

    def sh(self, script: str, *arguments: str | Path) -> str:
        """Run a shell script, which stops at the first error, on the host."""
        return self.run("sh", "-euc", script, "sh", *arguments)


def _lay_cable(host: Host, name: str, pid: int) -> None:
    """Give a host an interface of that name, whose other end is ``lan`` for the process ``pid``."""
    # From outside: a host does not know the other's processes.
    cable = ("ip", "link", "add", name, "type", "veth", "peer", "name", "lan")
    subprocess.run(
        ["nsenter", "--target", str(host.pid), "--net", *cable, "netns", str(pid)], check=True
    )


def join(server: Host, name: str, pid: int) -> None:
    """Plug the network namespace of the process ``pid`` into a server's network."""
    _lay_cable(server, name, pid)
    server.sh(_PORT, name)


class Network(NamedTuple):
    """A server and its clients, each of which reaches the server at :data:`SERVER_ADDRESS`."""

    server: Host
    clients: tuple[Host, Host]


SERVER_ADDRESS: Final = "10.99.0.1"

_HOSTS: Final = {"server": SERVER_ADDRESS, "one": "10.99.0.2", "two": "10.99.0.3"}

# The server is the switch: a bridge with a port for each client.
_SWITCH: Final = f"""
ip link add switch type bridge forward_delay 0
ip address add {SERVER_ADDRESS}/24 dev switch
ip link set switch up
"""
_PORT: Final = 'ip link set "$1" master switch up'
_CLIENT: Final = """
ip address add "$1" dev lan
ip link set lan up
"""


@contextlib.contextmanager
def network() -> Iterator[Network]:
    """Three hosts, joined; gone when the block is left."""
    with contextlib.ExitStack() as stack:
        server, *clients = [
            stack.enter_context(Host(name, address)) for name, address in _HOSTS.items()
        ]
        for host in (server, *clients):
            host.wait_until_up()
        server.sh(_SWITCH)
        for client in clients:
            join(server, client.name, client.pid)
            client.sh(_CLIENT, f"{client.address}/24")
        yield Network(server, (clients[0], clients[1]))
