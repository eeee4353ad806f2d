"""The installed programs load nothing that a caller, or another user of a directory, has put
there."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conftest import LOCKCFG
from tests.lockd.engine import PROGRAM, Engine

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Modules that Python or the programs import, which a directory in front of theirs replaces.
MODULES = ("sitecustomize", "usercustomize", "argparse", "re", "json", "lockcfg", "lockd", "augeas")


class Planted:
    """What an attacker has put into every place that Python takes code from by itself."""

    def __init__(self, top: Path) -> None:
        self.directory = top / "planted"
        self.marker = top / "loaded"
        code = f"open({str(self.marker)!r}, 'a').write(__name__ + '\\n')\n"
        site = top / f"home/.local/lib/python3.{sys.version_info.minor}/site-packages"
        for directory in (self.directory, site):
            directory.mkdir(parents=True)
            for module in MODULES:
                (directory / f"{module}.py").write_text(code)
        (site / "evil.pth").write_text(f"import os; {code}")
        (top / "startup.py").write_text(code)
        # What is started by its name is started by the shell, or by Python.
        for name in ("python3", "python", "readlink", "sh", "git", "lvs"):
            (self.directory / name).write_text(f"#!/bin/sh\necho {name} >>{self.marker}\nexit 1\n")
            (self.directory / name).chmod(0o755)
        self.environment: Mapping[str, str] = {
            "HOME": str(top / "home"),
            "PATH": f"{self.directory}:.:{os.environ['PATH']}",
            "PYTHONPATH": str(self.directory),
            "PYTHONSTARTUP": str(top / "startup.py"),
            "PYTHONHOME": str(self.directory),
            "PYTHONUSERBASE": str(top / "home/.local"),
            "PYTHONPLATLIBDIR": str(self.directory),
            "PYTHONBREAKPOINT": "sitecustomize.x",
            "PYTHONWARNINGS": "error",
            "PYTHONPYCACHEPREFIX": str(self.directory),
            "PYTHONINSPECT": "1",
            "ENV": str(self.directory / "sh"),
            "BASH_ENV": str(self.directory / "sh"),
            "BASH_FUNC_readlink%%": f"() {{ echo function >>{self.marker}; }}",
        }

    @property
    def loaded(self) -> str:
        """What was loaded."""
        return self.marker.read_text() if self.marker.exists() else ""


@pytest.fixture
def planted(tmp_path: Path) -> Planted:
    """It is in the way."""
    return Planted(tmp_path)


COMMANDS: dict[str, tuple[list[str | Path], tuple[int, ...]]] = {
    "get": ([LOCKCFG, "get", "max_clients"], (0, 1)),
    "show": ([LOCKCFG, "show"], (0,)),
    "lint": ([LOCKCFG, "lint", "/etc/libvirt"], (0, 1)),
    "collect": ([LOCKCFG, "collect", "--no-probe"], (0,)),
    "version": ([LOCKCFG, "--version"], (0,)),
    "lockd": ([PROGRAM, "--version"], (0,)),
    "lockd status": ([PROGRAM, "status", "--socket", "/nowhere"], (3,)),
    "lockd --check-config": ([PROGRAM, "--check-config"], (0,)),
}


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_of_the_caller_is_loaded(command: str, planted: Planted) -> None:
    """Not from the environment, not from the home and not from the current directory."""
    program, statuses = COMMANDS[command]
    result = subprocess.run(
        program,
        cwd=planted.directory,
        env=planted.environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode in statuses, result.stderr
    assert planted.loaded == ""


@pytest.mark.parametrize("shell", ["dash", "bash"])
def test_a_link_to_the_program_is_the_program(shell: str, planted: Planted, tmp_path: Path) -> None:
    """As packaging/install-lockd makes one; whatever /bin/sh is."""
    link = tmp_path / "lockcfg"
    link.symlink_to(LOCKCFG)
    result = subprocess.run(
        ["sh", link, "--version"],
        executable=f"/bin/{shell}",
        cwd=planted.directory,
        env=planted.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("lockcfg ")
    assert planted.loaded == ""


def test_that_the_plants_are_poison(planted: Planted) -> None:
    """Without the isolation each of them is loaded: the tests above can fail."""
    subprocess.run(
        [sys.executable, "-c", "import argparse"],
        cwd=planted.directory,
        env={"PYTHONPATH": planted.environment["PYTHONPATH"]},
        check=False,
    )
    assert planted.loaded.splitlines() == ["sitecustomize", "argparse"]


def test_the_engine_stays_isolated(planted: Planted, tmp_path: Path) -> None:
    """Its supervisor, the daemon, and the daemon that takes over from it."""
    (tmp_path / "engine").mkdir()
    environment = {**planted.environment, "PATH": f"{os.environ['PATH']}:."}
    with Engine(tmp_path / "engine", environment=environment) as engine:
        before = Path(f"/proc/{engine.pid}/cmdline").read_bytes()
        for pid in (engine.process.pid, engine.pid):
            assert b"-I" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
            environ = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
            assert all(b":." not in each for each in environ if each.startswith(b"PATH="))
        engine.upgrade()
        assert Path(f"/proc/{engine.pid}/cmdline").read_bytes() == before
    assert planted.loaded == ""
