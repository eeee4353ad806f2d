"""What the model says of two hosts is what two real lock daemons do.

Two hosts on this machine, each with mounts of its own and a virtlockd. For generated pairs of
configurations and disks the collector is run on both; from its snapshots the model says whether
the hosts exclude each other, and the daemons are asked.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

import pytest

from lockcfg.fleet.domains import Disk, Locking, exclusion, lock_of
from lockcfg.fleet.place import Place, place_of
from tests.real.lock_hosts import LockHost, disk_xml, grants_both, guest_xml

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.fleet.domains import Lock

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


class Case(NamedTuple):
    """One host's side: its lockspace, its guest's disk."""

    lockspace: str | None
    image: str
    shareable: bool
    manager: str = "lockd"
    auto: bool = True


class Side:
    """A host, and what a snapshot of it tells of all lockspaces and images."""

    def __init__(self, host: LockHost) -> None:
        self.run = host.run
        lines = [f'file_lockspace_dir = "{space}"' for space in LOCKSPACES if space]
        (host.etc / "qemu-lockd.conf").write_text("\n".join(lines))
        disks = [disk_xml(image, shareable=share) for image in IMAGES for share in (False, True)]
        (host.etc / "qemu/guest.xml").write_text(guest_xml("guest", disks))
        self.snapshot = host.collect("host")
        self.directories = {each["path"]: each for each in self.snapshot["directories"]}
        (guest,) = self.snapshot["guests"]
        self.disks = {(d["path"], d.get("shareable", False)): d for d in guest["disks"]}

    def place(self, path: str) -> Place:
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
            inode, why = found["inode"], image.why
            image = Place(image.system, "", inode, image.carries, why, local=image.local)
        disk = Disk(found["type"], case.image, image, shareable=case.shareable)
        spaces = {"file_lockspace_dir": case.lockspace} if case.lockspace else {}
        places = {setting: self.place(path) for setting, path in spaces.items()}
        locking = Locking(case.manager, auto=case.auto, spaces=places, paths=spaces)
        return lock_of(locking, disk).lock


@pytest.fixture(scope="module")
def sides(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Side, Side]]:
    """Two hosts that share some directories and not others."""
    top = tmp_path_factory.mktemp("hosts")
    shared = top / "shared"
    (shared / "locks/below").mkdir(parents=True)
    (shared / "images").mkdir()
    for name in ("disk", "other"):
        (shared / "images" / name).write_bytes(b"\0")
    (shared / "images/link").symlink_to("disk")
    os.link(shared / "images/disk", shared / "images/hard")
    made: list[LockHost] = []
    try:
        for name in ("one", "two"):
            (top / name / "own").mkdir(parents=True)
            mounts = {
                "/mnt/locks": shared / "locks",
                "/mnt/locks-again": shared / "locks",
                "/mnt/images": shared / "images",
                "/mnt/images-again": shared / "images",
                "/mnt/own": top / name / "own",
            }
            made.append(LockHost(top / name, mounts))
        made[0].inside("touch", "/mnt/own/seen")
        assert "seen" not in made[1].inside("ls", "/mnt/own"), "the hosts are two"
        yield Side(made[0]), Side(made[1])
    finally:
        for host in made:
            host.stop()


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


def test_the_model_is_what_two_lock_daemons_do(
    sides: tuple[Side, Side], request: pytest.FixtureRequest
) -> None:
    """For every generated pair; and pairs of both outcomes are among them."""
    one, other = sides
    outcomes: Counter[bool] = Counter()
    for mine, yours in cases(request.config.getoption("--seed")):
        first, second = one.lock(mine), other.lock(yours)
        said = exclusion(first, second)
        assert said.verdict == exclusion(second, first).verdict
        granted = grants_both(one.run, other.run, first, second)
        assert granted == (said.verdict == "no"), f"{mine} and {yours}: {said.why}"
        outcomes[granted] += 1
    assert outcomes[True] > 20
    assert outcomes[False] > 20


def test_the_model_is_what_one_lock_daemon_does(
    sides: tuple[Side, Side], request: pytest.FixtureRequest
) -> None:
    """Within one host names are compared, and not files: a link is another lock."""
    side, _ = sides
    outcomes: Counter[bool] = Counter()
    for mine, yours in cases(request.config.getoption("--seed") + 1):
        if mine.manager == yours.manager == "lockd" and mine.lockspace == yours.lockspace:
            first = side.lock(mine)
            second = side.lock(yours._replace(auto=mine.auto))
            said = exclusion(first, second, one_daemon=True)
            granted = grants_both(side.run, side.run, first, second)
            assert granted == (said.verdict == "no"), f"{mine} and {yours}: {said.why}"
            outcomes[granted] += 1
    assert outcomes[True] > 5
    assert outcomes[False] > 5
