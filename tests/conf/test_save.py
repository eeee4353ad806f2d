"""Saving, on a real file system: what is kept, what is refused, and what is left behind.

These tests run as root: owners, labels and immutable files are part of what is saved.
"""

from __future__ import annotations

import errno
import fcntl
import os
import re
import resource
import signal
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest

from lockcfg import filelock
from lockcfg.conf.save import Write, save
from lockcfg.errors import BusyError, ChangedError, UsageError, WriteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

NOBODY: Final = 65534
OLD: Final = b"# old\nlock_manager = 'nop'\n"
NEW: Final = b'# new\nlock_manager = "lockd"\n'


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[Path]:
    """A directory of configuration files; nothing hidden may be left in it in the end."""
    path = tmp_path / "libvirt"
    path.mkdir()
    yield path
    assert leftovers(tmp_path) == []


@pytest.fixture
def conf(directory: Path) -> Path:
    path = directory / "qemu.conf"
    path.write_bytes(OLD)
    path.chmod(0o600)
    return path


def leftovers(top: Path) -> list[Path]:
    return [path for path in top.rglob("*") if path.name.startswith(".")]


def write(path: Path, *, old: bytes | None = OLD, new: bytes = NEW, mode: int = 0o600) -> Write:
    return Write(str(path), old, new, mode)


def permissions(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def attributes(path: Path) -> dict[str, bytes]:
    return {name: os.getxattr(path, name) for name in os.listxattr(path)}


def acl(path: Path) -> str:
    output = subprocess.run(
        ["getfacl", "--omit-header", "--absolute-names", "--numeric", path],
        check=True,
        capture_output=True,
        text=True,
    )
    return output.stdout


# --- what is kept ---------------------------------------------------------------------------


def test_the_new_text_is_there_in_another_file(conf: Path) -> None:
    before = conf.stat().st_ino
    with conf.open("rb") as reader:
        save([write(conf)])
        # Who reads the old file reads all of it.
        assert reader.read() == OLD
    assert conf.read_bytes() == NEW
    assert conf.stat().st_ino != before


@pytest.mark.parametrize("mode", [0o600, 0o644, 0o640, 0o444, 0o400, 0o666, 0o000, 0o2755])
@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_the_mode_is_kept(conf: Path, mode: int, umask: int) -> None:
    conf.chmod(mode)
    former = os.umask(umask)
    try:
        save([write(conf, mode=0o777)])
    finally:
        os.umask(former)
    assert permissions(conf) == mode
    assert conf.read_bytes() == NEW


@pytest.mark.parametrize(("owner", "group"), [(NOBODY, NOBODY), (0, NOBODY), (NOBODY, 0)])
def test_the_owner_is_kept(conf: Path, owner: int, group: int) -> None:
    os.chown(conf, owner, group)
    conf.chmod(0o2640)  # chown clears the set-group-id bit: the order matters
    save([write(conf)])
    status = conf.stat()
    assert (status.st_uid, status.st_gid) == (owner, group)
    assert permissions(conf) == 0o2640


def test_extended_attributes_are_kept(conf: Path) -> None:
    wanted = {
        "user.note": b"with \0 bytes \xff",
        "user.empty": b"",
        "trusted.note": b"root's",
        "security.selinux": b"system_u:object_r:virt_etc_t:s0\0",
    }
    for name, value in wanted.items():
        os.setxattr(conf, name, value)
    before = attributes(conf)
    save([write(conf)])
    assert attributes(conf) == before
    assert before.items() >= wanted.items()


def test_an_access_control_list_is_kept(conf: Path) -> None:
    conf.chmod(0o640)
    subprocess.run(["setfacl", "-m", f"u:{NOBODY}:rw,g:7:r,m::r", conf], check=True)
    before = acl(conf)
    assert f"user:{NOBODY}:rw-" in before
    assert "mask::r--" in before
    save([write(conf)])
    assert acl(conf) == before
    assert permissions(conf) == 0o640


def test_a_directory_with_a_default_list_gives_nobody_more(conf: Path) -> None:
    # The list is for files that are made there; this one was there before it.
    conf.chmod(0o640)
    subprocess.run(["setfacl", "-d", "-m", f"u:{NOBODY}:rw", conf.parent], check=True)
    before = acl(conf)
    assert str(NOBODY) not in before
    save([write(conf)], backup=".bak")
    assert acl(conf) == before
    assert acl(conf.with_name("qemu.conf.bak")) == before


def test_a_new_file_gets_the_list_of_its_directory(directory: Path) -> None:
    subprocess.run(["setfacl", "-d", "-m", f"u:{NOBODY}:rw", directory], check=True)
    path = directory / "qemu-lockd.conf"
    save([write(path, old=None, mode=0o644)])
    assert f"user:{NOBODY}:rw-" in acl(path)


@pytest.mark.parametrize("umask", [0o022, 0o077, 0o000])
def test_a_new_file_gets_the_mode_asked_for(directory: Path, umask: int) -> None:
    path = directory / "qemu-lockd.conf"
    former = os.umask(umask)
    try:
        save([write(path, old=None, mode=0o644)])
    finally:
        os.umask(former)
    assert path.read_bytes() == NEW
    assert permissions(path) == 0o644


def test_while_it_is_written_nobody_else_can_read_it(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[int] = []
    real_write = os.write

    def spy(fd: int, data: bytes) -> int:
        modes.append(stat.S_IMODE(os.fstat(fd).st_mode))
        return real_write(fd, data)

    monkeypatch.setattr(os, "write", spy)
    conf.chmod(0o644)
    save([write(conf)])
    assert modes == [0o600]


@pytest.mark.parametrize("relative", [True, False])
def test_a_link_stays_and_the_file_behind_it_is_written(tmp_path: Path, relative: bool) -> None:
    real = tmp_path / "elsewhere" / "host.conf"
    link = tmp_path / "libvirt" / "qemu.conf"
    real.parent.mkdir()
    link.parent.mkdir()
    real.write_bytes(OLD)
    real.chmod(0o640)
    link.symlink_to("../elsewhere/host.conf" if relative else real)
    text, inode = link.readlink(), link.lstat().st_ino
    save([write(link)], backup=".bak")
    assert (link.readlink(), link.lstat().st_ino) == (text, inode)
    assert not real.is_symlink()
    assert real.read_bytes() == NEW
    assert permissions(real) == 0o640
    assert sorted(os.listdir(real.parent)) == ["host.conf", "host.conf.bak"]
    assert os.listdir(link.parent) == ["qemu.conf"]


def test_links_to_links_and_a_directory_that_is_one(tmp_path: Path) -> None:
    real = tmp_path / "real"
    real.mkdir()
    (real / "file").write_bytes(OLD)
    (real / "qemu.conf").symlink_to("one")
    (real / "one").symlink_to(tmp_path / "linked" / "file")
    (tmp_path / "linked").symlink_to("real")
    save([write(tmp_path / "linked" / "qemu.conf")])
    assert (real / "file").read_bytes() == NEW
    assert (tmp_path / "linked").is_symlink()
    assert sorted(os.listdir(real)) == ["file", "one", "qemu.conf"]
    assert (real / "one").is_symlink()
    assert (real / "qemu.conf").is_symlink()


def test_another_name_of_the_file_keeps_the_old_text(conf: Path, tmp_path: Path) -> None:
    # The price of a rename. Make one name a symbolic link if both are to follow.
    other = tmp_path / "other"
    other.hardlink_to(conf)
    save([write(conf)])
    assert conf.read_bytes() == NEW
    assert other.read_bytes() == OLD
    assert conf.stat().st_nlink == other.stat().st_nlink == 1


# --- backup ---------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".bak", "~", ".2026-01-31"])
def test_a_backup_is_the_old_file_itself(conf: Path, suffix: str) -> None:
    conf.chmod(0o640)
    os.chown(conf, NOBODY, NOBODY)
    os.setxattr(conf, "user.note", b"x")
    before = conf.stat()
    save([write(conf)], backup=suffix)
    backup = conf.with_name("qemu.conf" + suffix)
    assert backup.read_bytes() == OLD
    assert backup.stat().st_ino == before.st_ino
    assert backup.stat().st_mtime_ns == before.st_mtime_ns
    assert permissions(backup) == permissions(conf) == 0o640
    assert os.getxattr(backup, "user.note") == b"x"
    assert backup.stat().st_nlink == conf.stat().st_nlink == 1


def test_a_second_backup_takes_the_place_of_the_first(conf: Path) -> None:
    save([write(conf)], backup=".bak")
    save([write(conf, old=NEW, new=b"a = 1\n")], backup=".bak")
    assert conf.with_name("qemu.conf.bak").read_bytes() == NEW
    assert sorted(os.listdir(conf.parent)) == ["qemu.conf", "qemu.conf.bak"]


def test_a_backup_that_is_the_file_itself_becomes_a_copy(conf: Path) -> None:
    # A writer killed between the two steps leaves them so.
    backup = conf.with_name("qemu.conf.bak")
    backup.hardlink_to(conf)
    save([write(conf)], backup=".bak")
    assert conf.read_bytes() == NEW
    assert backup.read_bytes() == OLD


def test_there_is_no_backup_of_a_file_that_was_not_there(directory: Path) -> None:
    save([write(directory / "qemu.conf", old=None)], backup=".bak")
    assert os.listdir(directory) == ["qemu.conf"]


def test_backups_that_are_the_files_themselves_become_copies(conf: Path) -> None:
    """Of several files, which are also kept to be put back."""
    paths = [conf, conf.with_name("qemu-lockd.conf")]
    paths[1].write_bytes(OLD)
    for path in paths:
        path.with_name(f"{path.name}.bak").hardlink_to(path)
    save([write(path) for path in paths], backup=".bak")
    for path in paths:
        assert path.read_bytes() == NEW
        assert path.with_name(f"{path.name}.bak").read_bytes() == OLD


def test_a_backup_does_not_follow_a_link(conf: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    conf.with_name("qemu.conf.bak").symlink_to(victim)
    save([write(conf)], backup=".bak")
    assert victim.read_bytes() == b"mine"
    assert not conf.with_name("qemu.conf.bak").is_symlink()
    assert conf.with_name("qemu.conf.bak").read_bytes() == OLD


def test_a_backup_that_cannot_be_made_stops_the_save_and_is_named(conf: Path) -> None:
    conf.with_name("qemu.conf.bak").mkdir()
    inode = conf.stat().st_ino
    with pytest.raises(WriteError) as caught:
        save([write(conf)], backup=".bak")
    kept = conf.with_name("qemu.conf.bak")
    assert caught.value.message == f"{conf}: cannot be kept as {kept}: Is a directory"
    assert conf.read_bytes() == OLD
    assert conf.stat().st_ino == inode
    assert conf.stat().st_nlink == 1


@pytest.mark.parametrize("suffix", ["", "/x", "/../../x"])
def test_a_suffix_that_names_no_backup_is_refused(conf: Path, suffix: str) -> None:
    with pytest.raises(UsageError, match="suffix of a backup") as caught:
        save([write(conf)], backup=suffix)
    assert ".bak" in caught.value.help
    assert conf.read_bytes() == OLD
    assert os.listdir(conf.parent) == ["qemu.conf"]


# --- a second writer ------------------------------------------------------------------------

HOLDER: Final = """
import sys, time
from lockcfg.filelock import DirectoryLock
lock = DirectoryLock(sys.argv[1])
lock.acquire()
print("held", flush=True)
time.sleep(float(sys.argv[2]))
lock.release()
time.sleep(60)
"""


@pytest.fixture
def hold() -> Iterator[list[subprocess.Popen[str]]]:
    """Where processes that hold the directory's lock are put, to be ended."""
    processes: list[subprocess.Popen[str]] = []
    yield processes
    for process in processes:
        process.kill()
        process.communicate()


def start_holder(directory: Path, seconds: float) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, directory, str(seconds)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_writer_gives_up_after_a_while(
    conf: Path, hold: list[subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(filelock, "PATIENCE", 0.3)
    hold.append(start_holder(conf.parent, 60))
    begun = time.monotonic()
    with pytest.raises(BusyError) as caught:
        save([write(conf)])
    assert 0.3 <= time.monotonic() - begun < 3
    assert str(conf.parent) in caught.value.message
    assert caught.value.help
    assert conf.read_bytes() == OLD
    # Killed, it no longer holds anything, and leaves no stale lock to remove by hand.
    hold[0].kill()
    hold[0].wait()
    save([write(conf)])
    assert conf.read_bytes() == NEW


def test_a_second_writer_waits_for_the_first(conf: Path, hold: list[subprocess.Popen[str]]) -> None:
    hold.append(start_holder(conf.parent, 0.4))
    begun = time.monotonic()
    save([write(conf)])
    assert 0.2 <= time.monotonic() - begun < filelock.PATIENCE
    assert conf.read_bytes() == NEW


def test_the_lock_is_held_until_the_end_and_then_let_go(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def is_locked() -> bool:
        fd = os.open(conf.parent, os.O_RDONLY)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        finally:
            os.close(fd)
        return False

    locked: list[bool] = []
    for name in ("write", "rename", "unlink", "fsync"):
        real = getattr(os, name)

        def spy(*arguments: object, _real: object = real, **more: object) -> object:
            locked.append(is_locked())
            assert callable(_real)
            return _real(*arguments, **more)

        monkeypatch.setattr(os, name, spy)
    save([write(conf)])
    assert len(locked) >= 5
    assert all(locked)
    assert not is_locked()


def test_two_locks_are_taken_in_one_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Both ways round at once: with two orders they would wait for each other in the end. On a
    # machine with much to do one waits long for the other anyway.
    monkeypatch.setattr(filelock, "PATIENCE", 60)
    paths = [tmp_path / name / "qemu.conf" for name in ("a", "b")]
    for path in paths:
        path.parent.mkdir()
        path.write_bytes(b"")
    errors: list[BaseException] = []

    def work(order: list[Path]) -> None:
        try:
            for _ in range(100):
                try:
                    save([write(path, old=b"", new=b"") for path in order])
                except ChangedError as error:  # pragma: no cover
                    errors.append(error)
        except BaseException as error:  # noqa: BLE001
            errors.append(error)

    threads = [threading.Thread(target=work, args=(order,)) for order in (paths, paths[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    assert errors == []
    assert leftovers(tmp_path) == []


def test_a_directory_that_cannot_be_locked(directory: Path) -> None:
    with pytest.raises(WriteError) as caught:
        save([write(directory / "none" / "qemu.conf", old=None)])
    assert caught.value.message == f"{directory / 'none'}: there is no such directory"
    assert caught.value.help == "is libvirt installed here?"


def test_a_path_that_leads_round_and_round(directory: Path) -> None:
    loop = directory / "loop"
    loop.symlink_to("loop")
    path = loop / "qemu.conf"
    with pytest.raises(WriteError) as caught:
        save([write(path, old=None)])
    assert caught.value.message == (f"{path}: cannot be written: {os.strerror(errno.ELOOP)}")


def test_a_text_that_libvirt_would_not_read(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte less is written."""
    most = 3 * 1024 * 1024
    monkeypatch.setattr("lockcfg.conf.save.MAX_SIZE", most)
    with pytest.raises(WriteError) as caught:
        save([write(conf, new=b"#" * (most + 1))])
    assert caught.value.message == (
        f"{conf}: would be larger than 3 MiB, and libvirt would no longer read it;"
        " nothing was written"
    )
    assert conf.read_bytes() == OLD
    save([write(conf, new=b"#" * most)])
    assert conf.stat().st_size == most


# --- links of others ------------------------------------------------------------------------

STRANGER: Final = 12345


def linked(tmp_path: Path, owner: int) -> tuple[Path, Path]:
    """A link of a user, and what it leads to, which is not there yet."""
    real = tmp_path / "elsewhere" / "host.conf"
    link = tmp_path / "libvirt" / "qemu.conf"
    real.parent.mkdir()
    link.parent.mkdir()
    link.symlink_to(real)
    os.lchown(link, owner, owner)
    return link, real


@pytest.mark.parametrize("is_there", [True, False])
def test_a_link_of_a_stranger_is_refused(tmp_path: Path, is_there: bool) -> None:
    """It may be there to redirect the write."""
    link, real = linked(tmp_path, STRANGER)
    if is_there:
        real.write_bytes(OLD)
    with pytest.raises(WriteError) as caught:
        save([write(link, old=OLD if is_there else None)])
    assert caught.value.message == (
        f"{link}: leads through a symbolic link of another user (uid {STRANGER}) to {real};"
        " nothing was written"
    )
    assert caught.value.help == "name the file itself if it is meant"
    assert os.listdir(real.parent) == (["host.conf"] if is_there else [])


@pytest.mark.parametrize("owner", [0, NOBODY])
def test_a_link_of_who_owns_the_file_is_followed(tmp_path: Path, owner: int) -> None:
    link, real = linked(tmp_path, owner)
    real.write_bytes(OLD)
    os.chown(real, owner, owner)
    save([write(link)])
    assert real.read_bytes() == NEW


def test_for_a_file_that_is_not_there_its_directory_counts(tmp_path: Path) -> None:
    link, real = linked(tmp_path, NOBODY)
    os.chown(real.parent, NOBODY, NOBODY)
    save([write(link, old=None)])
    assert real.read_bytes() == NEW


def test_who_runs_it_may_use_its_own_links() -> None:
    """Also if it is not root."""
    with TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        link, real = linked(Path(name), STRANGER)
        real.parent.chmod(0o777)
        pid = os.fork()
        if pid == 0:
            status = 99
            try:
                os.seteuid(STRANGER)
                save([write(link, old=None)])
                status = 0
            finally:
                os._exit(status)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        assert real.read_bytes() == NEW


def test_where_a_file_is_there_its_directory_does_not_count(tmp_path: Path) -> None:
    link, real = linked(tmp_path, NOBODY)
    real.write_bytes(OLD)
    os.chown(real.parent, NOBODY, NOBODY)
    with pytest.raises(WriteError, match="another user"):
        save([write(link)])
    assert real.read_bytes() == OLD


# --- changed meanwhile ----------------------------------------------------------------------


def test_a_file_changed_meanwhile_is_left_as_it_is(conf: Path) -> None:
    conf.write_bytes(b"theirs = 1\n")
    with pytest.raises(ChangedError) as caught:
        save([write(conf)])
    assert caught.value.message == (
        f"{conf}: was changed by another program in the meantime; nothing was written"
    )
    assert caught.value.help == "check the new value and try again"
    assert conf.read_bytes() == b"theirs = 1\n"


def test_a_file_removed_meanwhile_is_not_made_again(conf: Path) -> None:
    conf.unlink()
    with pytest.raises(ChangedError) as caught:
        save([write(conf)])
    assert caught.value.message == f"{conf}: was removed in the meantime; nothing was written"
    assert os.listdir(conf.parent) == []


def test_a_file_made_meanwhile_is_left_as_it_is(conf: Path) -> None:
    with pytest.raises(ChangedError):
        save([write(conf, old=None)])
    assert conf.read_bytes() == OLD


def test_a_file_that_became_something_else(conf: Path) -> None:
    conf.unlink()
    conf.mkdir()
    with pytest.raises(WriteError) as caught:
        save([write(conf)])
    assert caught.value.message.startswith(f"{conf}: cannot be read again: ")
    assert "a directory" in caught.value.message
    assert conf.is_dir()


def test_the_names_of_new_files_cannot_be_foreseen(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another user who may write there could put a file in the way."""
    names: list[str] = []
    rename = os.rename

    def renaming(name: str, to: str, **directories: int) -> None:
        names.append(name)
        rename(name, to, **directories)

    monkeypatch.setattr(os, "rename", renaming)
    save([write(conf)])
    save([write(conf, old=NEW, new=OLD)])
    assert len({*names}) == 2
    assert all(re.fullmatch(r"\.qemu\.conf\.[0-9a-f]{16}\.lockcfg-new", name) for name in names)


def test_of_several_files_one_changed_meanwhile_stops_all(conf: Path) -> None:
    other = conf.with_name("qemu-lockd.conf")
    other.write_bytes(b"theirs = 1\n")
    inode = conf.stat().st_ino
    with pytest.raises(ChangedError):
        save([write(conf), write(other)])
    assert conf.read_bytes() == OLD
    assert conf.stat().st_ino == inode
    assert other.read_bytes() == b"theirs = 1\n"


# --- all or none ----------------------------------------------------------------------------


def test_several_files_are_written_in_the_order_given(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = ["virtlockd.conf", "a.conf", "qemu.conf"]
    for name in names:
        conf.with_name(name).write_bytes(OLD)
    renamed: list[str] = []
    real = os.rename

    def spy(source: str, target: str, **directories: int) -> None:
        # Every new file is complete before the first old one goes.
        for name in names[len(renamed) :]:
            (new,) = conf.parent.glob(f".{name}.*.lockcfg-new")
            assert new.read_bytes() == NEW
        renamed.append(target)
        real(source, target, **directories)

    monkeypatch.setattr(os, "rename", spy)
    save([write(conf.with_name(name)) for name in names])
    assert renamed == names
    assert {conf.with_name(name).read_bytes() for name in names} == {NEW}
    assert sorted(os.listdir(conf.parent)) == sorted(names)


@pytest.mark.parametrize("backup", [None, ".bak"])
@pytest.mark.parametrize("first_is_new", [True, False])
def test_where_the_second_rename_fails_the_first_is_undone(
    conf: Path, monkeypatch: pytest.MonkeyPatch, first_is_new: bool, backup: str | None
) -> None:
    first = conf.with_name("qemu-lockd.conf")
    if not first_is_new:
        first.write_bytes(OLD)
        first.chmod(0o604)
        os.setxattr(first, "user.note", b"x")
    inode = 0 if first_is_new else first.stat().st_ino
    real = os.rename
    seen: list[bytes] = []

    def failing(source: str, target: str, **directories: int) -> None:
        if target == conf.name:
            seen.append(first.read_bytes())
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(source, target, **directories)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(WriteError, match="Input/output error"):
        save([write(first, old=None if first_is_new else OLD), write(conf)], backup=backup)
    assert seen == [NEW]
    assert conf.read_bytes() == OLD
    if first_is_new:
        assert not first.exists()
    else:
        assert first.stat().st_ino == inode
        assert first.read_bytes() == OLD
        assert permissions(first) == 0o604
        assert os.getxattr(first, "user.note") == b"x"


def test_where_the_last_rename_fails_all_others_are_undone(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    others = [conf.with_name(name) for name in ("a.conf", "b.conf")]
    for path in others:
        path.write_bytes(OLD)
    real = os.rename

    def failing(source: str, target: str, **directories: int) -> None:
        if target == conf.name:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        real(source, target, **directories)

    monkeypatch.setattr(os, "rename", failing)
    with pytest.raises(WriteError, match="Input/output error"):
        save([write(path) for path in (*others, conf)])
    assert [path.read_bytes() for path in (*others, conf)] == [OLD] * 3


def test_an_interrupt_between_two_renames_undoes_the_first(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = conf.with_name("qemu-lockd.conf")
    first.write_bytes(OLD)
    real = os.rename

    def interrupted(source: str, target: str, **directories: int) -> None:
        if target == conf.name:
            raise KeyboardInterrupt
        real(source, target, **directories)

    monkeypatch.setattr(os, "rename", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save([write(first), write(conf)])
    assert first.read_bytes() == conf.read_bytes() == OLD


@pytest.fixture
def immutable(conf: Path) -> Iterator[Path]:
    """A file that cannot be renamed over, though one can be made beside it."""
    subprocess.run(["chattr", "+i", conf], check=True)
    yield conf
    subprocess.run(["chattr", "-i", conf], check=True)


def test_an_immutable_second_file_leaves_the_first_as_it_was(immutable: Path) -> None:
    first = immutable.with_name("qemu-lockd.conf")
    first.write_bytes(OLD)
    inode = first.stat().st_ino
    with pytest.raises(WriteError) as caught:
        save([write(first), write(immutable)])
    assert str(immutable) in caught.value.message
    assert "lsattr" in caught.value.help
    assert first.read_bytes() == immutable.read_bytes() == OLD
    assert first.stat().st_ino == inode


def test_a_second_directory_that_takes_no_file_leaves_the_first_alone(
    conf: Path, tmp_path: Path
) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    other = closed / "host.conf"
    other.write_bytes(OLD)
    link = conf.with_name("qemu-lockd.conf")
    link.symlink_to(other)
    inode = conf.stat().st_ino
    subprocess.run(["chattr", "+i", closed], check=True)
    try:
        with pytest.raises(WriteError) as caught:
            save([write(conf), write(link)])
    finally:
        subprocess.run(["chattr", "-i", closed], check=True)
    assert str(link) in caught.value.message
    # Not put back: never touched.
    assert conf.stat().st_ino == inode
    assert conf.read_bytes() == other.read_bytes() == OLD


# --- failures of the disk -------------------------------------------------------------------


def in_child(work: list[Write], limit: int) -> int:
    """Save in a process that may not write files larger than ``limit``; its exit status."""
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
            try:
                save(work)
                status = 0
            except WriteError as error:
                status = 3 if "File too large" in error.message else 98
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def test_a_file_that_cannot_be_written_whole_is_not_written(conf: Path) -> None:
    # The first write is a short one, the second fails: as on a disk that fills up.
    first = conf.with_name("a.conf")
    first.write_bytes(OLD)
    inodes = first.stat().st_ino, conf.stat().st_ino
    large = write(conf, new=b"# filler\n" * 1000)
    assert in_child([write(first), large], 4096) == 3
    assert (first.stat().st_ino, conf.stat().st_ino) == inodes
    assert first.read_bytes() == conf.read_bytes() == OLD
    assert in_child([write(first), large], 9000) == 0
    assert conf.read_bytes() == large.new


def test_short_writes_are_carried_on(conf: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, bytes(data[:7])))
    save([write(conf)])
    assert conf.read_bytes() == NEW


@pytest.mark.parametrize("name", ["write", "fsync", "fchmod", "setxattr", "open"])
def test_whatever_fails_before_the_rename_nothing_has_happened(
    conf: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    os.setxattr(conf, "user.note", b"x")
    real = getattr(os, name)

    def failing(*arguments: object, **more: object) -> object:
        if name == "open" and not str(arguments[0]).endswith("-new"):
            return real(*arguments, **more)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    inode = conf.stat().st_ino
    monkeypatch.setattr(os, name, failing)
    with pytest.raises(WriteError) as caught:
        save([write(conf)])
    monkeypatch.undo()
    assert caught.value.message == f"{conf}: cannot be written: No space left on device"
    assert "disk is full" in caught.value.help
    assert conf.read_bytes() == OLD
    assert conf.stat().st_ino == inode


def test_a_disk_that_gives_back_other_bytes_is_noticed(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def corrupting(source: str, target: str, **directories: int) -> None:
        real(source, target, **directories)
        (conf.parent / target).write_bytes(NEW[:-1] + b"\0")

    monkeypatch.setattr(os, "rename", corrupting)
    with pytest.raises(WriteError) as caught:
        save([write(conf)])
    assert caught.value.message == f"{conf}: does not hold what was just written to it"
    assert "another program writes here" in caught.value.help


def test_a_disk_that_gives_back_nothing_is_noticed(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os.rename

    def losing(source: str, target: str, **directories: int) -> None:
        real(source, target, **directories)
        (conf.parent / target).unlink()

    monkeypatch.setattr(os, "rename", losing)
    with pytest.raises(WriteError) as caught:
        save([write(conf)])
    assert caught.value.message.startswith(f"{conf}: cannot be read back: ")


@pytest.mark.parametrize(
    ("number", "passes"), [(errno.EINVAL, True), (errno.ENOTSUP, True), (errno.EIO, False)]
)
def test_a_directory_that_cannot_be_synced(
    conf: Path, monkeypatch: pytest.MonkeyPatch, number: int, passes: bool
) -> None:
    real = os.fsync
    synced: list[bool] = []

    def failing(fd: int) -> None:
        is_directory = stat.S_ISDIR(os.fstat(fd).st_mode)
        synced.append(is_directory)
        if is_directory:
            raise OSError(number, os.strerror(number))
        real(fd)

    monkeypatch.setattr(os, "fsync", failing)
    if passes:
        save([write(conf)])
    else:
        with pytest.raises(WriteError) as caught:
            save([write(conf)])
        assert caught.value.message == f"{conf.parent}: cannot be synced: Input/output error"
    assert synced == [False, True]


def test_what_is_synced_and_when(
    tmp_path: Path, conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each new file before it has its name, and then its own directory, wherever the writer is."""
    other = tmp_path / "other" / "lockd.conf"
    other.parent.mkdir()
    other.write_bytes(OLD)
    fsync, rename = os.fsync, os.rename
    done: list[str] = []

    def syncing(fd: int) -> None:
        path = os.readlink(f"/proc/self/fd/{fd}")
        done.append(f"sync {path}" if os.path.isdir(path) else f"sync in {os.path.dirname(path)}")
        assert os.get_inheritable(fd) is False
        fsync(fd)

    def renaming(name: str, to: str, **directories: int) -> None:
        done.append(f"name {to}")
        rename(name, to, **directories)

    monkeypatch.chdir("/")
    monkeypatch.setattr(os, "fsync", syncing)
    monkeypatch.setattr(os, "rename", renaming)
    save([write(conf), write(other)])
    assert done[:2] == [f"sync in {conf.parent}", f"sync in {other.parent}"]
    assert done[2:4] == ["name qemu.conf", "name lockd.conf"]
    assert sorted(done[4:]) == [f"sync {conf.parent}", f"sync {other.parent}"]


def test_an_error_of_which_nothing_more_is_known(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has no help, and no help that is for another."""

    def failing(_: int) -> None:
        raise OSError("odd")

    monkeypatch.setattr(os, "fsync", failing)
    with pytest.raises(WriteError) as caught:
        save([write(conf)])
    assert (caught.value.message, caught.value.help) == (f"{conf}: cannot be written: odd", "")


def test_a_file_system_without_attributes_will_do(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsupported(*_: object) -> list[str]:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))

    monkeypatch.setattr(os, "listxattr", unsupported)
    save([write(conf)])
    assert conf.read_bytes() == NEW


def test_an_attribute_that_cannot_be_kept_stops_the_save(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.setxattr(conf, "security.selinux", b"system_u:object_r:virt_etc_t:s0\0")

    def forbidden(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "setxattr", forbidden)
    with pytest.raises(WriteError, match="Operation not permitted"):
        save([write(conf)])
    assert conf.read_bytes() == OLD


def test_an_attribute_that_the_new_file_has_already_need_not_be_set(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As SELinux does: the label comes from the policy, and setting it may be forbidden.
    label = b"system_u:object_r:virt_etc_t:s0\0"
    os.setxattr(conf, "security.selinux", label)
    real_setxattr, real_open = os.setxattr, os.open

    def labelling(path: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        fd = real_open(path, flags, mode, dir_fd=dir_fd)
        if path.endswith("-new"):
            real_setxattr(fd, "security.selinux", label)
        return fd

    def forbidden(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "open", labelling)
    monkeypatch.setattr(os, "setxattr", forbidden)
    save([write(conf)])
    assert conf.read_bytes() == NEW
    assert os.getxattr(conf, "security.selinux") == label


# --- leftovers ------------------------------------------------------------------------------


def test_what_a_killed_writer_left_is_removed(conf: Path) -> None:
    for name in (".qemu.conf.lockcfg-new", ".qemu.conf.lockcfg-old"):
        conf.with_name(name).write_bytes(b"half")
    save([write(conf)])
    assert conf.read_bytes() == NEW
    assert os.listdir(conf.parent) == ["qemu.conf"]


def test_what_a_killed_writer_left_of_another_file_is_removed_too(conf: Path) -> None:
    for name in (".qemu-lockd.conf.lockcfg-new", ".qemu-lockd.conf.lockcfg-old"):
        conf.with_name(name).write_bytes(b"half")
    conf.with_name(".qemu.conf.swp").write_bytes(b"an editor's")
    conf.with_name("x.lockcfg-new").write_bytes(b"somebody's")
    save([write(conf)])
    assert sorted(os.listdir(conf.parent)) == [".qemu.conf.swp", "qemu.conf", "x.lockcfg-new"]
    conf.with_name(".qemu.conf.swp").unlink()


def test_a_link_in_the_way_is_removed_and_not_followed(conf: Path, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    conf.with_name(".qemu.conf.lockcfg-new").symlink_to(victim)
    conf.with_name(".qemu.conf.lockcfg-old").symlink_to(victim)
    save([write(conf)])
    assert victim.read_bytes() == b"mine"
    assert conf.read_bytes() == NEW
    assert not conf.is_symlink()


@pytest.mark.parametrize("is_link", [True, False])
def test_what_is_put_in_the_way_at_the_last_moment_is_not_written(
    conf: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_link: bool
) -> None:
    victim = tmp_path / "victim"
    victim.write_bytes(b"mine")
    real = os.open

    def planting(path: str, *arguments: int, **more: int) -> int:
        if path.endswith("-new"):
            if is_link:
                conf.with_name(path).symlink_to(victim)
            else:
                conf.with_name(path).hardlink_to(victim)
        return real(path, *arguments, **more)

    monkeypatch.setattr(os, "open", planting)
    with pytest.raises(WriteError, match="File exists"):
        save([write(conf)])
    assert victim.read_bytes() == b"mine"
    assert conf.read_bytes() == OLD


def test_a_directory_of_such_a_name_is_in_nobodys_way(conf: Path) -> None:
    # The name of a new file is unknown before.
    blocked = conf.with_name(".qemu.conf.lockcfg-new")
    blocked.mkdir()
    save([write(conf)])
    assert conf.read_bytes() == NEW
    blocked.rmdir()


def test_a_name_as_long_as_the_file_system_takes(directory: Path) -> None:
    # The new file's name is longer than the old one's.
    real = directory / ("x" * 250)
    real.write_bytes(OLD)
    link = directory / "qemu.conf"
    link.symlink_to(real.name)
    with pytest.raises(WriteError, match="File name too long"):
        save([write(link)])
    assert real.read_bytes() == OLD


def test_nothing_to_write_touches_nothing() -> None:
    save([])


def test_a_writer_ended_by_a_signal_leaves_the_old_file(conf: Path) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(os, "rename", lambda *_, **__: os.kill(os.getpid(), signal.SIGTERM))
                save([write(conf)])
        finally:
            os._exit(99)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGTERM
    assert conf.read_bytes() == OLD
    assert leftovers(conf.parent) != []
    save([write(conf)])
    assert conf.read_bytes() == NEW
