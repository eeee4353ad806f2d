"""Options of the test run, and what many tests start from."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import hypothesis
import pytest

from lockcfg import libvirt_release

# These machines are noisy, so no example has a deadline; and a run that fails, fails again.
hypothesis.settings.register_profile("lockcfg", deadline=None, derandomize=True)
hypothesis.settings.load_profile("lockcfg")

#: libvirt's own files, as Debian's package installs them.
SAMPLES = Path("/etc/libvirt")

#: The command as a user has it.
LOCKCFG = Path(sys.executable).parent / "lockcfg"

RunLockcfg = Callable[..., subprocess.CompletedProcess[str]]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Longer runs are asked for by name: they look at more of the same."""
    parser.addoption(
        "--exhaustive", action="store_true", help="every key of a schema, not a sample of them"
    )
    parser.addoption(
        "--generated-files",
        type=int,
        default=20_000,
        metavar="N",
        help="how many generated files the lens and libvirt's parser are compared on",
    )
    parser.addoption(
        "--plays",
        type=int,
        default=200,
        metavar="N",
        help="how many plays of random calls lockd and virtlockd are compared on",
    )
    parser.addoption(
        "--fuzz-inputs",
        type=int,
        default=40_000,
        metavar="N",
        help="how many inputs the coverage-guided runs take",
    )
    parser.addoption(
        "--schedules",
        type=int,
        default=10_000,
        metavar="N",
        help="how many schedules of whole clusters are simulated",
    )
    parser.addoption(
        "--faults",
        type=int,
        default=4,
        metavar="N",
        help="how many calls of the system in a scene are killed at, and how many fail",
    )
    parser.addoption(
        "--few-scenarios",
        action="store_true",
        help="ten scenarios with guests, not all: those that depend most on libvirt and QEMU",
    )
    parser.addoption(
        "--seed", type=int, default=20_261, metavar="N", help="what they are generated from"
    )


def pytest_report_header() -> str:
    """Say what is installed, and what is not."""
    release = ".".join(map(str, libvirt_release()))
    guided = find_spec("atheris") is not None
    without = "" if guided else ", and no atheris: what it generates is not guided by coverage"
    return f"libvirt: {release}{without}"


@pytest.fixture
def host_root(tmp_path: Path) -> Path:
    """A host's root directory with libvirt's own files in etc/libvirt."""
    root = tmp_path / "host"
    (root / "etc").mkdir(parents=True)
    shutil.copytree(
        SAMPLES,
        root / "etc/libvirt",
        ignore=lambda _, names: {n for n in names if ".conf" not in n},
    )
    return root


@pytest.fixture
def lockcfg() -> RunLockcfg:
    """Run the command; its output is text, its status is in ``returncode``."""

    def run(*arguments: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # type: ignore[call-overload,no-any-return]
            [LOCKCFG, *arguments], capture_output=True, text=True, timeout=60, **options
        )

    return run


@pytest.fixture
def long_run() -> None:
    """The test is for long runs."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for long runs."""
    if config.getoption("exhaustive"):
        return
    left_out = [item for item in items if "long_run" in getattr(item, "fixturenames", ())]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]
