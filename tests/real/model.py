"""Two hosts that share some directories and not others, and what the model says of them.

The hosts have ``/mnt/locks`` and ``/mnt/images`` in common, each under a second name as well, and a
``/mnt/own`` each. They may be of any kind; what the model says is made from their snapshots.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING, NamedTuple

from lockcfg.fleet.model.locks import Disk, Locking, exclusion, lock_of
from lockcfg.fleet.model.place import Location, place_of
from tests.real.lock_hosts import disk_xml, grants_both, guest_xml

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path
    from typing import Any, Final

    from lockcfg.fleet.model.locks import Lock

#: Where a lockspace may be: shared by both hosts, under another name as well, or not shared.
LOCKSPACES = ("/mnt/locks", "/mnt/locks-again", "/mnt/locks/below", "/mnt/own", None)

#: How one and the same image can be spelled, and another one.
IMAGES = (
    "/mnt/images/disk",
    "/mnt/images//disk",
    "/mnt/images-again/disk",
    "/mnt/images/link",
    "/mnt/images/hard",
    "/mnt/images/other",
)

#: By when GlusterFS has told its server that a file was closed, in seconds.
_TOLD: Final = 0.5


class Case(NamedTuple):
    """One host's side: its lockspace, its guest's disk."""

    lockspace: str | None
    image: str
    shareable: bool
    manager: str = "lockd"
    auto: bool = True


def write_configuration(etc: Path) -> None:
    """Name all lockspaces and images in a host's files, so that its snapshot tells of them."""
    (etc / "qemu").mkdir(parents=True, exist_ok=True)
    lines = [f'file_lockspace_dir = "{space}"' for space in LOCKSPACES if space]
    (etc / "qemu-lockd.conf").write_text("\n".join(lines))
    disks = [disk_xml(image, shareable=share) for image in IMAGES for share in (False, True)]
    (etc / "qemu/guest.xml").write_text(guest_xml("guest", disks))


def make_shared(directory: Path) -> None:
    """Make what the hosts share, ``locks`` and ``images``, in a directory."""
    (directory / "locks/below").mkdir(parents=True)
    (directory / "images").mkdir()
    for name in ("disk", "other"):
        (directory / "images" / name).write_bytes(b"\0")
    (directory / "images/link").symlink_to("disk")
    os.link(directory / "images/disk", directory / "images/hard")


class Side:
    """A host, whose ``/run`` is ``run``, and what a snapshot of it tells."""

    def __init__(self, run: Path, snapshot: dict[str, Any]) -> None:
        self.run = run
        self.snapshot = snapshot
        self.directories = {each["path"]: each for each in self.snapshot["directories"]}
        (guest,) = self.snapshot["guests"]
        self.disks = {(d["path"], d.get("shareable", False)): d for d in guest["disks"]}

    def place(self, path: str) -> Location:
        """Where a directory is."""
        told = self.directories[path]
        device, inode = self.snapshot["identities"][path]
        kernel = self.snapshot["host"]["boot_id"]
        resolved = told.get("resolved", path)
        return place_of(resolved, told["mount"], inode, device=device, kernel=kernel)

    def lock(self, case: Case) -> Lock | None:
        """What the model says that the host locks."""
        found = self.disks[case.image, case.shareable]
        real = found.get("resolved", case.image)
        image = self.place(os.path.dirname(real)).below(os.path.basename(real))
        if found.get("links", 1) > 1:  # of a file with several names the number tells
            image = image.replace(path="", name="", inode=found["inode"])
        disk = Disk(found["type"], case.image, image, shareable=case.shareable)
        spaces = {"file_lockspace_dir": case.lockspace} if case.lockspace else {}
        places = {setting: self.place(path) for setting, path in spaces.items()}
        locking = Locking(case.manager, auto=case.auto, spaces=places, paths=spaces)
        return lock_of(locking, disk).lock


def cases(seed: int) -> Iterator[tuple[Case, Case]]:
    """Pairs of sides, every pair of lockspaces and of images among them."""
    rng = random.Random(seed)

    def side(lockspace: str | None, image: str) -> Case:
        manager = "nop" if rng.random() < 0.05 else "lockd"
        return Case(lockspace, image, rng.random() < 0.25, manager, rng.random() > 0.05)

    for one in LOCKSPACES:
        for other in LOCKSPACES:
            same = rng.choice(IMAGES)
            yield side(one, same), side(other, same)
            yield side(one, rng.choice(IMAGES)), side(other, rng.choice(IMAGES))
    for one_image in IMAGES:
        for other_image in IMAGES:
            yield side(None, one_image), side(None, other_image)


class Outcome(NamedTuple):
    """What became of a pair: what the model said and whether both hosts got their lock."""

    pair: str
    verdict: str
    why: str
    granted: bool

    @property
    def agrees(self) -> bool:
        """Whether the model was right; "unknown" is never right."""
        return self.verdict == ("no" if self.granted else "yes")


def outcomes(
    one: Side, other: Side, pairs: Iterable[tuple[Case, Case]], *, stale: bool = False
) -> Iterator[Outcome]:
    """Let the lock daemons of two hosts try each pair; ``stale`` as for Client. Then a pair on the
    disk itself is tried again: GlusterFS may drop virtlockd's lock soon after a release (LA318)."""
    for mine, yours in pairs:
        first, second = one.lock(mine), other.lock(yours)
        said = exclusion(first, second)
        assert said.verdict == exclusion(second, first).verdict
        granted = grants_both(one.run, other.run, first, second, stale=stale)
        if granted and stale and said.verdict == "yes" and first and not first.space:
            time.sleep(_TOLD)
            granted = grants_both(one.run, other.run, first, second, stale=stale)
        yield Outcome(f"{mine} and {yours}", said.verdict, said.why, granted)
