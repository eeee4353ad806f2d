"""The hook for pre-commit, run by the real one, which installs this project to do so."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lockcfg.conf.files import KINDS
from lockcfg.lint.settings_search import FILE_NAME

PROJECT = Path(__file__).parent.parent
PRE_COMMIT = Path(sys.executable).parent / "pre-commit"

#: What is in a checkout and not in the repository.
NOT_OURS = shutil.ignore_patterns(
    ".git", ".venv", "__pycache__", ".*_cache", ".demo", ".hypothesis", ".vm"
)

LOCKD = 'lock_manager = "lockd"\n'
LOCKSPACE = 'file_lockspace_dir = "/srv/locks/files"\n'


class Repository:
    """A git repository of configurations, in which the hook is installed."""

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self.path = path
        self._environment = environment

    def run(self, *command: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a command in it; what it prints is in ``stdout``, all of it."""
        return subprocess.run(
            command,
            cwd=self.path,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def write(self, files: dict[str, str]) -> None:
        """Write files and stage them."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        assert self.run("git", "add", "--all").returncode == 0

    def commit(self) -> tuple[int, str]:
        """Commit what is staged: the status and what the hook printed."""
        result = self.run("git", "commit", "--message", "change")
        return result.returncode, result.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a user who has nothing set, with the pinned versions of what lockcfg needs."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    home = tmp_path_factory.mktemp("home")
    # pip would ask for the hash of the checkout as well.
    pins = re.findall(r"^[\w.-]+==[^ ]+", (PROJECT / "requirements.txt").read_text(), re.MULTILINE)
    (home / "pins.txt").write_text("\n".join(pins))
    return kept | {
        "HOME": str(home),
        "PRE_COMMIT_HOME": str(home / "pre-commit"),
        "PIP_CONSTRAINT": str(home / "pins.txt"),
        "PATH": f"{PRE_COMMIT.parent}:{os.environ['PATH']}",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "A",
        "GIT_AUTHOR_EMAIL": "a@example.org",
        "GIT_COMMITTER_NAME": "A",
        "GIT_COMMITTER_EMAIL": "a@example.org",
    }


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Repository:
    """This project as a repository that others can name, with what is not committed yet."""
    path = tmp_path_factory.mktemp("source") / "lockcfg"
    shutil.copytree(PROJECT, path, ignore=NOT_OURS)
    repository = Repository(path, environment)
    for command in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "all"]):
        result = repository.run("git", *command)
        assert result.returncode == 0, result.stdout
    return repository


@pytest.fixture
def repository(tmp_path: Path, source: Repository, environment: dict[str, str]) -> Repository:
    """One host, whose files are fine, and the hook as docs/guides/ci.md says."""
    path = tmp_path / "configurations"
    path.mkdir()
    repository = Repository(path, environment)
    assert repository.run("git", "init", "--quiet").returncode == 0
    assert repository.run(PRE_COMMIT, "install").returncode == 0
    configure(repository, source)
    repository.write({"kvm01/qemu.conf": LOCKD, "kvm01/qemu-lockd.conf": LOCKSPACE})
    status, printed = repository.commit()
    assert status == 0, printed
    assert "Passed" in printed
    return repository


def configure(repository: Repository, source: Repository, *arguments: str) -> None:
    """Write .pre-commit-config.yaml."""
    revision = source.run("git", "rev-parse", "HEAD").stdout.strip()
    hook: dict[str, object] = {"id": "lockcfg-lint"}
    if arguments:
        hook["args"] = list(arguments)
    repos = [{"repo": str(source.path), "rev": revision, "hooks": [hook]}]
    repository.write({".pre-commit-config.yaml": yaml.safe_dump({"repos": repos})})


def test_a_commit_of_a_bad_file_is_refused(repository: Repository) -> None:
    """And goes through when it is fixed."""
    repository.write({"kvm01/qemu.conf": 'lock_managr = "lockd"\n'})
    status, printed = repository.commit()
    assert status == 1
    assert "kvm01/qemu.conf:1:1: warning: unknown setting 'lock_managr'" in printed
    repository.write({"kvm01/qemu.conf": f"# mended\n{LOCKD}"})
    status, printed = repository.commit()
    assert status == 0, printed


def test_a_file_is_looked_at_with_those_beside_it(repository: Repository) -> None:
    """Only one of them is in the commit, and what is wrong is what they say together."""
    repository.write({"kvm01/qemu-lockd.conf": f"auto_disk_leases = 0\n{LOCKSPACE}"})
    status, printed = repository.commit()
    assert status == 1
    assert "LK204 dead-lockspace" in printed


def test_a_change_of_the_settings_makes_it_run(repository: Repository) -> None:
    """They decide what is found."""
    repository.write({".lockcfg.yaml": "guests: 5000\n"})
    status, printed = repository.commit()
    assert status == 1
    assert "LK301 max-clients-too-small" in printed


def test_other_files_do_not_make_it_run(repository: Repository) -> None:
    """As of a guest, or of a setting of libvirt that lockcfg knows nothing of."""
    repository.write({"kvm01/libvirtd.conf": "x\n", "kvm01/my-qemu.conf": "x\n", "README": "x\n"})
    status, printed = repository.commit()
    assert status == 0, printed
    assert "Skipped" in printed


def test_it_takes_arguments(repository: Repository, source: Repository) -> None:
    """With --fix, pre-commit stops the commit for a person to look at what was changed."""
    configure(repository, source, "--fix")
    repository.write({"kvm01/qemu.conf": f'{LOCKD}max_files = "5"\n'})
    status, printed = repository.commit()
    assert status == 1
    assert "files were modified by this hook" in printed
    assert (repository.path / "kvm01/qemu.conf").read_text() == f"{LOCKD}max_files = 5\n"
    repository.write({})
    status, printed = repository.commit()
    assert status == 0, printed


def test_the_manifest_is_one(source: Repository) -> None:
    """By pre-commit's own schema."""
    result = source.run(PRE_COMMIT, "validate-manifest", ".pre-commit-hooks.yaml")
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", [*KINDS, FILE_NAME])
def test_a_change_of_every_file_that_counts_makes_it_run(name: str) -> None:
    """In whatever directory it is; pre-commit searches for the pattern in the path."""
    (hook,) = yaml.safe_load((PROJECT / ".pre-commit-hooks.yaml").read_text())
    for path in (name, f"hosts/kvm01/etc/libvirt/{name}"):
        assert re.search(hook["files"], path)
    for path in (f"my-{name}", f"{name}.j2", f"{name}/file"):
        assert not re.search(hook["files"], path)
