"""A Ceph cluster on one host, with two file systems, which two others mount with ceph-fuse.

The cluster is one monitor, one OSD whose disk is memory, and a metadata server for each file
system. It has no manager, which only figures need. Nothing is authenticated: the network is the
hosts' own.
"""

from __future__ import annotations

import contextlib
import json
import time
from typing import TYPE_CHECKING

from tests.real.shared.hosts import SERVER_ADDRESS, network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any, Final

    from tests.real.shared.hosts import Host, Network

#: Where the clients have the first file system, and where one may mount more.
MOUNT: Final = "/mnt/shared"

#: The file systems of the cluster.
FILE_SYSTEMS: Final = ("vm", "other")

#: After how many seconds of silence of a client the server gives up its session, and with
#: that its locks. No cluster may have less.
AUTOCLOSE: Final = 30

CLUSTER: Final = "6a1b2c3d-0000-4000-8000-00000000ce9f"
_ADDRESS: Final = f"[v2:{SERVER_ADDRESS}:3300,v1:{SERVER_ADDRESS}:6789]"
_OSD: Final = "5a1b2c3d-0000-4000-8000-00000000ce9f"

_CONFIGURE: Final = f"""
mkdir /run/ceph
cat >/run/ceph.conf <<'END'
[global]
fsid = {CLUSTER}
mon_host = {_ADDRESS}
auth_cluster_required = none
auth_service_required = none
auth_client_required = none
run_dir = /run/ceph
log_file = /var/log/$cluster-$name.log
osd_objectstore = memstore
memstore_device_bytes = 268435456
osd_pool_default_size = 1
osd_pool_default_min_size = 1
mon_allow_pool_size_one = true
osd_crush_chooseleaf_type = 0
mon_data = /run/ceph/mon
osd_data = /run/ceph/osd
END
"""
# A program that is asked once: its start takes a second.
_MAKE_FILE_SYSTEMS: Final = "\n".join(
    [
        "fs flag set enable_multiple true",
        *(
            f"osd pool create {name}-metadata 8\nosd pool create {name}-data 8\n"
            f"fs new {name} {name}-metadata {name}-data\n"
            f"fs set {name} session_timeout {AUTOCLOSE}\n"
            f"fs set {name} session_autoclose {AUTOCLOSE}"
            for name in FILE_SYSTEMS
        ),
    ]
)
_SERVE: Final = f"""
mkdir /run/ceph/mon /run/ceph/osd
export CEPH_CONF=/run/ceph.conf
monmaptool --create --fsid {CLUSTER} --addv a '{_ADDRESS}' /run/monmap
ceph-mon --mkfs -i a --monmap /run/monmap
ceph-mon -i a --public-addr {SERVER_ADDRESS}
ceph osd new {_OSD}
ceph-osd -i 0 --mkfs --osd-uuid {_OSD}
ceph-osd -i 0
ceph <<'END'
{_MAKE_FILE_SYSTEMS}
END
for name in {" ".join(FILE_SYSTEMS)}; do ceph-mds -i mds-$name; done
"""
_MOUNT: Final = """
name=$1 point=$2 directory=$3
mkdir -p "$point"
ceph-fuse -c /run/ceph.conf --client_fs "$name" -r "$directory" "$point"
"""
_PATIENCE: Final = 120


@contextlib.contextmanager
def ceph_network() -> Iterator[Network]:
    """Hosts of which the clients share :data:`MOUNT`."""
    with network() as hosts:
        hosts.server.sh(_CONFIGURE + _SERVE)
        deadline = time.monotonic() + _PATIENCE
        while tell(hosts, "mds", "stat").count("=up:active") < len(FILE_SYSTEMS):
            assert time.monotonic() < deadline, tell(hosts, "status")
            time.sleep(0.2)
        for client in hosts.clients:
            client.sh(_CONFIGURE)
            mount(client, FILE_SYSTEMS[0], MOUNT)
        yield hosts


def mount(client: Host, name: str, point: str, directory: str = "/") -> None:
    """Have a client mount a file system, or a directory of it."""
    client.sh(_MOUNT, name, point, directory)


def tell(hosts: Network, *command: str) -> str:
    """What the cluster answers to a command of ``ceph``."""
    return hosts.server.run("ceph", "-c", "/run/ceph.conf", *command)


def sessions(hosts: Network, host: Host) -> list[dict[str, Any]]:
    """The sessions of a client with the server of the first file system."""
    said = tell(hosts, "tell", f"mds.{FILE_SYSTEMS[0]}:0", "client", "ls")
    # What the program says of its connections is before it, or behind it.
    listed = json.loads(said[said.index("[\n") : said.rindex("]") + 1])
    return [each for each in listed if each["client_metadata"]["hostname"] == host.name]


def evict(hosts: Network, host: Host) -> None:
    """End the sessions of a client, as an administrator does it to a host that died."""
    for each in sessions(hosts, host):
        tell(hosts, "tell", f"mds.{FILE_SYSTEMS[0]}:0", "client", "evict", f"id={each['id']}")
