"""The collection writes files on hosts with a module of its own, as hosts need no lockcfg.

Both writers run over the same cases, and must leave the same tree and the same complaint.
"""

from __future__ import annotations

import errno
import importlib.util
import os
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lockcfg import rooted
from lockcfg.conf import load, save
from lockcfg.errors import LockcfgError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROJECT = Path(__file__).parents[2]

#: A user that owns neither the files nor the system.
STRANGER = 1234

#: A file to write: its path on the host, the old bytes, the new ones, and the mode of a new file.
Task = tuple[str, "bytes | None", bytes, int]

CONF = "/etc/libvirt/qemu.conf"
LOCKD = "/etc/libvirt/qemu-lockd.conf"

#: What the complaints of both have in common.
COMPLAINTS = (
    "there is no such directory",
    f"leads through a symbolic link of another user (uid {STRANGER})",
    "was removed in the meantime; nothing was written",
    "was changed by another program in the meantime; nothing was written",
    "not a regular file",
    "would be larger than 10 MiB",
    *(os.strerror(number) for number in (errno.ELOOP, errno.EISDIR, errno.ENOTDIR)),
)


def _module() -> Any:
    spec = importlib.util.spec_from_file_location(
        "collection_files", PROJECT / "ansible/plugins/module_utils/files.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


FILES = _module()


def nothing(_: Path) -> None:
    """No file at all."""


def plain(root: Path) -> None:
    """Both files as root has them."""
    (root / "etc/libvirt").mkdir(parents=True)
    (root / CONF[1:]).write_bytes(b"old\n")
    (root / LOCKD[1:]).write_bytes(b"old\n")


def owned(root: Path) -> None:
    """A file of another user, with a mode, an attribute and an access control list."""
    plain(root)
    conf = root / CONF[1:]
    os.chown(conf, STRANGER, STRANGER)
    conf.chmod(0o640)
    subprocess.run(["setfacl", "-m", f"u:{STRANGER + 1}:r", conf], check=True)


def inheriting(root: Path) -> None:
    """A directory that gives new files an access control list, and an old file without one."""
    plain(root)
    subprocess.run(["setfacl", "-d", "-m", "u:7:rw", root / "etc/libvirt"], check=True)


def linked(target: str, owner: int = 0) -> Callable[[Path], None]:
    """A link to a target in the place of the file, and a file where links of the host lead."""

    def make(root: Path) -> None:
        plain(root)
        (root / "srv").mkdir()
        (root / "srv/qemu.conf").write_bytes(b"old\n")
        (root / CONF[1:]).unlink()
        (root / CONF[1:]).symlink_to(target)
        os.chown(root / CONF[1:], owner, owner, follow_symlinks=False)

    return make


def replaced_by(make_it: Callable[[Path], None]) -> Callable[[Path], None]:
    """Something else in the place of the file."""

    def make(root: Path) -> None:
        plain(root)
        (root / CONF[1:]).unlink()
        make_it(root / CONF[1:])

    return make


def with_leftovers(root: Path) -> None:
    """What a killed writer leaves behind, and what belongs to other programs."""
    plain(root)
    for name in (".a.1.lockcfg-new", ".a.1.lockcfg-old", "b.lockcfg-new", ".c.tmp"):
        (root / "etc/libvirt" / name).write_bytes(b"left\n")


def with_directory_as_backup(root: Path) -> None:
    """The second file cannot be kept, so the first one must be put back."""
    plain(root)
    (root / f"{LOCKD[1:]}.bak").mkdir()


ONE: list[Task] = [(CONF, b"old\n", b"new\n", 0o600)]
BOTH: list[Task] = [*ONE, (LOCKD, b"old\n", b"new\n", 0o600)]
NEW: list[Task] = [(CONF, None, b"new\n", 0o604)]

CASES: dict[str, tuple[Callable[[Path], None], Sequence[Task], str | None]] = {
    "a file": (plain, ONE, None),
    "two files": (plain, BOTH, None),
    "a file of another user": (owned, ONE, None),
    "a directory that gives more rights": (inheriting, ONE, None),
    "a new file": (replaced_by(nothing), NEW, None),
    "an empty file": (plain, [(CONF, b"old\n", b"", 0o600)], None),
    "a backup": (plain, BOTH, ".bak"),
    "a link of the host": (linked("/srv/qemu.conf"), ONE, None),
    "a link above the root": (linked("../../../../srv/qemu.conf"), ONE, None),
    "a link to what is not there": (linked("/srv/other.conf"), NEW, None),
    "a link into a missing directory": (linked("/srv/other/qemu.conf"), NEW, None),
    "a link to itself": (linked("qemu.conf"), ONE, None),
    "a link through a file": (linked("/srv/qemu.conf/more"), ONE, None),
    "a link of a stranger": (linked("/srv/qemu.conf", STRANGER), ONE, None),
    "a dangling link of a stranger": (linked("/srv/other.conf", STRANGER), NEW, None),
    "no directory": (nothing, NEW, None),
    "a changed file": (plain, [(CONF, b"older\n", b"new\n", 0o600)], None),
    "a removed file": (replaced_by(nothing), ONE, None),
    "a file that has appeared": (plain, NEW, None),
    "the second file has changed": (
        plain,
        [*ONE, (LOCKD, b"older\n", b"new\n", 0o600)],
        None,
    ),
    "a directory": (replaced_by(lambda path: path.mkdir()), ONE, None),
    "a FIFO": (replaced_by(os.mkfifo), ONE, None),
    "a file that is too large": (plain, [(CONF, b"old\n", bytes(10 * 2**20 + 1), 0o600)], None),
    "leftovers of a killed writer": (with_leftovers, ONE, None),
    "no place for the second backup": (with_directory_as_backup, BOTH, ".bak"),
}


def tree(root: Path) -> dict[str, object]:
    """Everything below a root: kinds, modes, owners, attributes and contents."""
    found: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        kind = stat.S_IFMT(status.st_mode)
        content = (
            path.read_bytes()
            if kind == stat.S_IFREG
            else os.readlink(path)
            if kind == stat.S_IFLNK
            else None
        )
        attributes = {
            name: os.getxattr(path, name, follow_symlinks=False)
            for name in os.listxattr(path, follow_symlinks=False)
        }
        about = (status.st_mode, status.st_uid, status.st_gid, attributes, content)
        found[str(path.relative_to(root))] = about
    return found


def complaint(text: str) -> str:
    """The part of a complaint that both have; the empty string for none."""
    if not text:
        return ""
    return next(
        (each for each in COMPLAINTS if each in text.replace("is a directory, not", "not")), text
    )


def by_lockcfg(root: Path, files: Sequence[Task], backup: str | None) -> str:
    """Write as lockcfg does, and return the complaint."""
    writes = [
        save.Write(f"{root}{path}", old, new, mode, root=str(root))
        for path, old, new, mode in files
    ]
    try:
        save.save(writes, backup=backup)
    except LockcfgError as error:
        return error.message
    return ""


def by_collection(root: Path, files: Sequence[Task], backup: str | None) -> str:
    """Write as the collection does on a host, and return the complaint."""
    try:
        FILES.write(str(root), list(files), backup)
    except FILES.FileError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("case", CASES)
def test_both_write_alike(case: str, tmp_path: Path) -> None:
    """Both leave the same files, and complain of the same."""
    prepare, files, backup = CASES[case]
    seen = []
    for name, write in (("lockcfg", by_lockcfg), ("collection", by_collection)):
        root = tmp_path / name
        root.mkdir()
        prepare(root)
        before = tree(root)
        said = write(root, files, backup)
        after = tree(root)
        assert said or after != before
        if said and backup is None:  # a backup of the first file may stay
            assert after == before
        seen.append((complaint(said), after))
    assert seen[0] == seen[1]


@pytest.mark.parametrize("case", CASES)
def test_both_walk_alike(case: str, tmp_path: Path) -> None:
    """A path leads both to the same name in the same directory, by links of the same users."""
    prepare, _, _ = CASES[case]
    prepare(tmp_path)
    seen: list[tuple[object, ...]] = []
    for spot_of in (rooted.Spot, FILES.Spot):
        try:
            spot = spot_of(str(tmp_path), CONF)
        except OSError as error:
            seen.append((error.errno,))
            continue
        try:
            seen.append((spot.name, os.fstat(spot.directory).st_ino, sorted(spot.owners)))
        finally:
            spot.close()
    assert seen[0] == seen[1]


def test_both_have_the_same_limits() -> None:
    """Both read files of the same size, follow as many links, and sweep the same names."""
    assert (FILES.MAX_SIZE, FILES.MOST_LINKS) == (load.MAX_SIZE, rooted._MOST_LINKS)
    assert (FILES.NEW, FILES.OLD) == (save._NEW, save._OLD)
