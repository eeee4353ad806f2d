"""A writer is killed at every system call, and each file is the old one or the new one.

The command runs in a child of the test that is traced with ptrace(2): it stops before each
system call, and at the call whose turn it is it gets SIGKILL and the call is not made. What the
calls before it did stays, and nothing else. The child is forked rather than started, so that
one run takes milliseconds; that the program's own process makes the same calls in the same
order, a run of it under strace shows.

A call that only reads leaves everything as it was, so a kill behind it is the kill before it. These
are left out, but in a long run.
"""

from __future__ import annotations

import ctypes
import itertools
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING, NamedTuple

import pytest

from lockcfg.main import main
from tests.conftest import LOCKCFG, SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import Final


NOBODY: Final = 65534
MODES: Final = {"qemu.conf": 0o640, "qemu-lockd.conf": 0o604}
LABEL: Final = b"system_u:object_r:virt_etc_t:s0\0"

LOCKSPACES: Final = ("file_lockspace_dir", "lvm_lockspace_dir", "scsi_lockspace_dir")

# <sys/ptrace.h>
_TRACEME: Final = 0
_SYSCALL: Final = 24
_SETOPTIONS: Final = 0x4200
_O_TRACESYSGOOD: Final = 1
_O_EXITKILL: Final = 0x100000
_SYSCALL_STOP: Final = signal.SIGTRAP | 0x80
_GET_SYSCALL_INFO: Final = 0x420E

#: The calls that only read, by their numbers on x86-64: read, close, stat, fstat, lstat, lseek,
#: mmap, mprotect, munmap, brk, the signals' own, ioctl, pread64, access, getpid, getcwd, readlink,
#: the users' own, prctl, getxattr and listxattr, futex, getdents64, newfstatat, readlinkat,
#: faccessat, getrandom, statx, faccessat2. And openat, if it does not create.
_READS: Final = {
    *(0, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13, 14, 16, 17, 21, 39, 79, 89, 102, 104, 107, 108, 157),
    *(191, 192, 193, 194, 195, 196, 202, 217, 262, 267, 269, 318, 332, 439),
}
_OPENAT: Final = 257
_X86_64: Final = 0xC000003E

_libc: Final = ctypes.CDLL(None, use_errno=True)
_libc.ptrace.argtypes = (ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p)
_libc.ptrace.restype = ctypes.c_long


def ptrace(request: int, pid: int, data: int = 0) -> None:
    if _libc.ptrace(request, pid, None, data) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"ptrace: {os.strerror(number)}")


def killed_at(call: int, work: Callable[[], int], reads: list[bool] | None = None) -> bool:
    """Do ``work`` in a child, killed before its system call number ``call`` (from 1).

    False if it came to its end with fewer calls, which must then be a good one. ``reads`` gets
    for each call whether it only reads.
    """
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            ptrace(_TRACEME, 0)
            os.kill(os.getpid(), signal.SIGSTOP)
            status = work()
        except BaseException:  # noqa: BLE001
            traceback.print_exc()
        finally:
            os._exit(status)
    _, state = os.waitpid(pid, 0)
    assert os.WIFSTOPPED(state), "it could not be traced"
    assert os.WSTOPSIG(state) == signal.SIGSTOP
    ptrace(_SETOPTIONS, pid, _O_TRACESYSGOOD | _O_EXITKILL)
    stops = 0
    passed_on = 0
    while True:
        ptrace(_SYSCALL, pid, passed_on)
        _, state = os.waitpid(pid, 0)
        if os.WIFEXITED(state):
            assert os.WEXITSTATUS(state) == 0
            return False
        assert os.WIFSTOPPED(state), f"it ended by signal {os.WTERMSIG(state)}"
        if os.WSTOPSIG(state) != _SYSCALL_STOP:
            passed_on = os.WSTOPSIG(state)
            continue
        passed_on = 0
        stops += 1  # one before each call and one after it
        if reads is not None and stops % 2:
            reads.append(only_reads(pid))
        if stops == 2 * call - 1:
            os.kill(pid, signal.SIGKILL)
            _, state = os.waitpid(pid, 0)
            assert os.WIFSIGNALED(state)
            assert os.WTERMSIG(state) == signal.SIGKILL
            return True


class SyscallInfo(ctypes.Structure):
    """What the kernel tells of a call that is about to be made (ptrace(2))."""

    _fields_ = (
        ("op", ctypes.c_uint8),
        ("padding", ctypes.c_uint8 * 3),
        ("architecture", ctypes.c_uint32),
        ("instruction", ctypes.c_uint64),
        ("stack", ctypes.c_uint64),
        ("number", ctypes.c_uint64),
        ("arguments", ctypes.c_uint64 * 6),
        ("more", ctypes.c_uint64 * 4),
    )


def only_reads(pid: int) -> bool:
    """Whether the call that a stopped process is about to make leaves all files as they are."""
    info = SyscallInfo()
    size = ctypes.sizeof(info)
    if _libc.ptrace(_GET_SYSCALL_INFO, pid, size, ctypes.addressof(info)) < 0:
        return False
    if info.architecture != _X86_64:
        return False
    if info.number == _OPENAT:
        return not info.arguments[2] & os.O_CREAT
    return info.number in _READS


def run(*arguments: str) -> int:
    """The command, in this process and in silence."""
    out, err = sys.stdout, sys.stderr
    with open(os.devnull, "w") as null:
        sys.stdout = sys.stderr = null
        try:
            return main(arguments)
        finally:
            sys.stdout, sys.stderr = out, err


class File(NamedTuple):
    """What is kept of a file, besides its bytes."""

    mode: int
    owner: tuple[int, int]
    attributes: tuple[tuple[str, bytes], ...]


def file(path: Path) -> File:
    status = path.stat()
    return File(
        stat.S_IMODE(status.st_mode),
        (status.st_uid, status.st_gid),
        tuple((name, os.getxattr(path, name)) for name in sorted(os.listxattr(path))),
    )


class Case(NamedTuple):
    """A command, and the state of the host before it."""

    arguments: tuple[str, ...]
    prepare: Callable[[Path], None]
    changes: tuple[str, ...]
    backup: str = ""


def nothing(_: Path) -> None:
    pass


def enabled(root: Path) -> None:
    assert run("enable", "--root", str(root), *lockspace_options()) == 0


def linked(root: Path) -> None:
    """Both files behind symbolic links, in directories of their own."""
    for name in MODES:
        path = root / "etc/libvirt" / name
        real = root / "real" / name / f"{name}.real"
        real.parent.mkdir(parents=True)
        path.rename(real)
        path.symlink_to(os.path.relpath(real, path.parent))


def without_lockd(root: Path) -> None:
    (root / "etc/libvirt/qemu-lockd.conf").unlink()


def lockspace_options() -> list[str]:
    options: list[str] = []
    for key in LOCKSPACES:
        options += ["--" + key.removesuffix("_dir").replace("_", "-"), f"/srv/locks/{key}"]
    return options


BOTH: Final = ("qemu-lockd.conf", "qemu.conf")

CASES: Final = {
    "set": Case(("set", "lock_manager", "lockd"), nothing, ("qemu.conf",)),
    "set with a backup": Case(
        ("set", "lock_manager", "lockd", "--backup"), nothing, ("qemu.conf",), ".bak"
    ),
    "set in a new file": Case(
        ("set", "file_lockspace_dir", "/srv/locks"), without_lockd, ("qemu-lockd.conf",)
    ),
    "enable": Case(("enable", *lockspace_options()), nothing, BOTH),
    "enable with a backup": Case(
        ("enable", *lockspace_options(), "--backup"), nothing, BOTH, ".bak"
    ),
    "enable behind links": Case(("enable", *lockspace_options()), linked, BOTH),
    "enable with a new file": Case(("enable", *lockspace_options()), without_lockd, BOTH),
    "disable": Case(("disable", "--lockspaces"), enabled, BOTH),
}


class Bench:
    """One host to kill writers on, over and over."""

    def __init__(self, root: Path, case: Case) -> None:
        self.root = root
        self.case = case
        self.pristine = root.with_name("pristine")
        directory = self.pristine / "etc/libvirt"
        directory.mkdir(parents=True)
        for name, mode in MODES.items():
            path = directory / name
            shutil.copyfile(SAMPLES / name, path)
            os.chown(path, NOBODY, 7)
            path.chmod(mode)
            os.setxattr(path, "user.note", b"x")
            os.setxattr(path, "security.selinux", LABEL)
        case.prepare(self.pristine)
        self.reset()
        self.old = self.texts()
        self.kept = self.files()
        assert self.work() == 0
        self.new = self.texts()
        assert [name for name in MODES if self.old[name] != self.new[name]] == sorted(
            case.changes, reverse=True
        )

    def reset(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)
        subprocess.run(["cp", "-a", self.pristine, self.root], check=True)

    def work(self) -> int:
        return self.run(*self.case.arguments)

    def run(self, *arguments: str) -> int:
        return run(arguments[0], "--root", str(self.root), *arguments[1:])

    def path(self, name: str) -> Path:
        return self.root / "etc/libvirt" / name

    def texts(self) -> dict[str, bytes | None]:
        return {
            name: self.path(name).read_bytes() if self.path(name).exists() else None
            for name in MODES
        }

    def files(self) -> dict[str, File]:
        return {name: file(self.path(name)) for name in MODES if self.path(name).exists()}

    def tree(self) -> frozenset[object]:
        """All that is there: of two runs that leave the same, the next one does the same."""
        return frozenset(
            (
                path.relative_to(self.root),
                path.readlink() if path.is_symlink() else (file(path), path.stat().st_nlink),
                path.read_bytes() if path.is_file() else b"",
            )
            for path in self.root.rglob("*")
        )

    def hidden(self) -> list[str]:
        return [path.name for path in self.root.rglob(".*")]

    def check(self) -> tuple[str, ...]:
        """Each file is whole and one of two; which ones, in the order of MODES."""
        texts = self.texts()
        state: list[str] = []
        for name, text in texts.items():
            assert text in (self.old[name], self.new[name]), (name, text)
            state.append("new" if text == self.new[name] else "old")
        for name, kept in self.files().items():
            if name in self.kept:
                assert kept == self.kept[name]
            else:
                assert kept.mode == 0o644
        texts_in_force = [texts["qemu.conf"] or b"", texts["qemu-lockd.conf"] or b""]
        if re.search(rb"^lock_manager", texts_in_force[0], re.M) and len(self.case.changes) > 1:
            # Switched on means: with all of the lockspaces.
            for key in LOCKSPACES:
                assert re.search(rb"^%b = " % key.encode(), texts_in_force[1], re.M)
        if self.case.backup:
            for name in self.case.changes:
                backup = self.path(name + self.case.backup)
                if backup.exists():
                    assert backup.read_bytes() == self.old[name]
                    assert file(backup) == self.kept[name]
                else:
                    assert texts[name] == self.old[name]
        return tuple(state)

    def go_on(self) -> None:
        """The next writer finds no trace of it."""
        assert self.work() == 0
        assert self.texts() == self.new
        assert self.run("set", "max_processes", "7", "require_lease_for_disks", "1") == 0
        assert self.hidden() == []
        assert b"max_processes = 7\n" in self.path("qemu.conf").read_bytes()


@pytest.fixture
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    return Bench(tmp_path / "host", CASES[request.param])


@pytest.mark.parametrize("bench", CASES, indirect=True)
def test_killed_at_any_system_call_it_leaves_whole_files(
    bench: Bench, pytestconfig: pytest.Config
) -> None:
    outcomes: list[tuple[str, ...]] = []
    seen: set[frozenset[object]] = set()
    dirty = 0
    is_dirty = False
    reads: list[bool] = []
    bench.reset()
    assert not killed_at(sys.maxsize, bench.work, reads)
    everywhere = pytestconfig.getoption("--exhaustive")
    for call in itertools.count(1):
        if not everywhere and 1 < call <= len(reads) and reads[call - 2]:
            # As it was before the call that only read.
            outcomes.append(outcomes[-1])
            dirty += is_dirty
            continue
        bench.reset()
        killed = killed_at(call, bench.work)
        outcomes.append(bench.check())
        if not killed:
            break
        is_dirty = bool(bench.hidden())
        dirty += is_dirty
        tree = bench.tree()
        if tree not in seen:
            seen.add(tree)
            bench.go_on()
    print(
        f"killed at {call - 1} system calls, which left {len(seen)} trees, {dirty} with leftovers"
    )
    assert bench.hidden() == []
    assert outcomes[-1] == ("new", "new") if len(bench.case.changes) > 1 else "new" in outcomes[-1]
    assert call > 30
    assert dirty >= 5
    assert len(seen) >= 5
    # In the order of the calls: all old, then one after the other new, and never back.
    states = list(dict.fromkeys(outcomes))
    assert len(states) == len(bench.case.changes) + 1
    assert outcomes == sorted(outcomes, key=states.index)


CALLS: Final = (
    "flock",
    "openat",
    "write",
    "fchmod",
    "fchown",
    "fsetxattr",
    "fsync",
    "fdatasync",
    "link",
    "linkat",
    "rename",
    "renameat",
    "renameat2",
    "unlink",
    "unlinkat",
)


def traced(root: Path, *command: str) -> list[str]:
    """The calls of :data:`CALLS` that a command makes below ``root``: each with its last path."""
    log = root.with_name("log")
    # A '?' as not every architecture has all of them.
    trace = ["strace", "-f", "-y", "-o", str(log), "-e", "trace=?" + ",?".join(CALLS)]
    subprocess.run([*trace, *command], check=True, capture_output=True)
    calls: list[str] = []
    for line in log.read_text().splitlines():
        match = re.match(r"\d+ +([a-z]+?)(?:at2?)?\((.*)\) += ", line)
        if match is None or str(root) not in match[2]:
            continue
        # A name in a directory that is open, or what -y says a descriptor is.
        named = match[1] in ("open", "rename", "link", "unlink")
        paths = re.findall(r'"([^"]*)"' if named else "<(/[^>]*)>", match[2])
        name = os.path.basename(paths[-1])
        calls.append(f"{match[1]} {re.sub('[.][0-9a-f]{16}(?=[.]lockcfg)', '', name)}")
    return calls


def test_the_program_itself_syncs_a_new_file_before_it_renames_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "host", CASES["enable"])
    bench.reset()
    arguments = ["enable", "--root", str(bench.root), *lockspace_options()]
    calls = traced(bench.root, str(LOCKCFG), *arguments)
    assert bench.texts() == bench.new

    def of(name: str) -> list[str]:
        new = f".{name}.lockcfg-new"
        return [
            f"write {new}",
            f"fchown {new}",
            f"fchmod {new}",
            f"fsetxattr {new}",
            f"fsync {new}",
        ]

    wanted = [
        "flock libvirt",
        *of("qemu-lockd.conf"),
        *of("qemu.conf"),
        "rename qemu-lockd.conf",
        "rename qemu.conf",
        "fsync libvirt",
        "open qemu-lockd.conf",
        "open qemu.conf",
    ]
    rest = iter(calls)
    missing = [call for call in wanted if call not in rest]
    assert missing == [], calls
    assert not [call for call in calls if call.startswith("write ") and "-new" not in call]


def test_a_kill_is_a_kill_and_not_an_end(tmp_path: Path) -> None:
    # The ptrace driver itself: the call whose turn it is is not made, the one before is.
    made = [tmp_path / str(number) for number in range(5)]

    def work() -> int:
        for path in made:
            os.mkdir(path)  # one system call each
        return 0

    call = 1
    seen: list[int] = []
    while killed_at(call, work):
        seen.append(sum(path.exists() for path in made))
        for path in made:
            shutil.rmtree(path, ignore_errors=True)
        call += 1
    assert sorted(seen) == seen
    assert set(seen) == {0, 1, 2, 3, 4, 5}
    assert seen.count(1) == seen.count(4) == 1
