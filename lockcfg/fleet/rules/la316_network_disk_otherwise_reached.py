"""A disk that does not show its storage, and disks that may be the same storage by another way.

## What it does

Reports network disks where guests also have disks through the kernel that may be the same storage:
an RBD image that a host has mapped, a file on the mounted volume, a SCSI device for iSCSI. By NFS a
server, which may be one of the hosts, can give away any file that it has. By NBD, SSH and the like
it can give away whatever it has, so any other disk of the fleet may be that.
A file on a mount that the snapshot does not name may be any of them.
The same is true of a disk that another process serves to QEMU (`vhostuser`, `vhostvdpa`), of an
NVMe controller that a guest has for itself, and of a SCSI device or a storage controller that a
guest has by `<hostdev>`.

By iSCSI, NBD, NFS, SSH and the like a server may give one storage several names. So if several
hosts have such disks, two of unlike names may be one.

It also reports images on a file system whose client makes up the inode numbers, if other hosts have
images on another file system: sshfs, 9p, CIFS without `serverino`, and file systems in user space
that lockcfg does not know. Nothing shows which files on the two are one.

## Why is this bad

libvirt locks no disk of these kinds. If two guests have one disk, one by its protocol and the other
through the kernel, both may write it, and no name shows that it is one.

## Example

```yaml fleet
kvm01:
  guests:
    - name: db
      disks: [{type: network, path: "rbd:vms/db", servers: ["10.1.0.1:6789"]}]
kvm02:
  guests:
    - name: web
      disks: [{path: /dev/rbd0, identity: "rbd:f51d/vms//db/"}]
```

## Use instead

```yaml fleet
kvm01:
  guests:
    - name: db
      disks: [{type: network, path: "rbd:vms/db", servers: ["10.1.0.1:6789"]}]
kvm02:
  guests:
    - name: web
      disks: [{type: network, path: "rbd:vms/web", servers: ["10.1.0.1:6789"]}]
```

## Fix

None: let all guests reach such storage in one way, or compare the names, and waive this.
"""

from __future__ import annotations

from collections import Counter

from lockcfg.fleet.model.place import has_numbers
from lockcfg.fleet.model.uses import ON_OTHERS
from lockcfg.fleet.rules.observation import Observation
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.fleet import Fleet
    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA316", "network-disk-otherwise-reached", "warning", scope="fleet")

#: What the storage behind a protocol is to the kernel: the kinds of names of block devices, or the
#: kind of file system. Any other protocol may stand for anything, and NFS for a file on any file
#: system, as its server may be one of the hosts.
_OTHERWISE: Final = {
    "rbd": ("rbd",),
    "iscsi": ("scsi", *ON_OTHERS),
    "gluster": ("glusterfs",),
}

#: The kind of a disk of which the snapshot does not tell what it is on: it may be on any.
_UNKNOWN: Final = ""

#: Protocols by which one storage has one name.
_NAMED_ONCE: Final = ("rbd", "gluster", "sheepdog")

#: Protocols by which QEMU only reads.
_READ: Final = ("http", "https", "ftp", "ftps", "tftp")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    systems = {kind for cell in fleet.cells for kind in _systems_of_disks(cell)}
    there = systems.union(*map(_layers, fleet.cells))
    otherwise = {**_OTHERWISE, "nfs": systems}
    yield from _without_numbers(fleet)
    served = [(cell, use) for cell in fleet.cells for use in cell.uses if use.type in _SERVED]
    alone = sum(len(cell.hosts) for cell in {cell: None for cell, _ in served}) < 2
    for cell, kind in {(cell, use.type): None for cell, use in served if not use.readonly}:
        if there or not alone:
            yield Observation(
                f"guests have disks of the type {kind}, which libvirt does not lock, and other"
                " disks may be the same storage: it is unknown whether they are",
                hosts=cell.hosts,
                help="find out what they are, and waive this if no two are one",
                unknown=True,
            )
    protocols_of = {
        cell: {
            use.layer
            for use in cell.uses
            if use.kind == "network" and use.type == "network" and not use.readonly
        }
        for cell in fleet.cells
    }
    hosts: Counter[str] = Counter()
    for cell, protocols in protocols_of.items():
        hosts.update(dict.fromkeys(protocols, len(cell.hosts)))
    for cell, protocols in protocols_of.items():
        for protocol in sorted(protocols.difference(_READ)):
            if (hosts[protocol] > 1 and protocol not in _NAMED_ONCE) or there.intersection(
                (*otherwise.get(protocol, there), _UNKNOWN)
            ):
                by = f" by {protocol}" if protocol else ""
                yield Observation(
                    f"guests have network disks{by}, which libvirt does not lock, and other disks"
                    " may be the same storage: it is unknown whether they are",
                    hosts=cell.hosts,
                    help="compare the names of the disks, and waive this if no two are one",
                    unknown=True,
                )


#: Types of disks that another process serves, or that are a device of the guest alone.
_SERVED: Final = ("vhostuser", "vhostvdpa", "nvme", "hostdev")


def _without_numbers(fleet: Fleet) -> Iterator[Observation]:
    """The images whose numbers show nothing, where other hosts have images of another kind."""
    kinds = {cell: _systems(cell) for cell in fleet.cells}
    for cell, mine in kinds.items():
        for kind in sorted(kind for kind, numbered in mine.items() if not numbered):
            others = {each for other, of in kinds.items() if other is not cell for each in of}
            if others - {kind} or (len(cell.hosts) > 1 and mine.keys() - {kind}):
                yield Observation(
                    f"guests have images on {kind}, which does not tell what its files are, and"
                    " other hosts have images elsewhere: it is unknown whether any are one",
                    hosts=cell.hosts,
                    help="find out what it shows, and waive this if no two images are one",
                    unknown=True,
                )


def _systems(cell: Cell) -> dict[str, bool]:
    """The kinds of file systems of the images that guests can write, and whether their inode
    numbers are the same on all hosts."""
    used = {use.storage for use in cell.uses if use.kind == "image" and not use.readonly}
    return {
        storage.place.kind: has_numbers(storage.type, storage.options)
        for storage in cell.facts.storages
        if storage.path in used and storage.type
    }


def _systems_of_disks(cell: Cell) -> Iterator[str]:
    """The kinds of file systems of the images that guests can write."""
    systems = {storage.path: storage.place.kind for storage in cell.facts.storages}
    for use in cell.uses:
        if use.kind == "image" and not use.readonly:
            yield systems.get(use.storage, _UNKNOWN)


def _layers(cell: Cell) -> set[str]:
    """The kinds of names of the block devices that guests can write."""
    return {
        use.layer for use in cell.uses if use.kind not in ("image", "network") and not use.readonly
    }
