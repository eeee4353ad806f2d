"""What others have planted under the names of the files that lockd writes: it follows no link, adds
to no file that has another name, and waits for no reader of a pipe."""

from __future__ import annotations

import os
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import pytest

from lockd.daemon import heartbeat, virtlockd
from lockd.log import LogError, parse_output
from lockd.survival.restart_file import State
from tests.lockd.engine import PROGRAM, Engine
from tests.test_written_files import PLANTS, SECRET, SOMEBODY, plant


@pytest.fixture
def shared(tmp_path: Path) -> Path:
    """A directory that every user may write, below one with a victim's file."""
    (tmp_path / "victim").write_text(SECRET)
    (tmp_path / "home").mkdir()
    directory = tmp_path / "shared"
    directory.mkdir()
    directory.chmod(0o1777)
    return directory


def untouched(shared: Path) -> bool:
    """Whether what belongs to the victim is as it was."""
    return (
        (shared.parent / "victim").read_text() == SECRET
        and not (shared.parent / "new").exists()
        and not [*(shared.parent / "home").iterdir()]
    )


@pytest.mark.parametrize("kind", PLANTS)
def test_the_pid_file(shared: Path, tmp_path: Path, kind: str) -> None:
    """It does not start with one, says so within a moment, and starts with another."""
    path = shared / "lockd.pid"
    plant(kind, path)
    with pytest.raises(AssertionError, match="Failed to acquire pid file"):
        Engine(tmp_path, "--pid-file", str(path)).__enter__()
    assert untouched(shared)
    with Engine(tmp_path, "--pid-file", str(shared / "other.pid")):
        assert (shared / "other.pid").read_text().isdecimal()


@pytest.mark.parametrize("kind", [*PLANTS, "a file of somebody's"])
def test_the_log(shared: Path, kind: str) -> None:
    """Such an output is refused with the system's words; what is there stays."""
    path = shared / "lockd.log"
    if kind == "a file of somebody's":
        path.touch()
        os.chown(path, SOMEBODY, SOMEBODY)
    else:
        plant(kind, path)
    before = time.monotonic()
    with pytest.raises(LogError, match="failed to open"):
        parse_output(f"1:file:{path}")
    assert time.monotonic() - before < 5
    assert untouched(shared)
    (shared / "again.log").touch()
    parse_output(f"1:file:{shared / 'again.log'}").close()


def test_a_log_that_root_has_led_elsewhere(shared: Path) -> None:
    """In a directory of root's own a link is root's, and followed."""
    (shared.parent / "lockd.log").symlink_to(shared.parent / "elsewhere")
    output = parse_output(f"1:file:{shared.parent / 'lockd.log'}")
    output.write(4, "part", "a message", None)
    output.close()
    assert "a message" in (shared.parent / "elsewhere").read_text()


@pytest.mark.parametrize("kind", PLANTS)
def test_the_file_for_virtlockd(shared: Path, kind: str) -> None:
    """A new file replaces the old one, or fails; the name of its draft is unpredictable."""
    path = shared / "virtlockd-restart-exec.json"
    plant(kind, path)
    path.with_name(f"{path.name}.new").symlink_to(shared.parent / "victim")
    try:
        virtlockd.write(str(path), State(os.getpid(), {}, {}))
    except IsADirectoryError:
        assert kind == "a directory"
    else:
        assert path.stat(follow_symlinks=False).st_mode == 0o100600
    assert untouched(shared)
    assert len([*shared.iterdir()]) == 2


@pytest.mark.parametrize("kind", PLANTS)
def test_the_heartbeat(shared: Path, kind: str) -> None:
    """It is written to a file of its own name alone."""
    directory = shared.rename(shared.parent / heartbeat.DIRECTORY)
    plant(kind, directory / "kvm01")
    with suppress(OSError):
        heartbeat.write(str(shared.parent), "kvm01", {"host": "kvm01"})
    assert untouched(directory)


def test_the_directory_of_the_heartbeats_is_no_link(shared: Path) -> None:
    """Nothing is made where it leads."""
    (shared / heartbeat.DIRECTORY).symlink_to(shared.parent / "home")
    with pytest.raises(OSError, match=r"Not a directory|Too many levels"):
        heartbeat.write(str(shared), "kvm01", {"host": "kvm01"})
    assert untouched(shared)


def test_lockd_names_no_other_file_to_write() -> None:
    """A file that lockd writes is listed above: the calls that make files are these."""
    package = Path(virtlockd.__file__).parent.parent
    assert PROGRAM.exists()
    done = subprocess.run(
        ["grep", "-rlE", 'O_CREAT|open\\([^)]*"[wax]b?"', "--include=*.py", package],
        capture_output=True,
        text=True,
        check=True,
    )
    found = {str(Path(each).relative_to(package)) for each in done.stdout.split()}
    assert found == {
        "daemon/heartbeat.py",
        "daemon/settings.py",  # a pipe of its own
        "daemon/virtlockd.py",
        "kernel/background.py",  # /proc/self/comm
        "kernel/filelock.py",  # lock files: test_planted.py
        "kernel/named.py",  # the same
        "move/takeover.py",  # a mount point in root's own directory
        "ownfile.py",
        "survival/supervisor.py",  # /proc/self/oom_score_adj
    }
