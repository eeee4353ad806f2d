"""In a lockspace directory only regular files are lock files: what else is planted there is
refused, with what it is, and nothing is done to it or where it leads."""

from __future__ import annotations

import os
import socket
import stat
from typing import TYPE_CHECKING

import pytest

from tests.lockd.attack.faults import answer_of
from tests.lockd.client import AUTOCREATE, CREATE, DELETE, SHARED, resource
from tests.lockd.engine import Engine, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def _link(path: Path) -> None:
    path.symlink_to(path.with_name("target"))
    path.with_name("target").write_text("precious")


def _dangling(path: Path) -> None:
    path.symlink_to(path.with_name("made"))


def _loop(path: Path) -> None:
    path.symlink_to(path)


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(os.path.relpath(path))  # there is room for 107 bytes


def _block_device(path: Path) -> None:
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(7, 250))


def _character_device(path: Path) -> None:
    os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))


PLANTED: dict[str, tuple[Callable[[Path], object], str]] = {
    "link": (_link, "a symbolic link"),
    "dangling": (_dangling, "a symbolic link"),
    "loop": (_loop, "a symbolic link"),
    "fifo": (os.mkfifo, "a FIFO"),
    "socket": (_socket, "a socket"),
    "block": (_block_device, "a block device"),
    "character": (_character_device, "a character device"),
}


@pytest.mark.parametrize("kind", PLANTED)
def test_it_is_refused(tmp_path: Path, kind: str) -> None:
    """By every call, also if it takes the place of a lock file while that is held."""
    plant, word = PLANTED[kind]
    with Engine(tmp_path, "--check-interval", "0.2") as engine:
        space = engine.lockspace
        client, other = engine.client(), engine.client()
        client.register("guest", 5004242)
        other.register("other", 5004343)
        plant(space / "planted")
        before = os.lstat(space / "planted")
        there = sorted(os.listdir(space))
        for flags in (0, AUTOCREATE, SHARED, AUTOCREATE | SHARED):
            said = answer_of(client.acquire, space, "planted", flags)
            assert f"{space}/planted is {word}, no lock file" in said
        for call in (CREATE, DELETE):
            said = answer_of(client.call, call, resource(space, "planted", 0))
            assert f"{space}/planted is {word}, no lock file" in said
        assert os.path.samestat(before, os.lstat(space / "planted"))
        assert sorted(os.listdir(space)) == there
        if kind == "link":
            assert (space / "target").read_text() == "precious"
            assert not os.listxattr(space / "target")
        assert engine.ask("locks") == []
        # Now in the place of one that is held.
        client.acquire(space, "held")
        (space / "held").unlink()
        plant(space / "held")
        wait_for(lambda: bool(engine.ask("status")["problems"]), "it is seen")
        (problem,) = engine.ask("status")["problems"]
        assert f"is {word}, no lock file" in problem["problem"]
        assert "is locked by" in answer_of(other.acquire, space, "held")
        client.release(space, "held")
        assert stat.S_IFMT(os.lstat(space / "held").st_mode) == stat.S_IFMT(before.st_mode)


def test_a_disk_may_be_a_link(tmp_path: Path) -> None:
    """In the default lockspace, whose files are the disks."""
    disk = tmp_path / "disk"
    disk.touch()
    (tmp_path / "link").symlink_to(disk)
    with Engine(tmp_path) as engine, engine.client() as client:
        client.register("guest", 5004242)
        client.acquire("", tmp_path / "link", 0)
        assert "under its other name" in answer_of(client.acquire, "", disk, 0)
