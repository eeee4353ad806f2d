"""Frees locks after a proof, by the means that the storage offers on this host. For other storage
it says what to do, and where. It never removes a lock file."""

from __future__ import annotations

import os
import time
from functools import partial

from lockcfg.errors import LockcfgError
from lockcfg.frozen import Frozen
from lockcfg.host.storage import mount_of, read_mounts
from lockcfg.release import gluster, nfs3
from lockcfg.release.own import is_this_host
from lockcfg.release.signs import LivesError, watch_clients, watch_heartbeats
from lockcfg.who import nfs_server

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any, Final

    from lockcfg.host.storage import Mount
    from lockcfg.release.gluster import HeldFile
    from lockcfg.release.proof import Proof
    from lockcfg.release.record import AuditRecord
    from lockcfg.who.heartbeat import Life
    from lockcfg.who.nfs_server import NfsClient

#: How many seconds an expired client may take to go.
_PATIENCE: Final = 3.0

_LEASE: Final = "/proc/fs/nfsd/nfsv4leasetime"


class Outcome(Frozen):
    """The outcome: what was ``freed``, in words, and what is ``left`` to do elsewhere."""

    __slots__ = ("freed", "left", "lives")

    def __init__(self, freed: Sequence[str], left: Sequence[str], lives: Sequence[Life]) -> None:
        self.freed: Final = tuple(freed)
        self.left: Final = tuple(left)
        self.lives: Final = tuple(lives)

    def record(self) -> dict[str, Any]:
        """The outcome for the audit record, and for programs."""
        return {
            "freed": list(self.freed),
            "left": list(self.left),
            "heartbeats": [
                {"verdict": life.verdict, "age": life.age, "why": life.why} for life in self.lives
            ],
        }


def release(
    host: str,
    proof: Proof,
    spaces: Sequence[str],
    record: AuditRecord,
    *,
    address: str = "",
    dry: bool = False,
    say: Callable[[str], object],
) -> Outcome:
    """Free what a host that is off still holds. Raises LivesError if the host is not off, or if
    that is unknown. Raises WriteError if the record cannot be written; nothing is freed then."""
    if is_this_host(host, address):
        raise LivesError(f"{host} is this very host, and lives")
    mine = _clients(host, address)
    lives = watch_heartbeats(host, spaces, say=say)
    mine = watch_clients(mine, partial(_clients, host, address))
    files = _held_on_bricks(host)
    watched = nfs3.watched(host, address)
    if proof.kind == "word":
        _check_word(host, lives, mine, [*files, *watched])
    left = [*_elsewhere(host, spaces, served=bool(mine or files or watched))]
    freed = []
    if dry:
        freed = [f"would expire {_told(client)}" for client in mine]
        freed += [f"would free the locks of the NFSv3 client {name}" for name in watched]
        freed += [f"would clear the locks of {file.path}" for file in files if not file.others]
        return Outcome(freed, left, lives)
    record.write(
        "release",
        proof=proof.record(),
        clients=[_told(client) for client in mine],
        nfs3_clients=watched,
        files=[file.path for file in files],
    )
    for client in mine:
        try:
            _expire(client)
        except OSError as error:
            left.append(f"{_told(client)} could not be expired: {error.strerror or error}")
        else:
            freed.append(f"expired {_told(client)}")
    _free_nfs3(watched, spaces, freed, left)
    _clear(host, files, freed, left)
    outcome = Outcome(freed, left, lives)
    record.write("released", proof=proof.record(), **outcome.record())
    return outcome


def _clients(host: str, address: str) -> list[NfsClient]:
    """The NFSv4 clients of this server that belong to a host. Raises LockcfgError if several
    may."""
    if not nfs_server.is_server():
        return []
    try:
        found = [client for client in nfs_server.clients() if is_host(client, host)]
    except OSError as error:
        raise LockcfgError(
            f"cannot read the clients of this NFS server: {error.strerror}"
        ) from error
    addresses = sorted({client.address for client in found})
    if address:
        return [client for client in found if client.address == address]
    if len(addresses) > 1:
        raise LockcfgError(
            f"several NFS clients are called {host}: {', '.join(addresses)}",
            help="say which one is meant with --address",
        )
    return found


def is_host(client: NfsClient, host: str) -> bool:
    """Whether a client belongs to a host, by the whole name that it gave. A short name matches a
    long one if one of the two has no domain."""
    mine, yours = client.host.lower(), host.lower()
    if mine == yours:
        return bool(mine)
    short = mine.partition(".")[0] == yours.partition(".")[0] != ""
    return short and ("." not in mine or "." not in yours)


def _free_nfs3(
    watched: Sequence[str], spaces: Sequence[str], freed: list[str], left: list[str]
) -> None:
    """Free the NFSv3 locks of a host, by each name that this server has for it."""
    for name in watched:
        try:
            gone = nfs3.free(name, spaces)
        except OSError as error:
            left.append(f"the NFSv3 client {name}: {error.strerror or error}")
        else:
            what = f"told this server that the NFSv3 client {name} has started again"
            if gone:
                freed.append(f"{what}: {len(gone)} of the lock files are no longer locked")
            else:
                left.append(f"{what}: it is unknown whether its locks are released; try the guest")


def _held_on_bricks(host: str) -> list[HeldFile]:
    """The files on the bricks of this server on which a host holds locks."""
    try:
        return gluster.held_by(host)
    except OSError as error:
        raise LockcfgError(
            f"cannot read the bricks of this GlusterFS server: {error.strerror}"
        ) from error


def _clear(host: str, files: Sequence[HeldFile], freed: list[str], left: list[str]) -> None:
    """Clear the locks of files that only the host holds, and check that they are gone."""
    mounts = read_mounts()
    asked = []
    for file in files:
        mount = gluster.mount_of(file, mounts)
        if file.others:
            others = ", ".join(file.others)
            left.append(f"{file.path}: its locks are not cleared, as {others} holds some, too")
        elif mount is None:
            left.append(f"its volume is not mounted here: {file.command}")
        else:
            try:
                gluster.clear(file, mount)
                asked.append(file)
            except OSError as error:
                left.append(f"{file.path}: its locks cannot be cleared: {error.strerror}")
    still = {file.path for file in _held_on_bricks(host)} if asked else set()
    for file in asked:
        if file.path in still:
            left.append(f"{file.path}: {host} still holds locks on it: {file.command}")
        else:
            freed.append(f"cleared the locks of {host} on {file.path}, a file on GlusterFS")


def _check_word(
    host: str, lives: Sequence[Life], clients: Sequence[NfsClient], others: Sequence[object]
) -> None:
    """Refuse a person's word alone if there is a sign of life, or if no sign could be seen."""
    for life in lives:
        if life.verdict == "live":
            raise LivesError(
                f"{life.why}: a word alone is not enough yet",
                help="wait until it is silent for longer, or use --proof fence or power",
            )
    lease = _lease()
    for client in clients:
        if client.since is not None and client.since < lease:
            raise LivesError(
                f"{host} renewed its NFS lease {client.since} s ago: a word alone is not enough"
                f" before {lease} s",
                help="wait, or use --proof fence or power",
            )
    is_silent = any(life.verdict == "stale" for life in lives) or (
        bool(clients) and all(client.since is not None for client in clients)
    )
    if (clients or others) and not is_silent:
        raise LivesError(
            f"it cannot be seen from here whether {host} lives: a word alone is not enough",
            help="use --proof fence or power",
        )


def _lease() -> int:
    """The lease time of this NFS server, in seconds; the usual one if it is unknown."""
    try:
        with open(_LEASE, encoding="ascii") as file:
            return int(file.read())
    except (OSError, ValueError):
        return 90


def _expire(client: NfsClient) -> None:
    """Have the server forget a client and all that it holds. Raises OSError."""
    directory = os.path.join(nfs_server.CLIENTS, client.number)
    fd = os.open(f"{directory}/ctl", os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, b"expire\n")
    finally:
        os.close(fd)
    until = time.monotonic() + _PATIENCE
    while os.path.exists(directory):
        if time.monotonic() > until:
            raise TimeoutError(0, "the server has not expired it yet")
        time.sleep(0.02)


def _told(client: NfsClient) -> str:
    return f"the NFSv4 client '{client.name}' at {client.address}, number {client.number}"


# --- elsewhere


def _elsewhere(host: str, spaces: Sequence[str], *, served: bool) -> Iterator[str]:
    """What to do, and where, for the file systems of the lockspaces."""
    mounts = read_mounts()
    seen: set[str] = set()
    for space in spaces:
        mount = mount_of(os.path.realpath(space), mounts)
        if mount is None or mount.point in seen:
            continue
        seen.add(mount.point)
        text = advice_for(host, mount)
        if text and not (served and not text.startswith("on ")):
            yield text
    if nfs_server.is_server() and not served:
        yield (
            f"NFSv3 clients are known by their addresses: if {host} has mounted by NFSv3, and its"
            " name does not lead to the address that it had, say --address; else its locks stay"
            " until it starts again"
        )
    elif not seen:
        yield f"no lockspace is known here: run this on the file server that {host} used"


def advice_for(host: str, mount: Mount) -> str:
    """Advice on what frees the locks of a host on a file system whose server is not this host;
    empty for a file system that no other host has."""
    server = mount.source.partition(":")[0].strip("[]")
    if mount.type == "nfs4":
        return (
            f"on the NFS server {server}: 'lockcfg release --host {host} …' there; or wait for"
            " the lease, usually 90 s"
        )
    if mount.type == "nfs":
        return (
            f"on the NFS server {server}, NFSv3: 'lockcfg release --host {host} …' there, else the"
            " locks stay until it starts again; /proc/fs/nfsd/unlock_filesystem there frees all"
            " NFSv3 locks of the export, those of living hosts too"
        )
    if mount.type == "fuse.glusterfs":
        volume = mount.source.partition(":")[2].strip("/") or "VOLUME"
        return (
            f"on a GlusterFS server with a brick of {volume}: 'lockcfg release --host {host} …'"
            " there; or wait: the locks of a host that was cut off end after 42 s. 'gluster volume"
            f" clear-locks {volume} /PATH kind granted posix' clears those of every host"
        )
    if mount.type in ("ceph", "fuse.ceph-fuse"):
        return (
            "on a Ceph monitor: 'ceph tell mds.RANK client ls' names the client by its hostname,"
            f" then 'ceph tell mds.RANK client evict id=ID' for {host} and no other, which puts it"
            " on the blocklist"
        )
    return ""
