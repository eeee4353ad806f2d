"""A kernel NFS export of one host, mounted on two others with the default caches, twice.

It takes the machine's kernel for itself, so it is for use inside
:class:`tests.real.shared.machine.Machine`.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from tests.real.shared.hosts import SERVER_ADDRESS, network

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from tests.real.shared.hosts import Host, Network

#: The versions of the protocol, and where the clients have the export by each.
MOUNTS: Final = {"3": "/mnt/nfs3", "4.2": "/mnt/nfs4.2"}

#: What the server exports.
EXPORT: Final = "/run/export"

# A lock that a crashed client held is free after the lease; a server that has just started grants
# none for the grace period. Both are as short as the kernel allows, in seconds.
_LEASE: Final = 10
_GRACE: Final = 3

# statd and rpcbind keep what they know below /run and /var/lib/nfs: every host has its own.
_DAEMONS: Final = """
mount -t tmpfs tmpfs /var/lib/nfs
mkdir -p /run/rpcbind /var/lib/nfs/sm /var/lib/nfs/sm.bak /var/lib/nfs/v4recovery
rpcbind -w
rpc.statd --no-notify
"""
_SERVE: Final = f"""
modprobe lockd nlm_grace_period={_GRACE}
modprobe nfsd
modprobe loop
mkdir {EXPORT}
truncate -s 64M /run/export.img
mke2fs -q -t ext4 -O ^has_journal /run/export.img
mount -o loop /run/export.img {EXPORT}
chmod 777 {EXPORT}
mount -t nfsd nfsd /proc/fs/nfsd
echo {_LEASE} >/proc/fs/nfsd/nfsv4gracetime
echo {_LEASE} >/proc/fs/nfsd/nfsv4leasetime
# Who keeps the clients' names, so that a server that never had any grants locks at once.
mkdir /var/lib/nfs/rpc_pipefs /var/lib/nfs/nfsdcld
mount -t rpc_pipefs rpc_pipefs /var/lib/nfs/rpc_pipefs
nfsdcld
touch /etc/exports /var/lib/nfs/etab
exportfs -o rw,no_root_squash,no_subtree_check,fsid=0 '*:{EXPORT}'
rpc.mountd
rpc.nfsd --nfs-version 3 --nfs-version 4 4
sleep {_GRACE}
"""
#: Other names of the export, and where each is: another address of the server, one of IPv6, and a
#: second export of the same directory.
OTHER_NAMES: Final = {
    "address": "10.99.0.9:/",
    "ipv6": f"[fd99::1]:{EXPORT}",
    "alias": f"{SERVER_ADDRESS}:/run/alias",
}
_NAME: Final = f"""
ip address add 10.99.0.9/24 dev switch
ip address add fd99::1/64 dev switch nodad
mkdir /run/alias
mount --bind {EXPORT} /run/alias
exportfs -o rw,no_root_squash,no_subtree_check '*:/run/alias'
"""
_MOUNT: Final = 'mkdir "$3"; mount -t nfs -o "$1" "$2" "$3"'

# The server's own means to make a client lose its locks: by its address, of version 4; by the
# export, of version 3.
_EXPIRE: Final = """
for client in /proc/fs/nfsd/clients/*; do
    ! grep -q "address: .$1:" "$client/info" || echo expire >"$client/ctl"
done
"""
_UNLOCK: Final = f"echo {EXPORT} >/proc/fs/nfsd/unlock_filesystem"


@contextlib.contextmanager
def nfs_network() -> Iterator[Network]:
    """Hosts of which the clients share :data:`MOUNTS`."""
    with network() as hosts:
        for host in (hosts.server, *hosts.clients):
            host.sh(_DAEMONS)
        hosts.server.sh(_SERVE)
        hosts.server.sh(_NAME)
        for number, client in enumerate(hosts.clients, 2):
            client.sh('ip address add "$1" dev lan nodad', f"fd99::{number}/64")
            for version, point in MOUNTS.items():
                mount(client, f"vers={version}", point)
        yield hosts


def mount(host: Host, options: str, point: str) -> None:
    """Mount the export; ``options`` begin with the version, and ``by`` among them is which of
    :data:`OTHER_NAMES` it is called."""
    # Version 4 names what is exported from the export with fsid=0 on.
    path = "/" if options.startswith("vers=4") else EXPORT
    source = f"{SERVER_ADDRESS}:{path}"
    kept = []
    for option in options.split(","):
        name, _, value = option.partition("=")
        if name == "by":
            source = OTHER_NAMES[value]
        else:
            kept.append(option)
    host.sh(_MOUNT, ",".join(kept), source, point)


def cut_off(hosts: Network) -> None:
    """Pull the cable of the first client."""
    hosts.server.sh('ip link set "$1" down', hosts.clients[0].name)


def plug_in(hosts: Network) -> None:
    """Put it back."""
    hosts.server.sh('ip link set "$1" up', hosts.clients[0].name)


def forget_locks(hosts: Network, version: str) -> None:
    """Have the server forget the locks of the first client by a version of the protocol."""
    if version == "3":
        hosts.server.sh(_UNLOCK)
    else:
        hosts.server.sh(_EXPIRE, hosts.clients[0].address)
