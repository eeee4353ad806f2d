"""The wheel works where there is no checkout."""

from __future__ import annotations

import subprocess
import sys
import venv
from pathlib import Path

import pytest

from benchmarks.made_up_fleet import demo
from tests.fleet.fleets import write_fleet
from tests.lockd.engine import Engine

PROJECT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bin directory of an environment with nothing in it but the wheel and what it needs."""
    directory = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir"]
    subprocess.run([*build, directory, PROJECT], check=True, capture_output=True)
    (wheel,) = directory.glob("lockcfg-*.whl")
    venv.create(directory / "env", with_pip=True)
    pip = directory / "env/bin/pip"
    for arguments in (
        f"--require-hashes -r {PROJECT}/requirements-build.txt",
        f"--require-hashes --no-build-isolation --use-pep517 -r {PROJECT}/requirements.txt",
        f"--no-deps {wheel}",
    ):
        subprocess.run([pip, "install", "-q", *arguments.split()], check=True, cwd="/")
    return directory / "env/bin"


def test_the_installed_command_edits_real_files(installed: Path, host_root: Path) -> None:
    """Lenses and schemas are found, far from the checkout."""

    def run(*arguments: str) -> str:
        command = [str(installed / "lockcfg"), *arguments, "--root", str(host_root)]
        result = subprocess.run(
            command, check=True, capture_output=True, text=True, cwd="/", env={"PATH": "/usr/bin"}
        )
        return result.stdout

    assert "changed" in run("set", "lock_manager", "lockd")
    assert run("get", "lock_manager") == "lockd\n"
    assert "depends" in run("show") or "this host" in run("show")
    assert run("validate") == "0 findings in 4 files\n"


def test_the_installed_schemas_are_in_the_package(installed: Path) -> None:
    """And not by luck those of the checkout."""
    result = subprocess.run(
        [installed / "lockcfg", "schema", "--path", "qemu.conf"],
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
    )
    path = Path(result.stdout.strip())
    assert path.is_file()
    assert path.is_relative_to(installed.parent)


def test_the_installed_audit_writes_a_page(installed: Path, tmp_path: Path) -> None:
    """The template, its style and its script are in the package."""
    write_fleet(tmp_path / "snapshots", demo())
    command = [str(installed / "lockcfg"), "audit", "--format", "html"]
    command.append(str(tmp_path / "snapshots"))
    result = subprocess.run(command, capture_output=True, text=True, cwd="/")
    assert result.returncode == 1, result.stderr
    assert "<title>Disk locks of 12 hosts</title>" in result.stdout
    assert "prefers-color-scheme" in result.stdout
    assert "addEventListener" in result.stdout


def test_the_library_is_typed(installed: Path) -> None:
    """py.typed is in the wheel."""
    program = "import lockcfg, os; print(os.path.dirname(lockcfg.__file__))"
    result = subprocess.run(
        [installed / "python", "-c", program], check=True, capture_output=True, text=True, cwd="/"
    )
    assert (Path(result.stdout.strip()) / "py.typed").is_file()


def test_the_installed_engine_starts(installed: Path, tmp_path: Path) -> None:
    """It checks a configuration, which takes lenses and schemas, holds a lock and tells of it."""
    with Engine(tmp_path, command=[installed / "lockd"]) as engine:
        client = engine.client()
        client.register("guest", 4242)
        client.acquire(engine.lockspace, "disk")
        asked = subprocess.run(
            [installed / "lockd", "locks", "--socket", engine.admin_socket],
            check=True,
            capture_output=True,
            text=True,
            cwd="/",
        )
        assert "guest" in asked.stdout
