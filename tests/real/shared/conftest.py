"""What the tests on shared file systems start from."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.shared.contest import build_hammer

if TYPE_CHECKING:
    from typing import Any, Final

_RUN = pytest.StashKey["Run"]()

#: How long the contests in the machine last, in seconds: of two engines, and of those with
#: virtlockd in them; and the versions of NFS that the latter are held on. On version 3 virtlockd
#: fails soonest.
SHORT = (10, 5, ["3"])
LONG = (60, 20, ["3", "4.2"])

#: How many pairs of configurations are tried on each pair of mounts, and how often an engine is
#: killed.
_PAIRS = 30
_KILLS = 6

#: How often a host is cut off in the middle of calls, on each version of NFS.
_CUTS = 1
_CUTS_LONG = 10

#: What is done in a long run only: emulated, the rest takes nearly two minutes.
_LONG_PARTS = {
    *("nfs_devices", "nfs_failures", "nfs_kills", "nfs_model", "nfs_probe", "nfs_rivals"),
    "takes_a_minute",
}


_GENTLY: Final = Path(__file__).parents[3] / "packaging/gently"


def _asks(item: pytest.Item) -> bool:
    """Whether a test asks what the machine has said."""
    return "nfs_report" in getattr(item, "fixturenames", ())


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is for long runs, and have those last that wait for the machine."""
    items.sort(key=_asks)
    if config.getoption("exhaustive"):
        return
    left_out = [
        item for item in items if _LONG_PARTS.intersection(getattr(item, "fixturenames", ()))
    ]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


class Run:
    """What the machine is to do, and does beside the tests until one asks what came of it: it
    takes minutes, and one of the processors. ``plan`` is that of
    :mod:`tests.real.shared.in_machine`."""

    def __init__(self, plan: dict[str, dict[str, Any]], timeout: float) -> None:
        # A process, as some tests want to be the only thread of theirs.
        self._process = subprocess.Popen(
            # It is emulated, and what it does takes longest: it goes before the other tests.
            [
                *(_GENTLY, "-5", sys.executable, "-m", "tests.real.shared.beside"),
                *(json.dumps(plan), str(timeout)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def report(self) -> dict[str, Any]:
        """What came of it. Raises CalledProcessError."""
        said, _ = self._process.communicate()
        if self._process.returncode:
            raise subprocess.CalledProcessError(self._process.returncode, self._process.args)
        report: dict[str, Any] = json.loads(said)
        return report

    def end(self) -> None:
        """Leave nothing of it behind."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)
            self._process.communicate()


def pytest_collection_finish(session: pytest.Session) -> None:
    """Boot the machine, if a test is to ask what came of it."""
    if not any(map(_asks, session.items)) or session.config.option.collectonly:
        return
    wanted = {name for item in session.items for name in getattr(item, "fixturenames", ())}
    exhaustive = bool(session.config.getoption("exhaustive"))
    seconds, mixed_seconds, mixed_versions = LONG if exhaustive else SHORT
    parts: dict[str, dict[str, Any]] = {
        "cuts": {
            "seed": session.config.getoption("seed"),
            "count": _CUTS_LONG if exhaustive else _CUTS,
        },
        "contests": {
            "seconds": seconds,
            "mixed_seconds": mixed_seconds,
            "mixed_versions": mixed_versions,
        },
        "dead": {},
        "devices": {},
        "failures": {},
        "kills": {"count": _KILLS},
        "lost": {},
        "model": {"seed": session.config.getoption("seed"), "pairs": _PAIRS},
        "probe": {},
        "rivals": {},
        "silent": {},
    }
    plan = {part: how for part, how in parts.items() if f"nfs_{part}" in wanted}
    session.config.stash[_RUN] = Run(plan, timeout=3600 if exhaustive else 1800)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Switch the machine off, if the tests have ended without it."""
    run = config.stash.get(_RUN, None)
    if run is not None:
        run.end()


@pytest.fixture(scope="session")
def hammer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The guest that takes and releases a resource as fast as it can."""
    return build_hammer(tmp_path_factory.mktemp("hammer"))


@pytest.fixture(scope="session")
def nfs_report(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What came of all that the tests of this run ask of the machine, which is booted once; by
    the name of the part, which a test asks for as a fixture."""
    report = request.config.stash[_RUN].report()
    print(f"The machine took, besides its boot: {report['took']}")
    return report


@pytest.fixture(scope="session")
def nfs_contests(nfs_report: dict[str, Any]) -> Any:
    """What came of the contests, by version of NFS."""
    return nfs_report["contests"]


@pytest.fixture
def takes_a_minute() -> None:
    """The test is for long runs."""


@pytest.fixture(scope="session")
def nfs_failures(nfs_report: dict[str, Any]) -> Any:
    """What became of guests whose lock was lost or in danger."""
    return nfs_report["failures"]


@pytest.fixture(scope="session")
def nfs_kills(nfs_report: dict[str, Any]) -> Any:
    """What came of the fights in which an engine is killed, by version of NFS."""
    return nfs_report["kills"]


@pytest.fixture(scope="session")
def nfs_dead(nfs_report: dict[str, Any]) -> Any:
    """What was seen of a host that died."""
    return nfs_report["dead"]


@pytest.fixture(scope="session")
def nfs_lost(nfs_report: dict[str, Any]) -> Any:
    """What the test saw of a lock that was lost and that no other host took."""
    return nfs_report["lost"]


@pytest.fixture(scope="session")
def nfs_rivals(nfs_report: dict[str, Any]) -> Any:
    """What was seen of locks that another host took, by version of NFS."""
    return nfs_report["rivals"]


@pytest.fixture(scope="session")
def nfs_cuts(nfs_report: dict[str, Any]) -> Any:
    """What was seen when a host was cut off in the middle of calls, by version of NFS."""
    return nfs_report["cuts"]


@pytest.fixture(scope="session")
def nfs_silent(nfs_report: dict[str, Any]) -> Any:
    """What was seen while the server was away, by version of NFS."""
    return nfs_report["silent"]


@pytest.fixture(scope="session")
def nfs_model(nfs_report: dict[str, Any]) -> Any:
    """What the model says of mounts, and what is so."""
    return nfs_report["model"]


@pytest.fixture(scope="session")
def nfs_devices(nfs_report: dict[str, Any]) -> Any:
    """What the audit says of disks that two hosts have, and what is so."""
    return nfs_report["devices"]


@pytest.fixture(scope="session")
def nfs_probe(nfs_report: dict[str, Any]) -> Any:
    """What a probe shows of mounts that keep locks on the host."""
    return nfs_report["probe"]
