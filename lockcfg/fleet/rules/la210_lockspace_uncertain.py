"""A file system that carries locks only sometimes.

## What it does

Reports lockspaces, and images that are locked themselves, on file systems of which one host cannot
tell whether they carry locks: CIFS, MooseFS, virtiofs, OCFS2, other FUSE file systems. It also
reports them if the snapshot does not say what is mounted there, and lockspaces on a server by an
address with which each host means itself (`localhost`, `127.0.0.1`, `::1`), unless an FSID or the
id of a volume shows which file system it is. And it reports those where in a probe one of two hosts
did not see the lock of the other, which saw its.

## Why is this bad

MooseFS with `mfsnoposixlocks`, virtiofs whose daemon has no `posix_lock`, OCFS2 on o2cb look the
same as where locks work, and grant every lock to every host. Two hosts that mount `localhost` may
each have a server of their own.

## Example

```yaml fleet
kvm01: {}
kvm02:
  lockspace: {mount: {type: fuse.mfs, source: 'mfsmaster:9421', options: [rw]}}
```

## Use instead

```yaml fleet
kvm01: {}
kvm02: {}
```

## Fix

None: `lockcfg probe` shows whether it carries locks; or use NFSv4, GlusterFS or CephFS.
"""

from __future__ import annotations

from lockcfg.fleet.model.place import is_of_each_host
from lockcfg.fleet.rules.observation import Observation
from lockcfg.fleet.rules.spaces import direct_images, each_space
from lockcfg.rules.rule import Rule

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from lockcfg.fleet.comparison.groups import Cell

RULE = Rule("LA210", "lockspace-uncertain", "warning", scope="alike")


def check(cell: Cell) -> Iterator[Observation]:
    """See the manual above."""
    if not cell.facts.live:
        return  # LA407: only the files of the host are known
    for space in each_space(cell):
        if space.state == "unknown" and space.place.carries != "unknown":
            yield Observation(
                f"{space.setting}: {space.path} was not looked at: whether it exists is unknown",
                help=_LOOK,
                unknown=True,
            )
        elif space.place.carries == "unknown" and space.state in ("there", "unknown"):
            yield Observation(
                f"{space.setting}: {space.path} is on {space.place.why}: it is unknown whether"
                " other hosts see the locks",
                help=_TRY if space.type else _LOOK,
                unknown=True,
            )
        elif space.place.system and is_of_each_host(space.place.system) and not space.place.proven:
            yield Observation(
                f"{space.setting}: {space.path} is on {space.place.why}, by an address with which"
                " each host means itself: it is unknown whether others have the same directory",
                help=_TRY,
                unknown=True,
            )
    for storage in direct_images(cell):
        if storage.place.carries == "unknown" and storage.state == "there":
            yield Observation(
                f"images in {storage.path} are locked themselves, on {storage.place.why}: it is"
                " unknown whether other hosts see the locks",
                help=_TRY if storage.type else _LOOK,
                unknown=True,
            )


_TRY: Final = "'lockcfg probe' shows it; or waive this with what you know"
_LOOK: Final = "collect it again, as root"
