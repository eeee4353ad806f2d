"""Bad input, through the real command on real file systems.

Each kind of it gives one clear message and the right exit code, never a traceback, never a
damaged file. 0 fine, 1 findings or a negative answer, 2 wrong usage, 3 could not do it.

These tests run as root, which mounting takes and whom no file is closed to; what an unprivileged
user may not do, they do without root's capabilities.
"""

from __future__ import annotations

import fcntl
import json
import os
import re
import shlex
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.conftest import LOCKCFG, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Final

NAMES: Final = ("qemu.conf", "qemu-lockd.conf", "virtlockd.conf")
NOBODY: Final = 65534

#: No command takes longer, or it hangs.
TIMEOUT: Final = 30


class Ran(NamedTuple):
    """What a run of the command came to."""

    status: int
    out: str
    err: str


#: Runs a command as a user who owns what root owns and may do nothing else that root may: an
#: unprivileged one, who can still start Python wherever it is installed.
UNPRIVILEGED: Final = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")


def lockcfg(
    *arguments: str | Path, prefix: Sequence[str] = (), program: Sequence[str] = (str(LOCKCFG),)
) -> Ran:
    """Run the real command, after ``prefix``."""
    done = subprocess.run(
        [*prefix, *program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT,
        cwd="/",
    )
    ran = Ran(
        done.returncode,
        done.stdout.decode("utf-8", "surrogateescape"),
        done.stderr.decode("utf-8", "surrogateescape"),
    )
    assert "Traceback" not in ran.out + ran.err, ran
    assert "Exception ignored" not in ran.err, ran
    return ran


def assert_one_error(ran: Ran, path: Path | str, message: str) -> None:
    """It could not be done, and one line says why, with ``path`` in it."""
    assert ran.status == 3, ran
    errors = [line for line in ran.err.splitlines() if "error: " in line]
    assert len(errors) == 1, ran
    assert str(path) in errors[0], ran
    assert re.search(message, errors[0]), ran
    # The rest is the line of the file and advice.
    rest = [line for line in ran.err.splitlines() if line not in errors]
    assert all(line.startswith("  ") for line in rest), ran
    assert ran.out == "" or re.fullmatch(r"0 findings in \d+ files?\n", ran.out), ran


def snapshot(top: Path) -> dict[str, object]:
    """Everything below ``top``, so that any change shows."""
    found: dict[str, object] = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content: object = None
        if stat.S_ISREG(status.st_mode) and status.st_size < 1 << 20:
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = path.readlink()
        found[str(path)] = (
            status.st_mode,
            status.st_ino,
            status.st_size,
            status.st_mtime_ns,
            status.st_uid,
            content,
        )
    return found


@pytest.fixture
def root() -> Iterator[Path]:
    """A host's file tree, at a path short enough for a socket."""
    with tempfile.TemporaryDirectory(prefix="lockcfg-") as top:
        make_host(Path(top))
        yield Path(top)


def make_host(top: Path) -> None:
    directory = top / "etc/libvirt"
    directory.mkdir(parents=True)
    for name in NAMES:
        shutil.copyfile(SAMPLES / name, directory / name)


def conf(root: Path, name: str = "qemu.conf") -> Path:
    return root / "etc/libvirt" / name


# --- what is in the place of a file ---------------------------------------------------------


def _directory(path: Path) -> None:
    path.mkdir()
    (path / "qemu.conf").write_bytes(b'lock_manager = "lockd"\n')


def _socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


def _sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 1 << 40)


def _text(text: bytes) -> Callable[[Path], object]:
    return lambda path: path.write_bytes(text)


def _link(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


class Bad(NamedTuple):
    """Something in the place of a file, and what commands make of it.

    ``reading`` is the exit code of what reads the file, ``validate`` that of validate.
    """

    make: Callable[[Path], object]
    message: str
    reading: int = 3
    validate: int = 3


def _device(mode: int, major: int, minor: int) -> Callable[[Path], None]:
    return lambda path: os.mknod(path, mode | 0o644, os.makedev(major, minor))


BAD: Final = {
    "a directory": Bad(_directory, "is a directory, not a regular file"),
    "an endless device": Bad(_device(stat.S_IFCHR, 1, 5), "is a device, not a regular file"),
    # Below a root the devices of this host are not there.
    "a link to a device": Bad(
        _link("/dev/zero"), "is a (device|symbolic link to /dev/zero, which is not there)"
    ),
    "a block device": Bad(_device(stat.S_IFBLK, 7, 0), "is a device, not a regular file"),
    "a device without a driver": Bad(
        _device(stat.S_IFCHR, 240, 77), "is a socket or a device, not a regular file"
    ),
    "a pipe": Bad(os.mkfifo, "is a pipe, not a regular file"),
    "a socket": Bad(_socket, "is a socket or a device, not a regular file"),
    "a 20 MB file": Bad(_text(b"# 20 bytes of text.\n" * (1 << 20)), "is larger than 10 MiB"),
    "a sparse file": Bad(_sparse, "is larger than 10 MiB"),
    "one byte too many": Bad(_text(b"#" * (10 * 1024 * 1024 + 1)), "is larger than 10 MiB"),
    "a dangling link": Bad(_link("nowhere"), "is a symbolic link to nowhere, which is not there"),
    "a link into a loop": Bad(_link("qemu.conf"), "Too many levels of symbolic links"),
    "a link through a file": Bad(_link("virtlockd.conf/x"), "Not a directory"),
    "binary bytes": Bad(
        _text(bytes(range(1, 256)) * 16), r":1:1: error: expecting a name", validate=1
    ),
    "a program": Bad(
        _text(b"\x7fELF\x02\x01\x01" + bytes(64)), r":1:8: error: a NUL byte", validate=1
    ),
    "a NUL at the end": Bad(
        _text(b'lock_manager = "lockd"\n\0'), r":2:1: error: a NUL byte", validate=1
    ),
    "UTF-16": Bad(
        _text('lock_manager = "lockd"\n'.encode("utf-16")), r":1:4: error: a NUL byte", validate=1
    ),
    "a byte order mark": Bad(
        _text(b'\xef\xbb\xbflock_manager = "lockd"\n'), r":1:1: error: expecting a name", validate=1
    ),
    "a missing quote": Bad(
        _text(b'a = 1\nlock_manager = "lockd\n'), r":2:16: error: unterminated string", validate=1
    ),
    "nothing but blanks": Bad(_text(b"\n \n"), "error: expecting a name", validate=1),
    "invalid UTF-8": Bad(
        _text(b'vnc_listen = "\xff\xfe"\nlock_manager = "nop"\n'), "", reading=0, validate=1
    ),
    "invalid UTF-8 in a comment": Bad(
        _text(b'# \xff\nlock_manager = "nop"\n'), "", reading=0, validate=0
    ),
    "a key given twice": Bad(
        _text(b'lock_manager = "nop"\nlock_manager = "lockd"\n'), "", reading=0, validate=1
    ),
    "nearly 10 MiB": Bad(
        _text(b"#" * (10 * 1024 * 1024 - 24) + b'\nlock_manager = "nop"\n'),
        "",
        reading=0,
        validate=0,
    ),
}


@pytest.fixture(params=BAD)
def bad(request: pytest.FixtureRequest, root: Path) -> Bad:
    """A kind of bad input, in the place of qemu.conf."""
    one = BAD[request.param]
    conf(root).unlink()
    one.make(conf(root))
    return one


READERS: Final = {
    "get": ["get", "--default", "lock_manager"],
    "show": ["show"],
}

WRITERS: Final = {
    "set": ["set", "lock_manager", "lockd"],
    "unset": ["unset", "lock_manager", "--force"],
    "enable": ["enable", "--file-lockspace", "/srv/locks"],
    "disable": ["disable", "--lockspaces"],
}


@pytest.mark.parametrize("command", READERS)
def test_bad_input_to_a_command_that_reads(root: Path, bad: Bad, command: str) -> None:
    before = snapshot(root)
    ran = lockcfg(*READERS[command], "--root", root)
    assert ran.status == bad.reading, ran
    if bad.reading == 3:
        assert_one_error(ran, conf(root), bad.message)
    else:
        assert ran.err == ""
        if command == "get":
            assert ran.out == "nop\n"
    assert snapshot(root) == before


@pytest.mark.parametrize("command", WRITERS)
def test_bad_input_to_a_command_that_writes(root: Path, bad: Bad, command: str) -> None:
    before = snapshot(root)
    text = b"" if bad.reading else conf(root).read_bytes()
    ran = lockcfg(*WRITERS[command], "--root", root)
    assert ran.status == bad.reading, ran
    if bad.reading == 3:
        assert_one_error(ran, conf(root), bad.message)
        assert snapshot(root) == before
        return
    assert "error" not in ran.err
    if command in {"set", "enable"}:
        assert conf(root).read_bytes() == text.replace(b'"nop"', b'"lockd"', 1)
    else:
        gone = re.sub(rb"^lock_manager.*\n", b"", text, flags=re.MULTILINE)
        assert conf(root).read_bytes() == gone


def test_bad_input_to_validate_of_the_host(root: Path, bad: Bad) -> None:
    before = snapshot(root)
    ran = lockcfg("validate", "--root", root)
    check_validate(ran, root, bad, 3)
    assert snapshot(root) == before


def test_bad_input_to_validate_of_the_file(root: Path, bad: Bad) -> None:
    if conf(root).is_dir():
        # A directory given to validate is searched.
        assert lockcfg("validate", conf(root)).out == "0 findings in 1 file\n"
        return
    check_validate(lockcfg("validate", conf(root)), root, bad, 1)


def check_validate(ran: Ran, root: Path, bad: Bad, files: int) -> None:
    assert ran.status == bad.validate, ran
    if bad.validate == 3:
        assert_one_error(ran, conf(root), bad.message)
        return
    assert ran.err == ""
    *findings, summary = ran.out.splitlines()
    of = f"{files} file{'s' * (files > 1)}"
    if bad.validate == 0:
        assert (findings, summary) == ([], f"0 findings in {of}")
        return
    assert summary == f"1 finding in {of}"
    assert len([line for line in findings if line.startswith(str(conf(root)))]) == 1
    assert re.search(bad.message, findings[0])


def test_an_edit_that_would_make_a_file_too_large(root: Path) -> None:
    # libvirt would not start with it, and no command could repair it.
    conf(root).write_bytes(b"#" * (10 * 1024 * 1024 - 22) + b'\nlock_manager = "nop"\n')
    assert lockcfg("validate", "--root", root).status == 0
    before = snapshot(root)
    for command in ("set", "enable"):
        ran = lockcfg(*WRITERS[command], "--root", root)
        ran = ran._replace(err=without_warnings(ran.err))
        assert_one_error(ran, conf(root), "would be larger than 10 MiB")
        assert snapshot(root) == before


@pytest.mark.parametrize("command", ["get", "set"])
def test_bad_input_and_json(root: Path, bad: Bad, command: str) -> None:
    """A program that asks for JSON gets JSON, of the failure too."""
    ran = lockcfg(*(READERS | WRITERS)[command], "--root", root, "--json")
    report = json.loads(ran.out)
    assert ran.status == bad.reading
    assert ran.err == ""
    if bad.reading == 3:
        assert list(report) == ["error"]
        assert str(conf(root)) in report["error"]["message"]
    else:
        assert "error" not in report


@pytest.mark.parametrize("name", ["qemu-lockd.conf", "virtlockd.conf"])
def test_bad_input_in_the_other_files(root: Path, name: str) -> None:
    conf(root, name).write_bytes(b"a = \n")
    before = snapshot(root)
    for arguments in (
        ["show"],
        ["enable", "--file-lockspace", "/srv/locks"],
        ["disable", "--lockspaces"],
    ):
        ran = lockcfg(*arguments, "--root", root)
        if arguments[0] == "disable" and ran.status == 0:
            # It is off already and there is nothing to write, so not every file is read.
            assert ran.out.startswith("nothing to change\nProtection: none\n")
            continue
        assert_one_error(ran, conf(root, name), ":1:5: error: expecting a value")
    assert snapshot(root) == before
    assert lockcfg("validate", "--root", root).status == 1


def test_a_missing_file_is_an_empty_one(root: Path) -> None:
    conf(root).unlink()
    assert lockcfg("show", "--root", root).status == 0
    assert lockcfg("validate", "--root", root) == Ran(0, "0 findings in 2 files\n", "")
    ran = lockcfg("get", "lock_manager", "--root", root)
    assert (ran.status, ran.out) == (1, "")
    assert str(conf(root)) in ran.err
    assert lockcfg("set", "lock_manager", "lockd", "--root", root).status == 0
    assert conf(root).read_bytes() == b'lock_manager = "lockd"\n'
    assert stat.S_IMODE(conf(root).stat().st_mode) == 0o600


def test_a_missing_file_that_is_named_is_an_error(root: Path) -> None:
    missing = root / "qemu.conf"
    assert_one_error(lockcfg("validate", missing), missing, "No such file or directory")


def test_a_missing_directory(root: Path) -> None:
    shutil.rmtree(root / "etc")
    for arguments in (["show"], ["get", "lock_manager"], ["set", "lock_manager", "lockd"]):
        ran = lockcfg(*arguments, "--root", root)
        assert_one_error(ran, root / "etc/libvirt", "is not there, and no libvirt is installed")
    assert "--root is the directory that holds etc/libvirt" in ran.err
    assert snapshot(root) == {}


def test_a_directory_that_is_a_file(root: Path) -> None:
    shutil.rmtree(root / "etc/libvirt")
    (root / "etc/libvirt").write_bytes(b"x")
    for arguments in (READERS["get"], READERS["show"], WRITERS["set"]):
        ran = lockcfg(*arguments, "--root", root)
        assert_one_error(ran, root / "etc/libvirt", "Not a directory")


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["frobnicate"],
        ["set"],
        ["set", "lock_manager"],
        ["set", "lock_manager", "lockd", "max_clients"],
        ["set", "lock_manager", "lockd", "lock_manager", "nop"],
        ["set", "lock manager", "lockd"],
        ["set", "", "x"],
        ["set", "no_such_key", "1"],
        ["get", "no_such_key"],
        ["get"],
        ["unset", "no_such_key"],
        ["set", "max_clients", "1", "--file", "libxl.conf"],
        ["set", "lock_manager", "lockd", "--root", "/no/such/directory"],
        ["show", "--root", "/no/such/directory"],
        ["show", "--driver", "bhyve"],
        ["show", "--system", "--session"],
        ["validate", "/etc/passwd"],
        ["enable", "--file-lockspace", "relative/path"],
        ["enable", "--file-lockspace", ""],
        ["set", "lock_manager", "lockd", "--no-such-option"],
    ],
    ids=" ".join,
)
def test_wrong_usage(root: Path, arguments: list[str]) -> None:
    before = snapshot(root)
    if arguments and arguments[0] in {"get", "set", "unset", "enable"} and len(arguments) > 1:
        arguments = [*arguments, *([] if "--root" in arguments else ["--root", str(root)])]
    ran = lockcfg(*arguments)
    assert ran.status == 2, ran
    assert ran.out == ""
    assert ran.err != ""
    assert len(re.findall(r"\berror: ", ran.err)) == (1 if arguments else 0), ran
    assert snapshot(root) == before


def test_a_path_that_would_drive_the_terminal(root: Path) -> None:
    odd = Path(os.fsdecode(os.fsencode(root) + b"/a\nb\x1b[31m\xff"))
    odd.mkdir()
    make_host(odd)
    conf(odd).write_bytes(b"x")
    for arguments in (READERS["get"], READERS["show"], WRITERS["set"]):
        ran = lockcfg(*arguments, "--root", odd)
        assert ran.status == 3
        assert "\x1b" not in ran.err
        assert r"/a\nb\x1b[31m\xff/etc/libvirt/qemu.conf:1:2: error: " in ran.err
    conf(odd).write_bytes(b"")
    ran = lockcfg("set", "lock_manager", "lockd", "--root", odd)
    assert ran.status == 0
    assert "\x1b" not in ran.out
    assert conf(odd).read_bytes() == b'lock_manager = "lockd"\n'


# --- permission -----------------------------------------------------------------------------

ALL: Final = READERS | WRITERS | {"validate": ["validate"]}


def test_unprivileged_is_what_it_says(root: Path) -> None:
    os.chown(conf(root), NOBODY, NOBODY)
    conf(root).chmod(0o600)
    cat = ["cat", str(conf(root))]
    assert subprocess.run(cat, capture_output=True).returncode == 0
    done = subprocess.run([*UNPRIVILEGED, *cat], capture_output=True)
    assert done.returncode == 1
    assert b"Permission denied" in done.stderr


@pytest.mark.parametrize("command", ALL)
def test_a_file_that_may_not_be_read(root: Path, command: str) -> None:
    os.chown(conf(root), NOBODY, NOBODY)
    conf(root).chmod(0o600)
    before = snapshot(root)
    ran = lockcfg(*ALL[command], "--root", root, prefix=UNPRIVILEGED)
    assert_one_error(ran, conf(root), "Permission denied")
    assert "help: run it as root" in ran.err
    assert snapshot(root) == before


@pytest.mark.parametrize("command", READERS | WRITERS)
def test_a_directory_that_may_not_be_looked_into(root: Path, command: str) -> None:
    directory = root / "etc/libvirt"
    os.chown(directory, NOBODY, NOBODY)
    directory.chmod(0o700)
    ran = lockcfg(*ALL[command], "--root", root, prefix=UNPRIVILEGED)
    assert_one_error(ran, directory, "Permission denied")


@pytest.mark.parametrize("command", ["set", "enable"])
def test_a_directory_that_may_not_be_written(root: Path, command: str) -> None:
    os.chown(root / "etc/libvirt", NOBODY, NOBODY)
    before = snapshot(root)
    ran = lockcfg(*WRITERS[command], "--root", root, prefix=UNPRIVILEGED)
    ran = ran._replace(err=without_warnings(ran.err))
    assert_one_error(ran, root / "etc/libvirt", "cannot be written: Permission denied")
    assert "help: run it as root" in ran.err
    assert snapshot(root) == before


@pytest.mark.parametrize("command", ["set", "enable"])
def test_the_file_of_somebody_else_in_a_directory_of_ones_own(root: Path, command: str) -> None:
    # A new file could be put there, but not with the owner of the old one.
    os.chown(conf(root), NOBODY, NOBODY)
    before = snapshot(root)
    ran = lockcfg(*WRITERS[command], "--root", root, prefix=UNPRIVILEGED)
    ran = ran._replace(err=without_warnings(ran.err))
    assert_one_error(ran, conf(root), "cannot be written: Operation not permitted")
    assert without_times(snapshot(root)) == without_times(before)


def without_times(tree: dict[str, object]) -> dict[str, object]:
    """Of directories: a file was made in it and removed again."""
    return {
        path: None if stat.S_ISDIR(kept[0]) else kept
        for path, kept in tree.items()
        if isinstance(kept, tuple)
    }


# --- file systems ---------------------------------------------------------------------------


class Mounted(NamedTuple):
    """Mounts of our own: a root to look at, and what to run a command with to see it there."""

    root: Path
    path: Path
    prefix: list[str]


@contextmanager
def mounted(root: Path, script: str) -> Iterator[Mounted]:
    """What ``script`` mounts, in a namespace of its own; ``$libvirt`` is the directory."""
    variable = f"libvirt={shlex.quote(str(root / 'etc/libvirt'))}"
    shell = ["sh", "-euc", f"{variable}\n{script}\necho ready\nexec sleep 60"]
    holder = subprocess.Popen(
        ["unshare", "--mount", "--propagation", "private", *shell],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "ready\n"
        seen = Path(f"/proc/{holder.pid}/root{root}")
        yield Mounted(seen, root, ["nsenter", f"--mount=/proc/{holder.pid}/ns/mnt"])
    finally:
        holder.kill()
        holder.communicate()


SMALL: Final = """
cp -a "$libvirt" "$libvirt.copy"
mount -t tmpfs -o {options},mode=755 none "$libvirt"
cp -a "$libvirt.copy/." "$libvirt"
rm -r "$libvirt.copy"
"""

FULL: Final = {
    "no block": SMALL.format(options="size=1m")
    + 'dd if=/dev/zero of="$libvirt/filler" bs=4k 2>/dev/null || true',
    "a few blocks": SMALL.format(options="size=1m")
    + 'dd if=/dev/zero of="$libvirt/filler" bs=4k 2>/dev/null || true\n'
    + 'truncate -s -12288 "$libvirt/filler"',
    "no inode": SMALL.format(options="size=1m,nr_inodes=5") + 'touch "$libvirt/filler" || true',
}


@pytest.mark.parametrize("command", ["set", "enable", "disable"])
@pytest.mark.parametrize("full", FULL)
def test_a_full_disk(root: Path, full: str, command: str) -> None:
    if command == "disable":
        assert lockcfg(*WRITERS["enable"], "--root", root).status == 0
    with mounted(root, FULL[full]) as disk:
        before = snapshot(disk.root)
        ran = lockcfg(*WRITERS[command], "--root", root, prefix=disk.prefix)
        errors = [line for line in ran.err.splitlines() if "error: " in line]
        assert ran.status == 3, ran
        assert len(errors) == 1
        assert str(root / "etc/libvirt/qemu") in errors[0]
        assert "cannot be written: No space left on device" in errors[0]
        assert "help: the disk is full; the old file is untouched" in ran.err
        assert without_times(snapshot(disk.root)) == without_times(before)
        # Reading needs no space, and where there is some again it goes on.
        assert lockcfg("show", "--root", root, prefix=disk.prefix).status == 0
        assert lockcfg("validate", "--root", root, prefix=disk.prefix).status == 0
        (disk.root / "etc/libvirt/filler").unlink()
        ran = lockcfg(*WRITERS[command], "--root", root, prefix=disk.prefix)
        if full == "no inode" and command != "set":
            # One inode is free for two files: still all or nothing.
            assert ran.status == 3
            assert without_filler(snapshot(disk.root)) == without_filler(before)
        else:
            assert ran.status == 0
            assert sorted(os.listdir(disk.root / "etc/libvirt")) == sorted(NAMES)


def without_filler(tree: dict[str, object]) -> dict[str, object]:
    return {path: kept for path, kept in without_times(tree).items() if "filler" not in path}


READ_ONLY: Final = SMALL.format(options="size=1m") + 'mount -o remount,ro "$libvirt"'


@pytest.mark.parametrize("command", ["set", "enable"])
def test_a_read_only_file_system(root: Path, command: str) -> None:
    with mounted(root, READ_ONLY) as disk:
        before = snapshot(disk.root)
        ran = lockcfg(*WRITERS[command], "--root", root, prefix=disk.prefix)
        assert ran.status == 3
        errors = [line for line in ran.err.splitlines() if "error: " in line]
        assert len(errors) == 1
        assert "cannot be written: Read-only file system" in errors[0]
        assert "help: the file system is mounted read-only" in ran.err
        assert snapshot(disk.root) == before


@pytest.mark.parametrize("command", ["get", "show", "validate", "no change", "dry run"])
def test_a_read_only_file_system_can_be_read(root: Path, command: str) -> None:
    assert lockcfg(*WRITERS["set"], "--root", root).status == 0
    commands = ALL | {
        "no change": WRITERS["set"],
        "dry run": ["set", "max_queued", "5", "--dry-run"],
    }
    with mounted(root, READ_ONLY) as disk:
        ran = lockcfg(*commands[command], "--root", root, prefix=disk.prefix)
        assert (ran.status, ran.err) == (0, "")


@pytest.mark.parametrize("command", ["set", "enable"])
def test_a_file_that_is_a_mount_point(root: Path, command: str) -> None:
    # As containers have them: the file can be read, and no other one takes its place.
    with mounted(root, 'mount --bind "$libvirt/qemu.conf" "$libvirt/qemu.conf"') as disk:
        before = snapshot(disk.root)
        ran = lockcfg(*WRITERS[command], "--root", root, prefix=disk.prefix)
        assert_one_error(
            Ran(ran.status, ran.out, without_warnings(ran.err)), conf(root), "cannot be written"
        )
        assert "help: it is mounted there by itself" in ran.err
        assert without_times(snapshot(disk.root)) == without_times(before)


def without_warnings(err: str) -> str:
    """What is left of stderr without warnings and the help to them."""
    return re.sub(r"^\S.*warning: .*\n(?:  .*\n)*", "", err, flags=re.MULTILINE)


# --- what changes or fails while a command runs ---------------------------------------------


@contextmanager
def waiting_writer(root: Path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """A command that has read its files and waits for the lock, held while in this context."""
    directory = root / "etc/libvirt"
    fd = os.open(directory, os.O_RDONLY)
    fcntl.flock(fd, fcntl.LOCK_EX)
    process = subprocess.Popen(
        [LOCKCFG, *arguments, "--root", root],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + TIMEOUT
        while not has_open_to_lock(process.pid, directory):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.communicate()
            time.sleep(0.005)
        yield process
    finally:
        os.close(fd)
        if process.poll() is None:
            try:
                process.communicate(timeout=TIMEOUT)
            finally:
                process.kill()


def has_open_to_lock(pid: int, directory: Path) -> bool:
    """Whether a process has a directory open, and neither to walk through it nor to list it."""
    for fd in Path(f"/proc/{pid}/fd").iterdir():
        try:
            if fd.readlink() == directory:
                [flags] = re.findall(
                    r"^flags:\s+(\d+)", Path(f"/proc/{pid}/fdinfo/{fd.name}").read_text(), re.M
                )
                if not int(flags, 8) & (os.O_PATH | os.O_NONBLOCK):
                    return True
        except FileNotFoundError:
            continue
    return False


def finish(process: subprocess.Popen[str]) -> Ran:
    out, err = process.communicate(timeout=TIMEOUT)
    assert "Traceback" not in out + err
    return Ran(process.returncode, out, err)


@pytest.mark.parametrize("command", ["set", "enable"])
def test_a_file_that_vanishes_while_it_is_edited(root: Path, command: str) -> None:
    with waiting_writer(root, *WRITERS[command]) as process:
        conf(root).unlink()
        before = snapshot(root)
    ran = finish(process)
    assert_one_error(ran, conf(root), "was removed in the meantime; nothing was written")
    assert snapshot(root) == before


@pytest.mark.parametrize("command", ["set", "enable"])
def test_a_file_that_changes_while_it_is_edited(root: Path, command: str) -> None:
    with waiting_writer(root, *WRITERS[command]) as process, conf(root).open("ab") as file:
        file.write(b"max_queued = 5\n")
    # It is read again: the change of another setting stays.
    ran = finish(process)
    assert ran.status == 0, ran
    text = conf(root).read_text()
    assert text.endswith("max_queued = 5\n")
    assert '\nlock_manager = "lockd"\n' in text


def test_a_setting_that_changes_while_it_is_edited(root: Path) -> None:
    with waiting_writer(root, *WRITERS["set"]) as process:
        with conf(root).open("ab") as file:
            file.write(b'lock_manager = "sanlock"\n')
        before = snapshot(root)
    ran = finish(process)
    assert_one_error(ran, conf(root), "'lock_manager' was changed by another program")
    assert "help: check the new value and try again" in ran.err
    assert snapshot(root) == before


@pytest.mark.parametrize("become", ["a directory", "a pipe", "a dangling link", "a socket"])
def test_a_file_that_becomes_something_else_while_it_is_edited(root: Path, become: str) -> None:
    with waiting_writer(root, *WRITERS["set"]) as process:
        conf(root).unlink()
        BAD[become].make(conf(root))
        before = snapshot(root)
    ran = finish(process)
    assert_one_error(ran, conf(root), "")
    assert snapshot(root) == before


def test_a_second_writer_that_does_not_end(root: Path) -> None:
    before = snapshot(root)
    with waiting_writer(root, *WRITERS["set"]) as process:
        process.wait(TIMEOUT)
    ran = finish(process)
    assert_one_error(ran, root / "etc/libvirt", "another lockcfg is writing here")
    assert "help: wait for it to end and try again" in ran.err
    assert snapshot(root) == before


def test_many_writers_at_once_lose_no_edit(root: Path) -> None:
    keys = sample_integers()[:6]
    assert len(keys) == 6

    def start(key: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [LOCKCFG, "set", key, "1", "--root", root],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )

    left = list(keys)
    rounds = 0
    while left:
        rounds += 1
        assert rounds <= 20
        processes = {key: start(key) for key in left}
        left = []
        for key, process in processes.items():
            _, err = process.communicate(timeout=TIMEOUT)
            assert process.returncode in (0, 3), err
            if process.returncode == 3:
                # Not the first to write what they had all read: to be said, and no harm done.
                assert "was changed by another program in the meantime" in err
                left.append(key)
    text = conf(root).read_text()
    for key in keys:
        assert len(re.findall(rf"^{key} = 1$", text, re.MULTILINE)) == 1
    assert (
        re.sub(r"^[a-z_]+ = 1\n", "", text, flags=re.MULTILINE)
        == (SAMPLES / "qemu.conf").read_text()
    )
    assert sorted(os.listdir(root / "etc/libvirt")) == sorted(NAMES)


def sample_integers() -> list[str]:
    """Settings of qemu.conf that are 0 or 1."""
    text = (SAMPLES / "qemu.conf").read_text()
    return re.findall(r"^#([a-z_]+) = [01]$", text, re.MULTILINE)


def failing(call: str, error: str, path: Path, when: str = "1+") -> list[str]:
    """What a command is run with so that the system refuses ``call`` on ``path``."""
    inject = f"inject={call}:error={error}:when={when}"
    # By its path, and by its name in a directory that is open.
    paths = ["-P", str(path), "-P", path.name]
    return ["strace", "-f", "-qq", "-o", "/dev/null", *paths, "-e", inject]


#: The command with names of new files that are known before.
FORESEEN = (
    *(sys.executable, "-c"),
    "import os; os.urandom = bytes; from lockcfg.main import entry; entry()",
)


@pytest.mark.parametrize("command", [*ALL])
def test_a_disk_that_cannot_be_read(root: Path, command: str) -> None:
    before = snapshot(root)
    prefix = failing("read", "EIO", conf(root))
    ran = lockcfg(*ALL[command], "--root", root, prefix=prefix)
    assert_one_error(ran, conf(root), "Input/output error")
    assert snapshot(root) == before


@pytest.mark.parametrize(
    ("command", "status"), [("get", 0), ("show", 0), ("set", 0), ("enable", 0), ("validate", 3)]
)
def test_a_file_that_vanishes_before_it_is_opened(root: Path, command: str, status: int) -> None:
    # It was there when the directory was looked at; it is there again when it is written.
    before = snapshot(root)
    prefix = failing("openat", "ENOENT", conf(root), when="1")
    ran = lockcfg(*ALL[command], "--root", root, prefix=prefix)
    assert ran.status == status
    if status == 3:
        assert_one_error(ran, conf(root), "No such file")
    if command in ("set", "enable"):  # then it is read again
        assert lockcfg("get", "lock_manager", "--root", root).out == "lockd\n"
        assert len(conf(root).read_text()) > 10_000
    else:
        assert snapshot(root) == before


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        ("openat", "EACCES", "Permission denied"),
        ("openat", "EDQUOT", "Disk quota exceeded"),
        ("openat", "EMFILE", "Too many open files"),
        ("write", "ENOSPC", "No space left on device"),
        ("write", "EFBIG", "File too large"),
        ("fchmod", "EPERM", "Operation not permitted"),
        ("fchown", "EPERM", "Operation not permitted"),
        ("fsetxattr", "ENOSPC", "No space left on device"),
        ("fsync", "EIO", "Input/output error"),
        ("renameat", "EIO", "Input/output error"),
        ("renameat", "EBUSY", "Device or resource busy"),
    ],
)
@pytest.mark.parametrize("command", ["set", "enable"])
def test_a_system_call_that_fails(
    root: Path, command: str, call: str, error: str, message: str
) -> None:
    os.chown(conf(root), NOBODY, NOBODY)
    os.setxattr(conf(root), "user.note", b"x")
    before = snapshot(root)
    new = conf(root, f".qemu.conf.{bytes(8).hex()}.lockcfg-new")
    prefix = failing(call, error, new)
    ran = lockcfg(*WRITERS[command], "--root", root, prefix=prefix, program=FORESEEN)
    assert_one_error(ran, conf(root), f"cannot be written: {message}")
    assert without_times(snapshot(root)) == without_times(before)


@pytest.mark.parametrize(
    ("call", "error", "written"), [("flock", "ENOLCK", False), ("fsync", "EIO", True)]
)
def test_a_directory_whose_system_call_fails(
    root: Path, call: str, error: str, written: bool
) -> None:
    before = snapshot(root)
    directory = root / "etc/libvirt"
    ran = lockcfg(*WRITERS["set"], "--root", root, prefix=failing(call, error, directory))
    assert_one_error(ran, directory, "cannot be (locked|synced)")
    assert sorted(os.listdir(directory)) == sorted(NAMES)
    if not written:
        assert snapshot(root) == before
    else:
        # The last step failed: the file is the new one, whole.
        assert lockcfg("get", "lock_manager", "--root", root).out == "lockd\n"


@pytest.mark.parametrize("device", ["/dev/full", "a closed pipe"])
@pytest.mark.parametrize("command", ["get", "show", "validate", "set"])
def test_an_output_that_takes_nothing(root: Path, command: str, device: str) -> None:
    if device == "/dev/full":
        write_end = os.open(device, os.O_WRONLY)
    else:
        read_end, write_end = os.pipe()
        os.close(read_end)
    try:
        done = subprocess.run(
            [LOCKCFG, *ALL[command], "--root", root],
            stdout=write_end,
            stderr=subprocess.PIPE,
            timeout=TIMEOUT,
            text=True,
        )
    finally:
        os.close(write_end)
    assert done.returncode == 3
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    # A reader who has seen enough is no error to report; a full disk is.
    assert len(done.stderr.splitlines()) == (1 if device == "/dev/full" else 0)
