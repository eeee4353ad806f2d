"""The wheel works without a checkout, and wheel and sdist are fit for an index."""

from __future__ import annotations

import email
import importlib.util
import os
import re
import subprocess
import sys
import tomllib
import venv
import zipfile
from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("package", ["lockcfg", "lockd"])
def test_the_library_is_typed(installed: Path, package: str) -> None:
    """py.typed is in the wheel."""
    program = f"import {package}, os; print(os.path.dirname({package}.__file__))"
    result = subprocess.run(
        [installed / "python", "-c", program], check=True, capture_output=True, text=True, cwd="/"
    )
    assert (Path(result.stdout.strip()) / "py.typed").is_file()


def test_what_is_installed_beside_it(installed: Path) -> None:
    """Man pages, and what install-lockd puts in virtlockd's place."""
    share = installed.parent / "share"
    for name in (
        "man/man8/lockcfg.8",
        "man/man8/lockd.8",
        "man/man8/install-lockd.8",
        "lockd/systemd/virtlockd.service",
        "lockd/systemd/virtlockd.socket",
        "lockd/systemd/virtlockd-admin.socket",
        "lockd/init.d/virtlockd",
        "lockd/policy-rc.d",
    ):
        assert (share / name).is_file(), name


def test_the_installed_installer_puts_the_units_in_place(installed: Path) -> None:
    """From an environment, in places of a host in memory, and takes them away again."""
    script = """
        for directory in /run /usr/local /etc/systemd /etc/init.d /etc/libvirt; do
            mount -t tmpfs -o mode=755 tmpfs "$directory"
        done
        "$1/install-lockd" "$1/lockd"
        ls /etc/systemd/system /etc/init.d
        /usr/local/sbin/lockd --version
        "$1/install-lockd" --remove
        find /etc/systemd /etc/init.d /usr/local -type f
    """
    result = subprocess.run(
        [
            "unshare",
            "--mount",
            "--pid",
            "--fork",
            "--mount-proc",
            "sh",
            "-ec",
            script,
            "sh",
            installed,
        ],
        check=True,
        capture_output=True,
        text=True,
        cwd="/",
    )
    assert result.stdout.split()[:-2] == [
        "/etc/init.d:",
        "virtlockd",
        "/etc/systemd/system:",
        "virtlockd-admin.socket",
        "virtlockd.service",
        "virtlockd.socket",
        "lockd",
    ]


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> list[list[Path]]:
    """Two builds of what is committed: in other directories, at other times, with another umask."""
    builds = []
    for name, umask in (("first", "022"), ("second-with-a-longer-name", "077")):
        directory = tmp_path_factory.mktemp(name)
        build = (
            f"{sys.executable} -m build --no-isolation --outdir {directory}/dist {directory}/tree"
        )
        script = f"umask {umask}; git clone -q {PROJECT} {directory}/tree; {build}"
        subprocess.run(["sh", "-ec", script], check=True, capture_output=True)
        builds.append(sorted((directory / "dist").iterdir()))
    return builds


def test_two_builds_are_equal(built: list[list[Path]]) -> None:
    """To the byte, the sdist and the wheel that is built from it."""
    first, second = built
    assert [path.suffix for path in first] == [".whl", ".gz"]
    assert [path.name for path in first] == [path.name for path in second]
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]


@pytest.mark.parametrize("tool", ["twine check --strict", "check_wheel_contents"])
def test_an_index_would_take_it(built: list[list[Path]], tool: str) -> None:
    """By the tools that look at that."""
    paths = [path for path in built[0] if tool.startswith("twine") or path.suffix == ".whl"]
    result = subprocess.run(
        [sys.executable, "-m", *tool.split(), *paths],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stdout + result.stderr


def test_what_it_says_leads_somewhere(built: list[list[Path]]) -> None:
    """No address is made up, and no link leads to what the page of an index is not in."""
    (wheel,) = (path for path in built[0] if path.suffix == ".whl")
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        metadata = email.message_from_bytes(archive.read(name))
    text = metadata.get_payload()
    assert isinstance(text, str)
    home = tomllib.loads((PROJECT / "pyproject.toml").read_text())["tool"]["hatch"]["metadata"]
    home = home["hooks"]["custom"]["home"]
    assert bool(metadata.get_all("Project-URL")) == bool(home)
    for link in re.findall(r"\]\(([^)]*)\)", text):
        assert link == "https://libvirt.org" or (home and link.startswith(home)), link


@pytest.mark.parametrize("home", ["", "https://git.example.org/storage/lockcfg"])
def test_the_links_are_those_of_the_repository(home: str) -> None:
    """Where one is named, each leads to a file that is there, in the version that is described."""
    spec = importlib.util.spec_from_file_location(
        "metadata_hook", PROJECT / "packaging/metadata.py"
    )
    assert spec is not None
    assert spec.loader is not None
    hook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(hook)
    metadata: dict[str, Any] = {"version": "1.2.3"}
    hook.Metadata(str(PROJECT), {"home": home}).update(metadata)
    links = re.findall(r"\]\(([^)]*)\)", metadata["readme"]["text"])
    links.remove("https://libvirt.org")
    if not home:
        assert links == []
        assert "urls" not in metadata
        return
    assert len(links) > 10
    for link in links:
        whole = re.fullmatch(rf"{home}/(?:raw|blob)/v1\.2\.3/([^#]*)(#.*)?", link)
        assert whole is not None, link
        assert (PROJECT / whole[1]).exists(), link
    assert all(address.startswith(home) for address in metadata["urls"].values())


def test_tools_install_it(built: list[list[Path]], tmp_path: Path) -> None:
    """uv puts the programs where they are found; so does pipx, which make release-check tries."""
    (wheel,) = (path for path in built[0] if path.suffix == ".whl")
    environment = {
        **os.environ,
        "UV_TOOL_DIR": f"{tmp_path}/tools",
        "UV_TOOL_BIN_DIR": f"{tmp_path}/bin",
    }
    subprocess.run(
        [Path(sys.executable).parent / "uv", "tool", "install", "--python", sys.executable, wheel],
        check=True,
        capture_output=True,
        env=environment,
    )
    for program in ("lockcfg", "lockd"):
        said = subprocess.run(
            [tmp_path / "bin" / program, "--version"], capture_output=True, text=True, check=True
        )
        assert said.stdout.startswith(program)


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
