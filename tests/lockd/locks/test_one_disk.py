"""One disk under two names is one disk."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.client import AUTOCREATE, SHARED, CallRefusedError, Client
from tests.lockd.engine import Engine, wait_for
from tests.lockd.program import Copy

if TYPE_CHECKING:
    from collections.abc import Iterator


def link(disk: Path) -> Path:
    """A symbolic link to the disk."""
    other = disk.with_name("symlink")
    other.symlink_to(disk.name)
    return other


def hard_link(disk: Path) -> Path:
    """A second name of it."""
    other = disk.with_name("hardlink")
    other.hardlink_to(disk)
    return other


def doubled_slash(disk: Path) -> str:
    """The same path with a slash too many."""
    return f"{disk.parent}//{disk.name}"


def detour(disk: Path) -> str:
    """The same path by way of the directory above."""
    return f"{disk.parent}/../{disk.parent.name}/{disk.name}"


@pytest.mark.parametrize("other_name", [link, hard_link, doubled_slash, detour])
@pytest.mark.parametrize("second", ["linked", "real"])
def test_another_name(tmp_path: Path, other_name: object, second: str) -> None:
    """lockd refuses it with both names, and the first lock stays."""
    disk = tmp_path / "disk"
    disk.touch()
    assert callable(other_name)
    names = str(disk), str(other_name(disk))
    first, other = names if second == "linked" else names[::-1]
    with Engine(tmp_path) as engine:
        holder, thief = engine.client(), engine.client()
        holder.register("holder", 5004242)
        thief.register("thief", 5004343)
        holder.acquire("", first, 0)
        with pytest.raises(CallRefusedError) as caught:
            thief.acquire("", other, 0)
        refused = caught.value.refused
        assert (refused.code, refused.domain) == (87, 51)
        assert refused.message.startswith(
            f"resource busy: Lockspace resource '{other}' is locked by guest 'holder'"
        )
        assert refused.message.endswith(f", under its other name '{first}'")
        assert is_locked(disk)
        holder.release("", first)
        thief.acquire("", other, 0)
        assert is_locked(disk)


def test_a_bind_mount(tmp_path: Path) -> None:
    """It is the same disk as well."""
    disk, mounted = tmp_path / "disk", tmp_path / "mounted"
    disk.touch()
    mounted.touch()
    subprocess.run(["mount", "--bind", disk, mounted], check=True)
    try:
        with Engine(tmp_path) as engine:
            refused_as_same(engine, disk, mounted)
    finally:
        subprocess.run(["umount", mounted], check=True)


@contextlib.contextmanager
def loop_device(tmp_path: Path) -> Iterator[tuple[Path, Path]]:
    """Two nodes of one block device."""
    image = tmp_path / "image"
    image.write_bytes(bytes(1 << 20))
    done = subprocess.run(
        ["losetup", "--find", "--show", image], check=True, capture_output=True, text=True
    )
    device = Path(done.stdout.strip())
    try:
        second = tmp_path / "node"
        os.mknod(second, device.stat().st_mode, device.stat().st_rdev)
        yield device, second
    finally:
        subprocess.run(["losetup", "--detach", device], check=True)


def test_two_nodes_of_a_device(tmp_path: Path) -> None:
    """The kernel locks them apart from each other, and still they are one disk."""
    with loop_device(tmp_path) as (one, two), Engine(tmp_path) as engine:
        refused_as_same(engine, one, two)


def refused_as_same(engine: Engine, first: Path, second: Path) -> None:
    """The second name is refused while the first is locked."""
    holder, thief = engine.client(), engine.client()
    holder.register("holder", 5004242)
    thief.register("thief", 5004343)
    holder.acquire("", first, 0)
    with pytest.raises(
        CallRefusedError, match=f"'{second}' is locked by .*, under its other name '{first}'"
    ):
        thief.acquire("", second, 0)
    holder.release("", first)
    thief.acquire("", second, 0)


def test_a_lockspace_under_two_names(tmp_path: Path) -> None:
    """A resource of both is one."""
    with Engine(tmp_path) as engine:
        holder, thief = engine.client(), engine.client()
        holder.register("holder", 5004242)
        thief.register("thief", 5004343)
        holder.create_lockspace(f"{engine.lockspace}/")
        holder.acquire(engine.lockspace, "disk")
        with pytest.raises(CallRefusedError, match="under its other name"):
            thief.acquire(f"{engine.lockspace}/", "disk")


def test_a_shareable_disk_under_two_names(tmp_path: Path) -> None:
    """May be shared, and stays locked as long as one of them is held."""
    disk = tmp_path / "disk"
    disk.touch()
    other = hard_link(disk)
    with Engine(tmp_path) as engine:
        client = engine.client()
        client.register("guest", 5004242)
        client.acquire("", disk, SHARED)
        client.acquire("", other, SHARED)
        client.release("", disk)
        assert is_locked(disk)
        client.release("", other)
        assert not is_locked(disk)


def is_locked(path: Path) -> bool:
    """Whether another process, such as a lock daemon, is kept out of a file."""
    program = (
        "import fcntl, sys\n"
        "try: fcntl.lockf(open(sys.argv[1], 'r+b'), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)\n"
        "except BlockingIOError: sys.exit(1)\n"
    )
    return bool(subprocess.run(["python3", "-c", program, path], check=False).returncode)


def test_the_one_who_tries_takes_nothing_away(tmp_path: Path) -> None:
    """Opening and closing a locked file leaves it locked, and visible."""
    disk = tmp_path / "disk"
    disk.touch()
    other = hard_link(disk)
    with Engine(tmp_path) as engine:
        holder: Client = engine.client()
        holder.register("holder", 5004242)
        holder.acquire("", disk, 0)
        with pytest.raises(CallRefusedError):
            holder.acquire("", other, 0)
        assert is_locked(disk)
        listed = subprocess.run(
            ["lslocks", "--raw", "--noheadings", "--output", "COMMAND,PID,PATH,START"],
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            check=True,
        ).stdout.splitlines()
        assert f"lockd {engine.pid} {disk} 1" in listed


@pytest.mark.parametrize("other_name", [link, hard_link, doubled_slash, detour])
def test_another_hash(tmp_path: Path, other_name: object) -> None:
    """Two hashes of one disk are one disk too, where the guests' descriptions tell; also when the
    daemon has crashed in between, and when one guest's disk is locked itself."""
    disk = tmp_path / "disk"
    disk.touch()
    assert callable(other_name)
    names = str(disk), str(other_name(disk))
    hashes = [hashlib.sha256(name.encode()).hexdigest() for name in names]
    with Engine(tmp_path) as engine:
        (tmp_path / "etc/qemu").mkdir()
        for guest, name in zip(("holder", "thief"), names, strict=True):
            (tmp_path / f"etc/qemu/{guest}.xml").write_text(
                f"<domain><devices><disk><source file='{name}'/></disk></devices></domain>"
            )
        holder, thief = engine.client(), engine.client()
        holder.register("holder", 5004242)
        thief.register("thief", 5004343)
        holder.acquire(engine.lockspace, hashes[0])
        for crash in (False, True):
            if crash:
                engine.crash()
            with pytest.raises(CallRefusedError, match=f"under its other name '{names[0]}'"):
                thief.acquire(engine.lockspace, hashes[1])
        holder.release(engine.lockspace, hashes[0])
        thief.acquire(engine.lockspace, hashes[1])


def describe(engine: Engine, guest: str, *disks: str | Path, mirror: str | Path = "") -> None:
    """Have libvirt's description of a guest, written to a new file and renamed, as libvirt does it;
    the first disk may be copied to a ``mirror``."""
    directory = engine.run / "libvirt/qemu"
    directory.mkdir(exist_ok=True)
    copy = f"<mirror type='file'><source file='{mirror}'/></mirror>" if mirror else ""
    devices = "".join(
        f"<disk><source file='{disk}'/>{'' if number else copy}</disk>"
        for number, disk in enumerate(disks)
    )
    new = directory / f"{guest}.xml.new"
    new.write_text(f"<domstatus><domain><devices>{devices}</devices></domain></domstatus>")
    new.rename(directory / f"{guest}.xml")


def hash_of(path: Path) -> str:
    """What libvirt calls a disk in an indirect lockspace."""
    return hashlib.sha256(str(path).encode()).hexdigest()


@pytest.mark.parametrize("how", ["mirror", "disk"])
@pytest.mark.parametrize("between", ["nothing", "crash", "upgrade"])
def test_a_disk_that_is_described_later(tmp_path: Path, how: str, between: str) -> None:
    """As the target of a copy, or a disk that is attached: as soon as libvirt describes it, its
    other name is refused, whatever becomes of the daemon."""
    disk, target = tmp_path / "disk", tmp_path / "target"
    disk.touch()
    target.touch()
    other = link(target)
    with Engine(tmp_path, "--check-interval=0") as engine:
        describe(engine, "holder", disk)
        describe(engine, "thief", other)
        holder, thief = engine.client(), engine.client()
        holder.register("holder", 5004242)
        thief.register("thief", 5004343)
        for each in (disk, target):
            holder.acquire(engine.lockspace, hash_of(each))
        if how == "mirror":
            describe(engine, "holder", disk, mirror=target)
        else:
            describe(engine, "holder", disk, target)
        time.sleep(0.03)  # libvirt takes longer until another guest is started
        for refused in range(2):
            with pytest.raises(
                CallRefusedError, match=f"by guest 'holder'.* under its other name '{target}'$"
            ):
                thief.acquire(engine.lockspace, hash_of(other))
            if between == "crash" and not refused:
                engine.crash()
            if between == "upgrade" and not refused:
                engine.upgrade()
            if between != "nothing":
                describe(engine, "holder")  # what is known is written down
        holder.release(engine.lockspace, hash_of(target))
        thief.acquire(engine.lockspace, hash_of(other))


def test_a_disk_that_is_described_later_on_a_busy_machine(tmp_path: Path) -> None:
    """To ask whether a description has changed takes longer than lockd looks at a time."""
    copy = Copy(tmp_path)
    asked = "        return tuple(map(_seen, self._directories))\n"
    copy.change("locks/holders.py", asked, f"        time.sleep(0.01)\n{asked}")
    target = tmp_path / "target"
    target.touch()
    other = link(target)
    with Engine(tmp_path, "--check-interval=0", command=copy.command) as engine:
        holder, thief = engine.client(), engine.client()
        holder.register("holder", 5004242)
        thief.register("thief", 5004343)
        describe(engine, "thief", other)
        holder.acquire(engine.lockspace, hash_of(target))
        describe(engine, "holder", target)
        time.sleep(0.03)  # libvirt takes longer until another guest is started
        with pytest.raises(CallRefusedError, match=f"under its other name '{target}'$"):
            thief.acquire(engine.lockspace, hash_of(other))


def test_a_disk_that_is_described_later_is_told(tmp_path: Path) -> None:
    """No other call for a lock is needed."""
    disk = tmp_path / "disk"
    disk.touch()
    with Engine(tmp_path, "--check-interval=0") as engine:
        holder = engine.client()
        holder.register("holder", 5004242)
        holder.acquire(engine.lockspace, hash_of(disk))
        assert engine.ask("locks")[0]["disk"] == ""
        describe(engine, "holder", disk)
        wait_for(lambda: engine.ask("locks")[0]["disk"] == str(disk), "it is found", 5)
        file = engine.lockspace / hash_of(disk)
        wait_for(lambda: bytes(disk) in os.getxattr(file, "user.lockd"), "other hosts are told", 5)


@pytest.mark.parametrize("twice", [False, True])
def test_two_who_have_it_already(tmp_path: Path, twice: bool) -> None:
    """Where it is seen too late that two guests write one disk, or one guest twice, that is told at
    once, and until one of them has released it."""
    disk = tmp_path / "disk"
    disk.touch()
    other = link(disk)
    with Engine(tmp_path, "--check-interval=0.2") as engine:
        one, two = engine.client(), engine.client()
        one.register("one", 5004242)
        two.register(*(("one", 5004242) if twice else ("two", 5004343)))
        one.acquire(engine.lockspace, hash_of(disk))
        two.acquire(engine.lockspace, hash_of(other))
        assert not any(each["problem"] for each in engine.ask("locks"))
        if twice:
            describe(engine, "one", disk, other)
        else:
            describe(engine, "one", disk)
            describe(engine, "two", other)
        wait_for(lambda: all(each["problem"] for each in engine.ask("locks")), "it is told", 5)
        problem = engine.ask("locks")[0]["problem"]
        assert "its disk is locked by guest" in problem
        assert "it is written by two at once" in problem
        assert ("one guest has this disk twice" in problem) == twice
        assert "DISK IN DANGER" in engine.log
        two.release(engine.lockspace, hash_of(other))
        wait_for(lambda: not engine.ask("locks")[0]["problem"], "it is over", 5)


@pytest.mark.parametrize("space", ["direct", "indirect"])
def test_one_guest_twice(tmp_path: Path, space: str) -> None:
    """The error says so in words."""
    disk = tmp_path / "disk"
    disk.touch()
    other = link(disk)
    with Engine(tmp_path) as engine:
        describe(engine, "web", disk, other)
        client = engine.client()
        client.register("web", 5004242)
        directory: str | Path = "" if space == "direct" else engine.lockspace
        names = [str(disk), str(other)] if space == "direct" else [hash_of(disk), hash_of(other)]
        client.acquire(directory, names[0], 0 if space == "direct" else AUTOCREATE)
        with pytest.raises(CallRefusedError, match=r"one guest has this disk twice$"):
            client.acquire(directory, names[1], 0 if space == "direct" else AUTOCREATE)


@pytest.mark.parametrize("crash", [False, True])
@pytest.mark.parametrize("space", ["direct", "indirect"])
def test_an_inode_that_comes_back(tmp_path: Path, space: str, crash: bool) -> None:
    """As another disk is not taken for the one that was removed."""
    old, new = tmp_path / "old", tmp_path / "new"
    with Engine(tmp_path, "--check-interval=0") as engine:
        holder, other = engine.client(), engine.client()
        holder.register("holder", 5004242)
        other.register("other", 5004343)
        old.touch()
        inode = old.stat().st_ino
        describe(engine, "holder", old)
        holder.acquire(engine.lockspace, hash_of(old))
        if crash:
            engine.crash()
        old.unlink()
        kept: list[Path] = []
        while not new.exists() or new.stat().st_ino != inode:
            if new.exists():
                kept.append(new.rename(tmp_path / f"kept{len(kept)}"))
            assert len(kept) < 1000, "this file system gives no inode away again"
            new.touch()
        describe(engine, "other", new)
        if space == "direct":
            other.acquire("", new, 0)
        else:
            other.acquire(engine.lockspace, hash_of(new))
