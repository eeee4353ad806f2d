"""``lockd metrics``, read by Prometheus's own tools, and the alerts that are made of it."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.request import Request, urlopen

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from benchmarks.made_up_fleet import text_of
from tests.lockd.client import CallRefusedError
from tests.lockd.engine import PROGRAM, Engine, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

MONITORING = Path(__file__).parents[2] / "packaging/monitoring"

#: The value of each sample, by its name and labels.
Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def metrics(engine: Engine, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """What it prints."""
    return subprocess.run(
        [PROGRAM, "metrics", "--socket", engine.admin_socket, *arguments],
        capture_output=True,
        text=True,
    )


def samples_of(text: str) -> Samples:
    """What a strict reader of OpenMetrics finds."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)  # type: ignore[no-untyped-call]
        for sample in family.samples
    }


def value(samples: Samples, name: str, **labels: str) -> float:
    """One of them."""
    return samples[name, frozenset(labels.items())]


def check_by_promtool(text: str) -> None:
    """Prometheus's own check of names, types and helps."""
    done = subprocess.run(
        ["promtool", "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_what_is_counted(tmp_path: Path) -> None:
    """Locks by lockspace, calls by how they ended, and how long they took; refusals; starts."""
    with Engine(tmp_path) as engine:
        web, db = engine.client(), engine.client()
        web.register("web", 5004242)
        db.register("db", 5004243)
        for name in ("one", "two"):
            web.acquire(engine.lockspace, name)
        for _ in range(3):
            with pytest.raises(CallRefusedError):
                db.acquire(engine.lockspace, "one")
        done = metrics(engine)
        assert done.returncode == 0, done.stderr
        samples = samples_of(done.stdout)
        space = str(engine.lockspace)
        assert value(samples, "lockd_up") == 1
        assert value(samples, "lockd_locks", lockspace=space, state="held") == 2
        assert value(samples, "lockd_locks", lockspace=space, state="danger") == 0
        acquired = {"procedure": "acquire_resource"}
        assert value(samples, "lockd_calls_total", **acquired, outcome="done") == 2
        assert value(samples, "lockd_calls_total", **acquired, outcome="refused") == 3
        assert value(samples, "lockd_call_duration_seconds_count", **acquired) == 5
        assert value(samples, "lockd_events_total", event="refused") == 3
        assert value(samples, "lockd_clients", service="virtlockd") == 2
        assert value(samples, "lockd_starts_total") == 1
        engine.crash()
        engine.upgrade()
        samples = samples_of(metrics(engine).stdout)
        assert value(samples, "lockd_starts_total") == 3
        assert value(samples, "lockd_locks", lockspace=space, state="held") == 2
        assert value(samples, "lockd_events_total", event="took-over") == 1


def test_an_odd_name_of_a_lockspace_is_one_label(tmp_path: Path) -> None:
    """Quotes, line ends and what turns a text around stay in it."""
    with Engine(tmp_path) as engine:
        space = tmp_path / 'a"b\\c\nlockd_up 0\n\u202ed'
        engine.client().create_lockspace(space)
        text = metrics(engine).stdout
        names = {dict(labels).get("lockspace") for _, labels in samples_of(text)}
        assert str(space) in names
        assert value(samples_of(text), "lockd_up") == 1


def test_a_lock_in_danger_is_counted(tmp_path: Path) -> None:
    """As soon as it is found: here its file was replaced, and another has locked the new one."""
    with Engine(tmp_path, "--check-interval=0.1") as engine:
        web = engine.client()
        web.register("web", 5004242)
        web.acquire(engine.lockspace, "disk")
        path = engine.lockspace / "disk"
        thief = (
            "import fcntl, sys; f = open(sys.argv[1], 'w'); fcntl.lockf(f, 2); print(flush=True)"
        )
        stolen = tmp_path / "stolen"
        stolen.write_bytes(b"")
        with subprocess.Popen(
            ["python3", "-c", f"{thief}; input()", stolen],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as other:
            assert other.stdout is not None
            other.stdout.readline()
            stolen.replace(path)

            def in_danger() -> bool:
                samples = samples_of(metrics(engine).stdout)
                space = str(engine.lockspace)
                return value(samples, "lockd_locks", lockspace=space, state="danger") == 1

            wait_for(in_danger, "it is counted")
            samples = samples_of(metrics(engine).stdout)
            assert value(samples, "lockd_events_total", event="lost") == 1
            other.kill()


def test_the_file_for_node_exporter(tmp_path: Path) -> None:
    """It is replaced in one piece, and clean for promtool."""
    path = tmp_path / "lockd.prom"
    with Engine(tmp_path) as engine:
        assert metrics(engine, "--textfile", path).returncode == 0
        check_by_promtool(path.read_text())
        assert "lockd_up 1.0" in path.read_text()
        assert [each.name for each in tmp_path.glob("*.prom*")] == ["lockd.prom"]
        # Again and again, also when lockd is not there.
        again = subprocess.Popen(
            [PROGRAM, "metrics", "--textfile", path, "--every=0.1", "--socket", engine.admin_socket]
        )
        path.unlink()
        wait_for(path.exists, "it is written")
    try:
        wait_for(lambda: "lockd_up 0.0" in path.read_text(), "it is told")
        check_by_promtool(path.read_text())
    finally:
        again.kill()
        again.wait()


@contextmanager
def serving(engine: Engine, address: str) -> Iterator[str]:
    """The listener, and where it says that it is."""
    with subprocess.Popen(
        [PROGRAM, "metrics", "--listen", address, "--socket", engine.admin_socket],
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        try:
            assert server.stderr is not None
            yield server.stderr.readline().rpartition(" ")[2].strip()
        finally:
            server.kill()


def test_the_listener(tmp_path: Path) -> None:
    """On loopback: in the format that is asked for, also beside one that says nothing."""
    with Engine(tmp_path) as engine, serving(engine, "127.0.0.1:0") as url:
        assert url.startswith("http://127.0.0.1:")
        host, port = url.removeprefix("http://").removesuffix("/metrics").split(":")
        with socket.create_connection((host, int(port))) as silent:
            silent.sendall(b"GET /met")
            with urlopen(url, timeout=20) as answer:
                text = answer.read().decode()
                assert answer.headers["Content-Type"].startswith("text/plain")
            check_by_promtool(text)
            asked = Request(url, headers={"Accept": "application/openmetrics-text"})
            with urlopen(asked, timeout=20) as answer:
                assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
                assert value(samples_of(answer.read().decode()), "lockd_up") == 1


def test_the_listener_on_a_unix_socket(tmp_path: Path) -> None:
    """For this user alone; it takes the place of one that is left over, and of nothing else."""
    path = tmp_path / "s"
    with Engine(tmp_path) as engine:
        with serving(engine, f"unix:{path}"):
            with socket.socket(socket.AF_UNIX) as client:
                client.connect(str(path))
                client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
                with client.makefile("rb") as reply:
                    assert b"200 OK" in reply.readline()
                    assert b"lockd_up 1.0" in reply.read()
            assert path.stat().st_mode & 0o777 == 0o700
            second = metrics(engine, "--listen", f"unix:{path}")
            assert second.returncode == 3
            assert "another process listens there" in second.stderr
        assert path.exists()
        with serving(engine, f"unix:{path}"):
            pass


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0:0",
        "[::]:9000",
        "192.0.2.1:80",
        "example:80",
        "127.0.0.1",
        "127.0.0.1:99999",
        "unix:x",
    ],
)
def test_what_is_not_listened_at(tmp_path: Path, address: str) -> None:
    """An address that others could reach, or none at all: wrong usage."""
    done = subprocess.run(
        [PROGRAM, "metrics", "--listen", address, "--socket", tmp_path / "s"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert "--listen" in done.stderr


def test_nobody_answers(tmp_path: Path) -> None:
    """The figures say so, and the exit status."""
    done = subprocess.run(
        [PROGRAM, "metrics", "--socket", tmp_path / "none"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert value(samples_of(done.stdout), "lockd_up") == 0


def test_doctors_figures() -> None:
    """They are clean as well."""
    lockcfg = Path(PROGRAM).parent / "lockcfg"
    done = subprocess.run(
        [lockcfg, "doctor", "--format", "openmetrics", "--no-probe"], capture_output=True, text=True
    )
    assert done.returncode in (0, 1), done.stderr
    assert samples_of(done.stdout)
    check_by_promtool(done.stdout)


def test_the_alerts() -> None:
    """Prometheus's own check, and its own tests of rules."""
    for command in (("check", "rules", "alerts.yml"), ("test", "rules", "alerts-test.yml")):
        done = subprocess.run(
            ["promtool", *command], cwd=MONITORING, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_and_dashboard_know_only_what_there_is(tmp_path: Path) -> None:
    """Every metric in them is one that lockd or the audit of a fleet has."""
    with Engine(tmp_path) as engine:
        there = {name for name, _ in samples_of(metrics(engine).stdout)}
    dashboard = json.loads((MONITORING / "grafana-dashboard.json").read_text())
    expressions = [
        target["expr"] for panel in dashboard["panels"] for target in panel.get("targets", ())
    ]
    expressions.append((MONITORING / "alerts.yml").read_text())
    used = set(re.findall(r"\blockd_[a-z_]+", "\n".join(expressions)))
    assert used
    assert used - {"lockd_silent_filesystem"} <= there  # it is there when one is silent
    snapshot = tmp_path / "kvm01.json"
    snapshot.write_text(text_of("kvm01", {}))
    done = subprocess.run(
        [Path(PROGRAM).parent / "lockcfg", "audit", "--format", "openmetrics", snapshot],
        capture_output=True,
        text=True,
    )
    check_by_promtool(done.stdout)
    fleet = set(re.findall(r"\blockcfg_fleet_[a-z_]+", "\n".join(expressions)))
    assert len(fleet) >= 5
    assert fleet <= {name for name, _ in samples_of(done.stdout)}, done
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])


def test_it_costs_a_call_next_to_nothing() -> None:
    """Less than a hundredth of the time that one has: 5 ms."""
    from lockd.rpc.statistics import CallStatistics, measured

    of: dict[str, CallStatistics] = {}
    program = measured({1: lambda _session, _arguments: b""}, {1: "call"}, of)
    best = 1.0
    for _ in range(5):
        begun = time.perf_counter()
        for _ in range(1000):
            program[1](None, None)  # type: ignore[arg-type]
        best = min(best, (time.perf_counter() - begun) / 1000)
    assert best < 0.00005
    assert of["call"].done == 5000
