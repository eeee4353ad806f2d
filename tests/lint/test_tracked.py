"""Whether version control has a file."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from lockcfg.lint.tracked import Tracked
from tests.lint import codes, lint, write

PASSWORD = 'lock_manager = "lockd"\nvnc_password = "hunter2"\n'


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository with tracked and other files."""
    top = tmp_path / "r"
    names = ["a/qemu.conf", "b c/qemu.conf", "é\n/qemu.conf"]
    write(top, dict.fromkeys(names, PASSWORD))
    subprocess.run(["git", "init", "--quiet", top], check=True)
    (top / os.fsdecode(b"\xff")).mkdir()
    write(top, {os.fsdecode(b"\xff/qemu.conf"): PASSWORD})
    subprocess.run(["git", "-C", top, "add", "--all"], check=True)
    write(top, {"new/qemu.conf": PASSWORD})
    return top


def test_tracked_or_not(repository: Path) -> None:
    """Whatever the file is called, and by whatever path."""
    tracked = Tracked(str(repository))
    for name in ("a", "b c", "é\n", os.fsdecode(b"\xff"), "./a", "new/../a"):
        assert tracked.has(f"{repository}/{name}/qemu.conf") is True, name
    assert tracked.has(f"{repository}/new/qemu.conf") is False
    assert tracked.has(f"{repository}/not/there") is False
    assert tracked.has("/etc/passwd") is False


def test_below_the_top(repository: Path) -> None:
    """The settings may stand anywhere in the repository."""
    assert Tracked(f"{repository}/a").has(f"{repository}/a/qemu.conf") is True


def test_by_a_link(repository: Path, tmp_path: Path) -> None:
    """To the repository, or from a file of it that is not tracked itself."""
    (tmp_path / "link").symlink_to(repository)
    assert Tracked(str(tmp_path / "link")).has(str(tmp_path / "link/a/qemu.conf")) is True
    (repository / "new/libxl.conf").symlink_to("../a/qemu.conf")
    assert Tracked(str(repository)).has(str(repository / "new/libxl.conf")) is True


def test_no_repository_and_no_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not known."""
    assert Tracked(str(tmp_path)).has(str(tmp_path / "x")) is None
    assert Tracked(str(tmp_path / "gone")).has(str(tmp_path / "x")) is None
    monkeypatch.setenv("PATH", str(tmp_path))
    assert Tracked(str(tmp_path)).has(str(tmp_path / "x")) is None


def test_git_is_asked_once(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all files."""
    tracked = Tracked(str(repository))
    assert tracked.has(str(repository / "a/qemu.conf"))
    monkeypatch.setenv("PATH", "")
    assert tracked.has(str(repository / "b c/qemu.conf"))


def test_a_hook_of_another_repository(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Git tells a hook in the environment which repository it is for; this is about ours."""
    other = repository.parent / "other"
    subprocess.run(["git", "init", "--quiet", other], check=True)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    monkeypatch.setenv("GIT_INDEX_FILE", str(other / ".git/index"))
    assert Tracked(str(repository)).has(str(repository / "a/qemu.conf")) is True


def test_a_repository_that_is_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of dotfiles often is."""
    write(tmp_path, {"home/.config/libvirt/qemu.conf": PASSWORD})
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "dotfiles"))
    monkeypatch.setenv("GIT_WORK_TREE", str(tmp_path / "home"))
    subprocess.run(["git", "init", "--quiet"], check=True)
    path = f"{tmp_path}/home/.config/libvirt/qemu.conf"
    assert Tracked(f"{tmp_path}/home").has(path) is False
    subprocess.run(["git", "add", path], check=True)
    assert Tracked(f"{tmp_path}/home").has(path) is True


def test_the_rules_are_told(repository: Path) -> None:
    """A password in version control, and one that all can read."""
    result = lint(repository, select=["LK4"])
    found = {(d.code, Path(d.finding.path).parent.name) for d in result.diagnostics}
    assert found == {
        ("LK401", "a"),
        ("LK401", "b c"),
        ("LK401", "é\n"),
        ("LK401", os.fsdecode(b"\xff")),
        ("LK402", "new"),
    }
    (repository / "new/qemu.conf").chmod(0o600)
    assert codes(lint(repository, select=["LK402"])) == []


def test_what_a_repository_has_git_run_is_not_run(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nor what the environment says: the repository and the caller may belong to any user."""
    marker = repository.parent / "run"
    program = repository.parent / "git"
    program.write_text(f'#!/bin/sh\necho "$0" >>{marker}\nexit 1\n')
    program.chmod(0o755)
    for setting in ("core.fsmonitor", "core.pager", "core.sshCommand", "core.editor"):
        subprocess.run(["git", "-C", repository, "config", setting, program], check=True)
    hooks = repository / ".git/hooks"
    hooks.mkdir(exist_ok=True)
    for hook in ("post-index-change", "fsmonitor-watchman", "query-watchman", "pre-commit"):
        (hooks / hook).write_bytes(program.read_bytes())
        (hooks / hook).chmod(0o755)
    subprocess.run(["git", "-C", repository, "status"], check=False, capture_output=True)
    assert marker.exists(), "git status runs some of them"
    marker.unlink()
    os.utime(repository / "a/qemu.conf")
    for name in ("GIT_EXEC_PATH", "PATH"):
        monkeypatch.setenv(name, f".:{program.parent}")
    for name in ("GIT_TRACE", "GIT_TRACE2", "GIT_TRACE_SETUP"):
        monkeypatch.setenv(name, str(marker))
    monkeypatch.setenv("GIT_PAGER", str(program))
    assert Tracked(str(repository)).has(str(repository / "a/qemu.conf")) is True
    assert not marker.exists()
