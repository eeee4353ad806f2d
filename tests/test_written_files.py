"""What every writer does in a directory where others may put what they like.

Each one runs as a program. What it opens to write is watched from outside, so that a writer that
is added is held to the same: a new file under an unpredictable name, and nothing that was
there is followed or opened.
"""

from __future__ import annotations

import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from lockcfg.fleet.snapshots import collector
from tests.conftest import LOCKCFG
from tests.fleet.fleets import write_fleet

#: A user who is not root, and who plants files.
SOMEBODY = 65534

#: The writers: the command, with FILE for what it writes.
WRITERS = {
    "the collector": ["/usr/bin/python3", "-I", str(collector.__file__), "--output", "FILE"],
    "collect --output": [str(LOCKCFG), "collect", "--output", "FILE"],
    "audit --output-file": [str(LOCKCFG), "audit", "--output-file", "FILE", "fleet"],
    "the page": [str(LOCKCFG), "audit", "--format", "html", "--output-file", "FILE", "fleet"],
    "the fleet store": [str(LOCKCFG), "audit", "--partial", "FILE", "fleet"],
    "audit --watch": [
        *(str(LOCKCFG), "audit", "--watch", "fleet", "--once", "--store", "kept"),
        *("--page", "FILE"),
    ],
    "the first policy": [str(LOCKCFG), "audit", "--write-policy", "FILE", "fleet"],
    "lint --output-file": [str(LOCKCFG), "lint", "--output-file", "FILE", "hosts"],
    "the baseline": [str(LOCKCFG), "lint", "--write-baseline", "FILE", "hosts"],
}

#: What may be there: what it is called, and whether the writer replaces or refuses it.
PLANTS = {
    "a link to a file": True,
    "a link to nothing": True,
    "a link to a directory": True,
    "a hard link": True,
    "a pipe": False,
    "a device": False,
    "a directory": False,
}

SECRET = "the victim's\n"


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory that every user may write."""
    for above in (tmp_path, *tmp_path.parents):
        if above.owner() == "root" and not above.stat().st_mode & 0o001:
            above.chmod(0o755)
    directory = tmp_path / "shared"
    directory.mkdir()
    (tmp_path / "victim").write_text(SECRET)
    (tmp_path / "home").mkdir()
    write_fleet(tmp_path / "fleet", {"kvm01": {}, "kvm02": {"qemu.conf": ""}})
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts/qemu.conf").write_text('lock_managr = "lockd"\n')
    return directory


def plant(kind: str, path: Path) -> None:
    """Put something in the way that leads to the victim's file."""
    victim = path.parent.parent / "victim"
    if kind == "a link to a file":
        path.symlink_to(victim)
    elif kind == "a link to nothing":
        path.symlink_to(victim.with_name("new"))
    elif kind == "a link to a directory":
        path.symlink_to(victim.with_name("home"))
    elif kind == "a hard link":
        path.hardlink_to(victim)
    elif kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a device":
        os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 3))
    else:
        path.mkdir()
    if kind != "a hard link":
        os.chown(path, SOMEBODY, SOMEBODY, follow_symlinks=False)


def write(writer: str, path: Path) -> subprocess.CompletedProcess[str]:
    """Have the program write there."""
    command = [str(path) if each == "FILE" else each for each in WRITERS[writer]]
    return subprocess.run(
        command, cwd=path.parent.parent, capture_output=True, text=True, timeout=60, check=False
    )


#: Which of them overwrites nothing at all.
POLICY = "the first policy"

#: Every writer with every plant; both kinds of directory for the two that write by themselves.
CASES = [
    (writer, kind, mode)
    for writer in WRITERS
    for kind in PLANTS
    for mode in (0o1777, 0o777)
    if mode == 0o1777 or writer in ("the collector", "the fleet store")
]


@pytest.mark.parametrize(("writer", "kind", "mode"), CASES)
def test_what_is_planted_is_not_written_to(writer: str, kind: str, mode: int, shared: Path) -> None:
    """It is replaced by the file, or the writer says what is in its way."""
    shared.chmod(mode)
    path = shared / "snap.json"
    plant(kind, path)
    result = write(writer, path)
    assert (shared.parent / "victim").read_text() == SECRET
    assert (shared.parent / "victim").stat().st_nlink == 1 + (
        kind == "a hard link" and result.returncode > 1
    )
    assert not (shared.parent / "new").exists()
    assert list((shared.parent / "home").iterdir()) == []
    assert os.listdir(shared) == ["snap.json"], "no draft is left"
    assert "Traceback" not in result.stderr
    if PLANTS[kind] and writer != POLICY:
        assert result.returncode in (0, 1), result.stderr
        assert stat.S_ISREG(path.lstat().st_mode)
        assert path.stat().st_uid == 0
        assert path.stat().st_mode & 0o022 == 0
        assert path.read_bytes().strip()
    else:
        assert result.returncode in (2, 3)
        assert str(path) in result.stderr


STRACE = ("strace", "-f", "-qq", "-y", "-s4096", "-etrace=open,openat,creat,mknod,mknodat")

CREATES = re.compile(r'openat?\((?:\w+(?:<[^>]*>)?, )?"(?P<path>[^"]*)", (?P<flags>[A-Z_|]+)')


def created(writer: str, path: Path) -> list[tuple[str, set[str]]]:
    """The files that a writer makes in the directory of ``path``: names and flags."""
    trace = path.parent.parent / "trace"
    command = [str(path) if each == "FILE" else each for each in WRITERS[writer]]
    subprocess.run(
        [*STRACE, "-o", trace, *command],
        cwd=path.parent.parent,
        capture_output=True,
        check=False,
        timeout=120,
    )
    found: list[tuple[str, set[str]]] = []
    for line in trace.read_text(errors="replace").splitlines():
        call = line.partition(" ")[2].strip()
        if "O_CREAT" not in call and not re.match("creat|mknod|open.*(O_WRONLY|O_RDWR)", call):
            continue
        match = CREATES.match(call)
        assert match, call
        name, flags = match["path"], set(match["flags"].split("|"))
        whole = re.match(r"openat\([^<]*<([^>]*)>", call)
        if whole and not name.startswith("/"):
            name = f"{whole[1]}/{name}"
        if name.startswith(f"{path.parent}/"):
            found.append((name, flags))
    return found


@pytest.mark.parametrize("writer", WRITERS)
def test_a_draft_is_new_and_has_a_name_that_nobody_knows(writer: str, shared: Path) -> None:
    """Twice the same command, and no name is made twice."""
    shared.chmod(0o1777)
    path = shared / "snap.json"
    first = created(writer, path)
    assert first
    if writer == POLICY:  # it makes the file itself, and only if it is missing
        path.unlink()
    again = created(writer, path)
    assert writer == POLICY or not {name for name, _ in first} & {name for name, _ in again}
    for _, flags in (*first, *again):
        assert {"O_CREAT", "O_EXCL", "O_NOFOLLOW"} <= flags


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
@pytest.mark.parametrize("writer", ["the collector", "the page", "the fleet store"])
def test_standard_output_has_its_names(writer: str, name: str, shared: Path) -> None:
    """Which are links, and are not replaced."""
    before = os.readlink("/dev/stdout")
    command = [name if each == "FILE" else each for each in WRITERS[writer]]
    result = subprocess.run(
        command, cwd=shared.parent, capture_output=True, timeout=60, check=False
    )
    assert result.returncode in (0, 1), result.stderr
    assert len(result.stdout) > 100
    assert os.readlink("/dev/stdout") == before


def test_the_program_loads_nothing_from_where_it_is(tmp_path: Path) -> None:
    """It is copied to hosts, and may be run in a directory where others have put modules."""
    (tmp_path / "collect.py").write_bytes(Path(str(collector.__file__)).read_bytes())
    (tmp_path / "cwd").mkdir()
    for directory in (tmp_path, tmp_path / "cwd"):
        for module in ("argparse", "json", "contextlib", "subprocess"):
            (directory / f"{module}.py").write_text(f"open({str(tmp_path / 'loaded')!r}, 'w')\n")
    result = subprocess.run(
        [sys.executable, tmp_path / "collect.py", "--no-probe"],
        cwd=tmp_path / "cwd",
        env={"PYTHONPATH": str(tmp_path / "cwd"), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    with open(tmp_path / "collect.py", "rb") as program:
        piped = subprocess.run(
            ["/usr/bin/python3", "-", "--no-probe"],
            cwd=tmp_path / "cwd",
            stdin=program,
            capture_output=True,
            text=True,
            check=True,
        )
    assert result.stdout.startswith("{")
    assert piped.stdout.startswith("{")
    assert not (tmp_path / "loaded").exists()


def test_what_is_ours_keeps_its_permissions(shared: Path) -> None:
    """A report that only some may read stays one."""
    path = shared / "report"
    path.write_text("old")
    path.chmod(0o600)
    assert write("the page", path).returncode == 1
    assert path.stat().st_mode & 0o7777 == 0o600
    assert path.read_text() != "old"


def test_a_report_that_fails_leaves_the_old_one(shared: Path) -> None:
    """No reader sees half of a file."""
    path = shared / "report"
    path.write_text("old")
    for writer in ("the collector", "the page", "the fleet store", "lint --output-file"):
        command = [str(path) if each == "FILE" else each for each in WRITERS[writer]]
        limit = f"ulimit -f 0; trap '' XFSZ; exec {shlex.join(command)}"
        result = subprocess.run(
            ["bash", "-c", limit],
            cwd=shared.parent,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 3, (writer, result.stderr)
        assert "Traceback" not in result.stderr
        assert path.read_text() == "old"
        assert os.listdir(shared) == ["report"]


@pytest.mark.parametrize("kind", ["a link to a file", "a hard link"])
@pytest.mark.parametrize("command", [["lint", "--fix"], ["lint", "--unsafe-fixes"]])
def test_a_fix_changes_no_file_of_somebody_else(
    command: list[str], kind: str, shared: Path
) -> None:
    """Another user's repository leads root to a file of root's."""
    shared.chmod(0o777)
    victim = shared.parent / "victim"
    victim.write_text('lock_manager = "lockd"\nlock_manager = "lockd"\n')
    before = victim.read_bytes()
    plant(kind, shared / "qemu.conf")
    result = subprocess.run(
        [LOCKCFG, *command, shared], capture_output=True, text=True, timeout=60, check=False
    )
    assert victim.read_bytes() == before
    assert os.listdir(shared) == ["qemu.conf"]
    if kind == "a link to a file":
        assert result.returncode == 3
        assert "a symbolic link of another user" in result.stderr


def test_a_fix_follows_a_link_of_ones_own(shared: Path) -> None:
    """And one of another user to a file of theirs."""
    for owner in (0, SOMEBODY):
        there = shared.parent / "there"
        there.write_text('lock_manager = "lockd"\nlock_manager = "lockd"\n')
        (shared / "qemu.conf").unlink(missing_ok=True)
        (shared / "qemu.conf").symlink_to(there)
        for path in (there, shared / "qemu.conf"):
            os.chown(path, owner, owner, follow_symlinks=False)
        subprocess.run([LOCKCFG, "lint", "--fix", shared], capture_output=True, check=False)
        assert there.read_text() == 'lock_manager = "lockd"\n'
        assert (shared / "qemu.conf").is_symlink()
