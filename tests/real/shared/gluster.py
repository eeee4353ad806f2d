"""A GlusterFS volume on one host, mounted on two others as `mount -t glusterfs` would.

The client's graph is the one that glusterd writes for a new volume of one brick, with every cache
it turns on, and the mount has the default time-outs of names and attributes, one second each.
There is no glusterd: the graphs are files here.
"""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING

from tests.real.shared.hosts import SERVER_ADDRESS, network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Final

    from tests.real.shared.hosts import Host, Network

#: Where the clients have the volume.
MOUNT: Final = "/mnt/shared"

#: The process that has the volume mounted, on a client.
CLIENT_PID_FILE: Final = "/run/client.pid"

_PORT: Final = 24007
#: Where the server has the brick.
BRICK: Final = "/run/brick"
_VOLUME_ID: Final = "00112233-4455-6677-8899-aabbccddeeff"


def _graph(*translators: tuple[str, dict[str, str]]) -> str:
    """A volume file: each translator stands on the one before it."""
    volumes = []
    below = ""
    for kind, options in translators:
        name = kind.split("/")[1]
        lines = [f"volume {name}", f"  type {kind}"]
        lines += [f"  option {option} {value}" for option, value in options.items()]
        lines += [f"  subvolumes {below}"] if below else []
        volumes.append("\n".join([*lines, "end-volume\n"]))
        below = name
    return "\n".join(volumes)


_TRANSPORT: Final = {"transport-type": "tcp", "transport.address-family": "inet"}


def _server_graph(flush_takes: float = 0) -> str:
    """The server's graph. It is ``flush_takes`` seconds later with each flush, as a busy one is."""
    delay = {
        "enable": "flush",
        "delay-percentage": "100",
        "delay-duration": f"{flush_takes * 1e6:.0f}",
    }
    return _graph(
        ("storage/posix", {"directory": BRICK, "volume-id": _VOLUME_ID}),
        ("features/locks", {}),
        *([("debug/delay-gen", delay)] if flush_takes else []),
        ("performance/io-threads", {}),
        (
            "protocol/server",
            {
                **_TRANSPORT,
                "transport.socket.bind-address": SERVER_ADDRESS,
                "transport.socket.listen-port": str(_PORT),
                "auth.addr.io-threads.allow": "*",
            },
        ),
    )


_CLIENT: Final = (
    "protocol/client",
    {
        **_TRANSPORT,
        "remote-host": SERVER_ADDRESS,
        "remote-port": str(_PORT),
        "remote-subvolume": "io-threads",
    },
)


def _client_graph(write_behind: dict[str, str]) -> str:
    """What glusterd writes for a volume of one brick."""
    return _graph(
        _CLIENT,
        ("cluster/distribute", {}),
        ("features/utime", {"noatime": "on"}),
        ("performance/write-behind", write_behind),
        ("performance/open-behind", {}),
        ("performance/quick-read", {}),
        ("performance/md-cache", {}),
        ("performance/io-threads", {}),
        ("debug/io-stats", {}),
    )


#: The client's graphs by name.
CLIENT_GRAPHS: Final = {
    # With the defaults of a new volume.
    "default": _client_graph({}),
    # A file that is closed is closed at the server as well.
    "no flush-behind": _client_graph({"flush-behind": "off"}),
    # Only the kernel caches names and attributes, for a second.
    "plain": _graph(_CLIENT),
}

# The brick needs trusted.* attributes, which tmpfs has; it goes with the host.
_MAKE: Final = f"""
mkdir {BRICK}
mount -t tmpfs tmpfs {BRICK}
setfattr -n trusted.glusterfs.volume-id -v 0x{_VOLUME_ID.replace("-", "")} {BRICK}
"""
_SERVE: Final = 'glusterfsd --volfile="$1" --log-file="$2" --pid-file=/run/brick.pid'
_RESTART: Final = f"""
pid=$(cat /run/brick.pid)
kill -9 "$pid"
while kill -0 "$pid" 2>/dev/null; do sleep 0.02; done
{_SERVE}
"""
# It returns when the volume is mounted. A client that asks a server for the graph names the volume
# in this way, too.
_MOUNT: Final = f"""
mkdir {MOUNT}
glusterfs --volfile="$1" --volfile-id=/vm --log-file="$2" --pid-file={CLIENT_PID_FILE} {MOUNT}
"""


@contextlib.contextmanager
def gluster_network(
    directory: Path, graph: str = "default", flush_takes: float = 0
) -> Iterator[Network]:
    """Hosts of which the clients share :data:`MOUNT`. ``directory`` takes graphs and logs.

    ``graph`` is one of :data:`CLIENT_GRAPHS`. The server is ``flush_takes`` seconds later with each
    flush, which a client sends when a file is closed.
    """
    server_graph = _server_volume(directory)
    client_graph = directory / "client.vol"
    server_graph.write_text(_server_graph(flush_takes))
    client_graph.write_text(CLIENT_GRAPHS[graph])
    with network() as hosts:
        hosts.server.sh(_MAKE)
        hosts.server.sh(_SERVE, server_graph, _log(directory, hosts.server))
        for client in hosts.clients:
            client.sh(_MOUNT, client_graph, _log(directory, client))
        yield hosts


def mount_second_volume(hosts: Network, client: Host, directory: Path, point: str) -> None:
    """Make another volume of the same server, and have a client mount it at ``point``; its id is
    another one, and all that it is called is the same. ``directory`` takes graphs and logs."""
    client.sh(
        'mkdir "$3"\nglusterfs --volfile="$1" --volfile-id=/vm --log-file="$2" "$3"',
        serve_second_volume(hosts, directory, "default"),
        directory / f"{client.name}-two.log",
        point,
    )


def serve_second_volume(hosts: Network, directory: Path, graph: str) -> Path:
    """Have the server of a network serve another volume too; the client's graph for it is returned.
    ``graph`` is one of :data:`CLIENT_GRAPHS`."""
    brick, port = f"{BRICK}-two", str(_PORT + 1)
    volume_id = _VOLUME_ID[::-1].replace("-", "")
    dashed = str(uuid.UUID(volume_id))
    server_graph, client_graph = directory / "server-two.vol", directory / "client-two.vol"
    replaced = _server_graph().replace(BRICK, brick).replace(_VOLUME_ID, dashed)
    server_graph.write_text(replaced.replace(str(_PORT), port))
    client_graph.write_text(CLIENT_GRAPHS[graph].replace(str(_PORT), port))
    hosts.server.sh(
        _MAKE.replace(BRICK, brick).replace(_VOLUME_ID.replace("-", ""), volume_id)
        + _SERVE.replace("brick.pid", "brick-two.pid"),
        server_graph,
        directory / "server-two.log",
    )
    return client_graph


def restart_brick(hosts: Network, directory: Path) -> None:
    """Kill the server of the volume and start it again; ``directory`` is that of the network."""
    hosts.server.sh(_RESTART, _server_volume(directory), _log(directory, hosts.server))


def _server_volume(directory: Path) -> Path:
    return directory / "server.vol"


def _log(directory: Path, host: Host) -> Path:
    return directory / f"{host.name}.log"
