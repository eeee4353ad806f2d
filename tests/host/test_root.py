"""Below ``--root DIR`` a path leads where it leads on the host whose root DIR is, and never out."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

import pytest

from lockcfg.rooted import Spot, make_directories, open_in, real_path
from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunLockcfg

#: Below the root, what leads to a file of libvirt, and where that is in the tree.
LINKS = {
    "a file, absolute": ("etc/libvirt/qemu.conf", "{outside}/qemu.conf"),
    "a file, by ..": ("etc/libvirt/qemu.conf", "../../../../../../../../../{outside}/qemu.conf"),
    "a file, by a link": ("etc/libvirt/qemu.conf", "/link/qemu.conf"),
    "a directory, absolute": ("etc/libvirt", "{outside}"),
    "a directory, by ..": ("etc", "../../../../../../../../../{outside}/.."),
}


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory of this host, with a file that commands must not see or change."""
    directory = tmp_path / "outside/libvirt"
    directory.mkdir(parents=True)
    (directory / "qemu.conf").write_text('lock_manager = "sanlock"\n')
    return directory


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root in which nothing is yet."""
    (tmp_path / "root/etc").mkdir(parents=True)
    return tmp_path / "root"


def place(root: Path, outside: Path, kind: str, *, inside: bool) -> Path:
    """Make the link, and with ``inside`` what it leads to below the root. Returns that file."""
    (root / "link").symlink_to(outside)
    link, target = LINKS[kind]
    if link == "etc":
        (root / "etc").rmdir()
    elif link != "etc/libvirt":
        (root / "etc/libvirt").mkdir()
    (root / link).symlink_to(target.format(outside=outside))
    there = root / str(outside)[1:] / "qemu.conf"
    if inside:
        there.parent.mkdir(parents=True)
        there.write_text('# of the host\nlock_manager = "nop"\n')
    return there


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_is_read_and_written_below_the_root(
    kind: str, root: Path, outside: Path, lockcfg: RunLockcfg
) -> None:
    """By every command."""
    there = place(root, outside, kind, inside=True)
    before = (outside / "qemu.conf").read_bytes()
    link = root / LINKS[kind][0]
    assert lockcfg("get", "lock_manager", "--root", root).stdout == "nop\n"
    assert "sanlock" not in lockcfg("show", "--root", root).stdout
    assert lockcfg("validate", "--root", root).returncode in (0, 1)
    result = lockcfg("set", "lock_manager", "lockd", "--backup", "--root", root)
    assert result.returncode == 0, result.stderr
    assert "# of the host" in there.read_text()
    assert "lockd" in there.read_text()
    assert "nop" in there.with_name("qemu.conf.bak").read_text()
    assert link.is_symlink()
    assert "no difference" in lockcfg("diff", root, root).stdout
    result = lockcfg("unset", "lock_manager", "--force", "--root", root)
    assert result.returncode == 0, result.stderr
    assert (outside / "qemu.conf").read_bytes() == before
    assert os.listdir(outside) == ["qemu.conf"]


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_that_leads_nowhere_below_the_root_leads_nowhere(
    kind: str, root: Path, outside: Path, lockcfg: RunLockcfg
) -> None:
    """Though this host has such a file."""
    place(root, outside, kind, inside=False)
    before = (outside / "qemu.conf").read_bytes()
    assert "sanlock" not in lockcfg("get", "lock_manager", "--root", root).stdout
    assert "sanlock" not in lockcfg("show", "--root", root).stdout
    lockcfg("validate", "--root", root)
    assert lockcfg("set", "lock_manager", "lockd", "--root", root).returncode == 3
    assert (outside / "qemu.conf").read_bytes() == before
    assert os.listdir(outside) == ["qemu.conf"]


@pytest.mark.parametrize("target", ["{outside}", "../../../../../../../..{outside}"])
def test_a_lockspace_is_made_below_the_root(
    target: str, root: Path, outside: Path, lockcfg: RunLockcfg
) -> None:
    """A link on the way leads there as it does on the host."""
    (root / "etc/libvirt").mkdir()
    for name in ("qemu.conf", "qemu-lockd.conf"):
        (root / "etc/libvirt" / name).write_bytes((SAMPLES / name).read_bytes())
    (root / "srv").symlink_to(target.format(outside=outside))
    there = root / str(outside)[1:]
    there.mkdir(parents=True)
    options = ("--file-lockspace", "/srv/a/locks", "--root", root)
    result = lockcfg("enable", "--create", *options)
    assert result.returncode == 0, result.stderr
    assert (there / "a/locks").stat().st_mode & 0o7777 == 0o700
    assert "not there yet" not in result.stderr
    assert os.listdir(outside) == ["qemu.conf"]


def test_a_loop_is_told(root: Path, lockcfg: RunLockcfg) -> None:
    """And what is no directory."""
    (root / "etc/libvirt").symlink_to("/etc/libvirt")
    result = lockcfg("get", "lock_manager", "--root", root)
    assert result.returncode == 3
    assert "symbolic links" in result.stderr
    (root / "etc/libvirt").unlink()
    (root / "etc/libvirt").write_text("")
    result = lockcfg("get", "lock_manager", "--root", root)
    assert result.returncode == 3
    assert "Not a directory" in result.stderr


def test_a_path_is_walked_as_the_kernel_walks_it(tmp_path: Path) -> None:
    """Beside chroot, on a tree with links of every kind."""
    top = tmp_path / "root"
    (top / "a/b/c").mkdir(parents=True)
    (top / "d").mkdir()
    for path, text in (("a/f", "1"), ("a/b/f", "2"), ("d/f", "3"), ("f", "4")):
        (top / path).write_text(text)
    for link, target in {
        "up": "..",
        "a/up": "../..",
        "abs": "/d",
        "a/abs": "/a/b",
        "a/rel": "../d/./f",
        "a/b/root": "/",
        "a/b/far": "../../../../../../a/f",
        "chain": "a/b/far",
        "loop": "loop",
        "trail": "d/",
        "file": "f/",
        "dangling": "none",
        "a/proc": "/proc/self/root/f",
    }.items():
        (top / link).symlink_to(target)
    names = ["a", "b", "c", "f", "up", "abs", "rel", "root", "far", "chain", "loop", "trail", ".."]
    paths = [f"/{x}/{y}/{z}" for x in names for y in names for z in ("f", "far", "..", "abs")]
    paths += ["/", "/..", "/../f", "/a/proc", "/dangling", "/file", "//f", "/a//./f", "/chain"]
    read, write = os.pipe()
    pid = os.fork()
    if not pid:
        os.chroot(top)
        for path in paths:
            try:
                told = os.stat(path)
                os.write(write, f"{told.st_ino}\n".encode())
            except OSError as error:
                os.write(write, f"-{error.errno}\n".encode())
        os._exit(0)
    os.close(write)
    with os.fdopen(read) as stream:
        kernel = [int(line) for line in stream]
    os.waitpid(pid, 0)
    assert len(kernel) == len(paths)
    different = []
    for path, expected in zip(paths, kernel, strict=True):
        try:
            descriptor = open_in(str(top), path, os.O_RDONLY)
            found = os.fstat(descriptor).st_ino
            os.close(descriptor)
        except OSError as error:
            found = -(error.errno or 0)
        # A file with a slash behind it is the file: there is nothing to be led out to.
        if found != expected and path != "/file":
            different.append((path, found, expected))
    assert different == []


def test_a_tree_that_changes_leads_nobody_out(tmp_path: Path) -> None:
    """A directory is swapped for a link to the outside, again and again, while it is walked."""
    top, outside = tmp_path / "root", tmp_path / "outside"
    for directory in (top / "etc", outside):
        directory.mkdir(parents=True)
    (top / "etc/f").write_text("inside")
    (outside / "f").write_text("outside")
    (top / "link").symlink_to(outside)
    stop, read = tmp_path / "stop", 0
    pid = os.fork()
    if not pid:
        while not stop.exists():
            os.rename(top / "etc", top / "x")
            os.rename(top / "link", top / "etc")
            os.rename(top / "etc", top / "link")
            os.rename(top / "x", top / "etc")
        os._exit(0)
    try:
        tries, end = 0, time.monotonic() + 60
        while tries < 5000 or (not read and time.monotonic() < end):
            tries += 1
            try:
                descriptor = open_in(str(top), "/etc/f", os.O_RDONLY)
            except OSError:
                continue
            assert os.read(descriptor, 9) == b"inside"
            os.close(descriptor)
            read += 1
    finally:
        stop.touch()
        os.waitpid(pid, 0)
    assert read


def test_directories_are_made_where_they_belong(tmp_path: Path) -> None:
    """With their modes, and not twice."""
    (tmp_path / "r/x").mkdir(parents=True)
    (tmp_path / "r/l").symlink_to("/x")
    assert make_directories(f"{tmp_path}/r", "/l/a/b", 0o700)
    assert not make_directories(f"{tmp_path}/r", "/l/a/b/", 0o700)
    assert (tmp_path / "r/x/a").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "r/x/a/b").stat().st_mode & 0o777 == 0o700
    assert real_path(f"{tmp_path}/r", "/l/a/none/more") == f"{tmp_path}/r/x/a/none/more"
    (tmp_path / "r/nowhere").symlink_to("/gone")
    with pytest.raises(OSError, match="No such file"):
        make_directories(f"{tmp_path}/r", "/nowhere/a", 0o700)
    (tmp_path / "r/f").write_text("")
    with pytest.raises(NotADirectoryError):
        make_directories(f"{tmp_path}/r", "/f", 0o700)


def test_descriptors_are_closed(tmp_path: Path) -> None:
    """Whatever the walk comes to."""
    (tmp_path / "a").mkdir()
    (tmp_path / "loop").symlink_to("loop")
    before = os.listdir("/proc/self/fd")
    for path in ("/a/b", "/loop", "/a/../..", "/none/x"):
        try:
            Spot(str(tmp_path), path).close()
        except OSError:
            continue
    assert os.listdir("/proc/self/fd") == before
