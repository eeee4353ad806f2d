"""Which disks ``lockd run`` finds in a command line of QEMU, and which the real QEMU writes."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import subprocess
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import PROGRAM, Engine, wait_for
from tests.lockd.qemu_images import make_images, make_luks

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

#: As little of a machine as takes a disk. It does not run, and so writes nothing.
QEMU: Final = shlex.split(
    "qemu-system-x86_64 -nodefaults -display none -S -m 16 -machine pc,accel=tcg -qmp stdio"
)

#: The bytes of an image that QEMU locks if it may write it, and if no other may.
WRITES: Final = 101
ALONE: Final = 201

#: How wide the first column of the table is.
WIDTH: Final = 13

#: The words of command lines, and the disks that are locked: ``:shared`` by several guests,
#: ``:memory`` where it is no disk to QEMU.
CASES: Final = {
    words.strip(): disks
    for line in (Path(__file__).parent / "qemu_command_lines.txt").read_text().splitlines()
    if line and not line.startswith("#")
    for disks, words in [(line[:WIDTH].strip(), line[WIDTH:])]
}


class Images:
    """A directory with disks of each kind, an NBD server, and lockd."""

    def __init__(self, directory: Path) -> None:
        self.directory: Final = directory / "disks"
        self.directory.mkdir()
        for name in ("a", "b", "c", "base", "with,comma", "with blank", "pflash"):
            (self.directory / name).write_bytes(bytes(1 << 20))
        make_images(self.directory)
        make_luks(self.directory)
        self._stack: Final = ExitStack()
        configuration = {
            "qemu.conf": 'lock_manager = "lockd"\n',
            "qemu-lockd.conf": f'file_lockspace_dir = "{directory}/lockspace"\n',
        }
        self.engine = self._stack.enter_context(Engine(directory, files=configuration))
        self._stack.enter_context(nbd_server(self.directory / "nbd"))

    def close(self) -> None:
        """End what runs."""
        self._stack.close()

    @contextmanager
    def running(self, words: str) -> Iterator[int]:
        """QEMU runs under ``lockd run``; its pid."""
        enter = ("nsenter", "--target", str(self.engine.process.pid), "--mount", "--")
        with open(self.directory / "a", "r+b") as file:
            words = words.replace("D/", f"{self.directory}/").replace("FD", str(file.fileno()))
            process = subprocess.Popen(
                [*enter, PROGRAM, "run", "--", *QEMU, *shlex.split(words)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                pass_fds=[file.fileno()],
            )
        with process:
            assert process.stdin is not None
            assert process.stdout is not None
            assert process.stderr is not None
            try:
                process.stdin.write('{"execute": "qmp_capabilities"} {"execute": "query-status"}')
                process.stdin.flush()
                while '"status"' not in (said := process.stdout.readline()):
                    assert said, process.stderr.read()
                yield process.pid
            finally:
                process.kill()

    def written(self, pid: int) -> dict[str, bool]:
        """The disks that this QEMU may write, by their names, and whether others may, too."""
        return {
            os.path.relpath(path, self.directory): ALONE not in locks
            for path, locks in locks_of(pid).items()
            if WRITES in locks and path.startswith(f"{self.directory}/")
        }

    def locked(self) -> dict[str, bool]:
        """The disks that are locked, and whether the lock is shared."""
        held = {
            os.path.basename(path): locks[0] == "READ"
            for path, locks in locks_of(self.engine.pid).items()
            if 0 in locks and os.path.dirname(path) == str(self.engine.lockspace)
        }
        names = {
            hashlib.sha256(os.fsencode(disk)).hexdigest(): disk.name
            for disk in self.directory.iterdir()
        }
        return {names.get(name, name): shared for name, shared in held.items()}


def locks_of(pid: int) -> dict[str, dict[int, str]]:
    """The bytes that a process has locked in files, by their paths, and how."""
    found: dict[str, dict[int, str]] = {}
    for fd in os.listdir(f"/proc/{pid}/fd"):
        try:
            told = Path(f"/proc/{pid}/fdinfo/{fd}").read_text()
        except FileNotFoundError:
            continue  # it has just been closed
        for kind, first, last in re.findall(r"OFDLCK .* (READ|WRITE) .* (\d+) (\d+)$", told, re.M):
            bytes_of = found.setdefault(os.readlink(f"/proc/{pid}/fd/{fd}"), {})
            bytes_of |= dict.fromkeys(range(int(first), int(last) + 1), kind)
    return found


@contextmanager
def nbd_server(address: Path) -> Iterator[None]:
    """A server of a disk."""
    words = [
        *("--blockdev", "driver=null-co,node-name=n,read-zeroes=on"),
        *("--nbd-server", f"addr.type=unix,addr.path={address}"),
        *("--export", "type=nbd,id=e,node-name=n,name=,writable=on"),
    ]
    with subprocess.Popen(["qemu-storage-daemon", *words]) as process:
        try:
            wait_for(address.exists, "the NBD server is there")
            yield
        finally:
            process.kill()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Images]:
    """The disks of all cases."""
    images = Images(tmp_path_factory.mktemp("run"))
    yield images
    images.close()


@pytest.mark.parametrize("words", CASES)
def test_what_qemu_writes_is_locked(images: Images, words: str) -> None:
    names = [each.partition(":") for each in shlex.split(CASES[words]) if each != "-"]
    meant = {name: how == "shared" for name, _, how in names}
    of_memory = {name for name, _, how in names if how == "memory"}
    with images.running(words) as pid:
        writes = images.written(pid)
        assert {*writes} | of_memory == {*meant}, "QEMU does not what this test believes"
        assert images.locked() == meant
        # Nothing is shared that QEMU would not share.
        assert not [name for name, shared in meant.items() if shared and not writes[name]]


def test_a_descriptor_of_what_has_no_name(images: Images) -> None:
    """No lock would be another guest's, too."""
    enter = ("nsenter", "--target", str(images.engine.process.pid), "--mount", "--")
    fd = os.memfd_create("disk")
    words = ["--dry-run", "--", *QEMU, "-drive", f"file=/dev/fd/{fd},format=raw"]
    done = subprocess.run(
        [*enter, PROGRAM, "run", *words], capture_output=True, text=True, pass_fds=[fd], timeout=60
    )
    os.close(fd)
    assert done.returncode == 2
    assert f"its descriptor {fd} is not a file that has a name" in done.stderr
