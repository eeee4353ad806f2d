"""A network disk, and disks that may be the same storage by another way.

## What it does

Reports network disks where guests also have disks through the kernel that may be the same storage:
an RBD image that a host has mapped, a file on the mounted volume, a SCSI device for iSCSI. By NBD,
SSH and the like a server can give away whatever it has, so any other disk of the fleet may be that.

## Why is this bad

libvirt locks no network disk. If two guests have one disk, one by its protocol and the other
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
#: kind of file system. Any other protocol may stand for anything.
_OTHERWISE: Final = {
    "rbd": ("rbd",),
    "iscsi": ("scsi", "lvm", "luks", "md"),
    "gluster": ("glusterfs",),
    "nfs": ("nfs",),
}

#: Protocols by which QEMU only reads.
_READ: Final = ("http", "https", "ftp", "ftps", "tftp")


def check(fleet: Fleet) -> Iterator[Observation]:
    """See the manual above."""
    there = {kind for cell in fleet.cells for kind in _kinds(cell)}
    for cell in fleet.cells:
        protocols = {
            use.layer
            for use in cell.uses
            if use.kind == "network" and use.type == "network" and not use.readonly
        }
        for protocol in sorted(protocols.difference(_READ)):
            if there.intersection(_OTHERWISE.get(protocol, there)):
                by = f" by {protocol}" if protocol else ""
                yield Observation(
                    f"guests have network disks{by}, which libvirt does not lock, and other disks"
                    " may be the same storage: it is unknown whether they are",
                    hosts=cell.hosts,
                    help="compare the names of the disks, and waive this if no two are one",
                    unknown=True,
                )


def _kinds(cell: Cell) -> Iterator[str]:
    """The kinds of names and of file systems of the disks that guests can write."""
    systems = {storage.path: storage.place.kind for storage in cell.facts.storages}
    for use in cell.uses:
        if use.kind != "network" and not use.readonly:
            yield systems.get(use.storage, "") if use.kind == "image" else use.layer
