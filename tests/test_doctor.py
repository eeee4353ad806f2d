"""``lockcfg doctor``: the verdict on a disk from what is seen, and its formats."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from lockcfg.doctor.diagnosis import Diagnosis, DiskDiagnosis, HostProblem, diagnose_disk
from lockcfg.doctor.evidence import Evidence, Holding
from lockcfg.doctor.host_problems import denials
from lockcfg.report.doctor import FORMATS, format_of
from lockcfg.running.guests import RunningGuest
from lockcfg.running.meant import Meant, MeantLock

if TYPE_CHECKING:
    from collections.abc import Callable

GUEST = RunningGuest("web", "00000000-0000-4000-8000-000000000001", 1, 4242, "running", ())
LOCK = MeantLock("image", "/srv/locks", "ab" * 32, shared=False, create=True)
SHARED = MeantLock("image", "/srv/locks", "ab" * 32, shared=True, create=True)
SCHEMA = json.loads((Path(__file__).parent.parent / "schemas/output.schema.json").read_text())


class Seen(Evidence):
    """Evidence that is made up: of lockd's account if there is one, else of the kernel's."""

    def __init__(self, *held: Holding, lockd: bool = True, in_charge: str = "lockd") -> None:
        super().__init__("/nowhere", [])
        self._in_charge = in_charge
        if lockd:
            self.answers = object()  # type: ignore[assignment]
            self.held.by_name["/srv/locks", "ab" * 32] = [*held]
        elif held:
            self.held.by_path[LOCK.path] = held[0]

    @property
    def in_charge(self) -> str:
        return self._in_charge


def holding(pid: int = 4242, problem: str = "", *, shared: bool = False) -> Holding:
    """A lock as lockd tells of it."""
    return Holding("web" if pid == 4242 else "db", pid, 1_764_000_000, problem, shared=shared)


def judged(
    evidence: Evidence,
    lock: MeantLock | None = LOCK,
    *,
    guest: RunningGuest = GUEST,
    manager: str = "lockd",
    unknown: bool = False,
) -> DiskDiagnosis:
    """The verdict on one disk."""
    meant = Meant("/srv/images/web.qcow2", lock, "that is why", unknown=unknown)
    return diagnose_disk(
        guest,
        meant,
        evidence,
        manager=manager,
        file_at=lambda path: ("fe:00", 7) if path.endswith("qcow2") else None,
        image_locks={("fe:00", 7)},
    )


PAUSED = RunningGuest("web", GUEST.uuid, 1, 4242, "paused", ())
KERNEL = Holding("", 0, 0, "", shared=False)


@pytest.mark.parametrize(
    ("verdict", "found"),
    [
        ("locked", lambda: judged(Seen(holding()))),
        ("locked", lambda: judged(Seen(holding(1, shared=True), holding(shared=True)), SHARED)),
        ("missing", lambda: judged(Seen())),
        ("missing", lambda: judged(Seen(holding(1, shared=True)), SHARED)),
        ("other", lambda: judged(Seen(holding(1)))),
        ("other", lambda: judged(Seen(holding(1)), SHARED)),
        ("otherwise", lambda: judged(Seen(holding(shared=True)))),
        ("danger", lambda: judged(Seen(holding(problem="its file was removed")))),
        ("paused", lambda: judged(Seen(), guest=PAUSED)),
        ("none", lambda: judged(Seen(), None)),
        ("unknown", lambda: judged(Seen(), None, unknown=True)),
        ("unprotected", lambda: judged(Seen(), None, manager="nop")),
        ("unknown", lambda: judged(Seen(), None, manager="sanlock")),
        ("locked", lambda: judged(Seen(KERNEL, lockd=False, in_charge="virtlockd"))),
        ("missing", lambda: judged(Seen(lockd=False, in_charge="virtlockd"))),
        ("missing", lambda: judged(Seen(lockd=False, in_charge=""))),
        ("otherwise", lambda: judged(Seen(KERNEL, lockd=False, in_charge="virtlockd"), SHARED)),
    ],
)
def test_the_verdict_on_a_disk(verdict: str, found: Callable[[], DiskDiagnosis]) -> None:
    """What is not known is not fine, and what is not fine says what to do."""
    disk = found()
    assert disk.verdict == verdict
    assert disk.is_fine == (verdict in ("locked", "paused", "none"))
    assert disk.is_fine or disk.help or verdict == "otherwise"
    assert "qemu" in disk.refused_by


def diagnosis(*disks: DiskDiagnosis, problems: tuple[HostProblem, ...] = ()) -> Diagnosis:
    """A diagnosis with some disks."""
    return Diagnosis("lockd", "lockd", disks, problems, len(disks))


FINE = diagnosis(judged(Seen(holding())))
BAD = diagnosis(
    judged(Seen(holding())),
    judged(Seen(holding(1))),
    problems=(HostProblem("clock", "info", "a | bar", "help"),),
)
WARNED = diagnosis(problems=(HostProblem("file-newer", "warning", "new", "restart"),))
UNKNOWN = diagnosis(judged(Seen(), None, unknown=True))


@pytest.mark.parametrize(
    ("found", "worst", "nagios"),
    [
        (FINE, "ok", 0),
        (WARNED, "warning", 1),
        (BAD, "critical", 2),
        (UNKNOWN, "unknown", 3),
    ],
)
def test_how_it_is_in_all(
    found: Diagnosis, worst: str, nagios: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert found.worst == worst
    for name in FORMATS:
        expected = nagios if name == "nagios" else int(worst != "ok")
        assert format_of(name).write(found, quiet=False) == expected
        capsys.readouterr()
    assert format_of("text").write(found, quiet=True) == int(worst != "ok")
    assert (capsys.readouterr().out == "") == (worst == "ok")


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    for found in (FINE, BAD, WARNED, UNKNOWN):
        format_of("json").write(found, quiet=False)
        report: dict[str, Any] = json.loads(capsys.readouterr().out)
        jsonschema.validate(report, {**SCHEMA, "$ref": "#/$defs/doctor"})
        assert len(report["disks"]) == len(found.disks)


def test_nagios(capsys: pytest.CaptureFixture[str]) -> None:
    format_of("nagios").write(BAD, quiet=False)
    line = capsys.readouterr().out.splitlines()[0]
    assert line.startswith(
        "LOCKING CRITICAL - web: /srv/images/web.qcow2: guest 'db' (pid 1) has it"
    )
    assert line.endswith("| guests=2 disks=2 locked=1 bad=1")


def test_openmetrics(capsys: pytest.CaptureFixture[str]) -> None:
    """Each family once, with its type, and an end."""
    format_of("openmetrics").write(BAD, quiet=False)
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == "# EOF"
    types = [line.split()[2] for line in lines if line.startswith("# TYPE ")]
    assert len(types) == len({*types})
    for line in lines[:-1]:
        if not line.startswith("#"):
            assert re.fullmatch(r'([a-z_]+)({([a-z]+="[^"]*",?)+})? \d+', line), line
            assert line.split("{")[0].split()[0] in types
    assert 'lockcfg_disks{verdict="other"} 1' in lines
    disk = 'guest="web",disk="/srv/images/web.qcow2",verdict="other"'
    assert f"lockcfg_disk_not_as_meant{{{disk}}} 1" in lines
    assert 'lockcfg_doctor_status{status="critical"} 1' in lines


def test_denials(tmp_path: Path) -> None:
    """Those of others are not told."""
    log = tmp_path / "audit.log"
    log.write_text(
        'type=AVC msg=audit(1): avc:  denied  { lock } for comm="virtlockd" name="x"\n'
        'kernel: audit: apparmor="DENIED" operation="open" profile="libvirtd" name="/y"\n'
        'type=AVC msg=audit(2): avc:  denied  { lock } for comm="httpd" name="z"\n'
    )
    (problem,) = denials([str(log), str(tmp_path / "none")])
    assert problem.code == "denied"
    assert "2 denials" in problem.message
