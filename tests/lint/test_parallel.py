"""A report does not depend on how many processes read the files."""

from __future__ import annotations

import contextlib
import datetime
import errno
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest

from lockcfg import workers
from lockcfg.errors import LockcfgError
from lockcfg.lint import reading
from lockcfg.lint.baseline import render as render_baseline
from lockcfg.lint.engine import Linter
from lockcfg.lint.settings import LintSettings, SettingsWaiver
from lockcfg.report.lint import FORMATS, render
from lockcfg.rules.rule import Options
from tests.lint import CLEAN, write

if TYPE_CHECKING:
    from pathlib import Path

    from lockcfg.lint.result import LintResult

TODAY = datetime.date(2026, 7, 1)

#: What a file may be, besides clean; ``{n}`` makes it different from all others.
QEMU = (
    'lock_manager = "nop"\n',
    'lock_manager = "lockd"\nmax_files = {n}\n',
    'lock_manager = "lockd"\nmax_files = "{n}"\nmax_files = {n}\n',
    'lock_manager = "lockd"\nmax_files = {n}',
    'lock_manager "lockd"\n',
    'lock_manager = "lockd"\nvnc_password = "secret{n}"\n',
    'lock_manager = "lockd"\n# vnc_password = "secret{n}"\nno_such_setting = {n}\n',
    'lock_manager = "nop"  # lockcfg: ignore[LK202] lab host {n} (until 2027-06-30)\n',
    'lock_manager = "nop"  # lockcfg: ignore[LK202,odd-one-out] lab (until 2020-06-30)\n',
    "# lockcfg: ignore-file[LK999,LK1]\nmax_files = {n}\nno_such_setting = 1\n",
    'lock_manager = "{{ lock_manager }}"\n',
    "",
)
LOCKD = (
    'file_lockspace_dir = "/srv/other"\n',
    "auto_disk_leases = 0\nrequire_lease_for_disks = 0\n",
    "auto_disk_leases = 0  # lockcfg: ignore[odd-one-out] another kind of host\n",
    'file_lockspace_dir = "/tmp/{n}"\n',
    "file_lockspace_dir = \xff\n",
)
OTHERS = {
    "virtlockd.conf": ("max_clients = {n}\n", "max_clients = 0\n", 'log_filters = "{n}"\n'),
    "libxl-lockd.conf": ('file_lockspace_dir = "/srv/locks"\n', ""),
    "libxl.conf": ('lock_manager = "lockd"\n', "autoballoon = {n}\n"),
    "qemu.conf.j2": ("{{ x }}",),
}


def make(top: Path, seed: int, hosts: int = 150) -> Path:
    """A tree of many hosts, most of them the same, with some of everything that can be said."""
    rng = random.Random(seed)
    parents = ("hosts", "hosts/site-b", "old", "roles/libvirt/files", "excluded")
    for number in range(hosts):
        parent = rng.choice(parents[:2] if rng.random() < 0.9 else parents)
        name = f"kvm{rng.randrange(number + 1):04}" if rng.random() < 0.05 else f"kvm{number:04}"
        directory = top / parent / name / rng.choice(("", "etc/libvirt"))
        if directory.exists():
            continue
        files = dict(CLEAN)
        if rng.random() < 0.3:
            files["qemu.conf"] = rng.choice(QEMU)
        if rng.random() < 0.2:
            files["qemu-lockd.conf"] = rng.choice(LOCKD)
        for other, texts in OTHERS.items():
            if rng.random() < 0.1:
                files[other] = rng.choice(texts)
        # Not with format: the braces of a template are to stay.
        write(directory, {k: v.replace("{n}", str(rng.randrange(9000))) for k, v in files.items()})
        path = directory / rng.choice(sorted(files))
        kind = rng.random()
        path.chmod(rng.choice((0o600, 0o644)))
        if kind < 0.05:
            path.unlink()
            path.symlink_to(rng.choice(("gone", path.name, "/dev/null")))
        elif kind < 0.08:
            path.unlink()
            os.mkfifo(path)
        elif kind < 0.1:
            path.unlink()
            path.symlink_to("..")
    return top


def settings(top: Path, seed: int) -> LintSettings:
    """Settings that use everything there is."""
    rng = random.Random(seed)
    path = top / ".lockcfg.yaml"
    return LintSettings(
        str(top),
        path=str(path),
        exclude=["excluded"],
        per_path=[("old", ["LK1"]), ("hosts/kvm00?1", ["odd-one-out"])],
        severity={"LK104": "error"},
        waivers=[
            SettingsWaiver("LK501", "old/*", "on their way out", None),
            SettingsWaiver("LK202", "hosts/kvm00*", "lab", datetime.date(2026, 12, 31)),
            SettingsWaiver("LK105", "hosts/*", "was to be mended", datetime.date(2025, 12, 31)),
            SettingsWaiver("LK302", "nowhere", "not needed", None),
        ],
        options=Options(groups={"b": ["hosts/site-b/*"], "a": ["hosts/*"]})
        if rng.random() < 0.3
        else Options(guests=5000),
    )


def with_baseline(of: LintSettings, result: LintResult) -> LintSettings:
    """The settings with half of what was found in the baseline, and something stale."""
    path = os.path.join(of.root, "known.json")
    counted = [d for number, d in enumerate(result.counted) if number % 2]
    text = render_baseline(counted, {d.finding.path: d.finding.path for d in counted})
    content = json.loads(text)
    stale = {"fingerprint": "0" * 64, "path": "x", "code": "LK101", "message": "not there"}
    content["findings"].append(stale)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(content, file)
    return of.replace(baseline=path)


def reports(result: LintResult, top: Path) -> dict[str, str]:
    """The result in every format."""
    found: dict[str, str] = {}
    for name in FORMATS:
        stream = io.StringIO()
        render(result, name, stream, root=str(top))
        found[name] = stream.getvalue()
    return found


@pytest.fixture
def forked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The ids of the processes that were made."""
    pids: list[int] = []
    fork = os.fork

    def counting() -> int:
        pid = fork()
        pids.append(pid)
        return pid

    monkeypatch.setattr(os, "fork", counting)
    return pids


@pytest.mark.parametrize("hosts", [2, 40, 150])
@pytest.mark.parametrize("seed", range(8))
def test_the_report_is_the_same(tmp_path: Path, seed: int, hosts: int, forked: list[int]) -> None:
    """Byte for byte in every format, with waivers, a baseline, and what cannot be read."""
    top = make(tmp_path, seed, hosts)
    run = settings(top, seed)
    first = Linter(run, today=TODAY, processes=1).run([str(top)])
    run = with_baseline(run, first)
    alone = Linter(run, today=TODAY, processes=1).run([str(top)])
    assert not forked
    for processes in (2, 3):
        shared = Linter(run, today=TODAY, processes=processes).run([str(top)])
        assert shared == alone
        assert reports(shared, top) == reports(alone, top)
    assert len(forked) == 3 or hosts == 2  # none if the first directory is the last one


def test_the_trees_hold_some_of_everything(tmp_path: Path) -> None:
    """Or what the test above compares would be little."""
    codes: set[str] = set()
    suppressions: set[str] = set()
    notes = unreadable = shared_contents = 0
    for seed in range(8):
        top = make(tmp_path / str(seed), seed)
        run = settings(top, seed)
        first = Linter(run, today=TODAY, processes=1).run([str(top)])
        result = Linter(with_baseline(run, first), today=TODAY, processes=1).run([str(top)])
        codes.update(d.code for d in result.diagnostics)
        suppressions.update(d.suppression.kind for d in result.diagnostics if d.suppression)
        notes += len(result.notes)
        unreadable += len(result.unreadable)
        shared_contents += result.hosts
    assert {"LK101", "LK102", "LK105", "LK202", "LK402", "LK501", "LK502", "LK503"} <= codes
    assert {"LK901", "LK902", "LK903", "LK904", "LK905"} <= codes
    assert suppressions == {"inline", "settings", "baseline"}
    assert min(notes, unreadable) > 50
    assert shared_contents > 500


@pytest.mark.parametrize("processes", [2, 3])
def test_several_paths(tmp_path: Path, processes: int, forked: list[int]) -> None:
    """Files and directories, in any order; and such that overlap."""
    top = make(tmp_path, 1)
    run = settings(top, 1)
    directories = [str(top / name) for name in ("old", "hosts/site-b", "excluded")]
    files = sorted(str(path) for path in top.rglob("qemu.conf"))
    files = [f for f in files if not f.startswith(tuple(f"{d}/" for d in directories))]
    paths = [*directories[:1], *files[::7], *directories[1:]]
    for each in (paths, paths[::-1], [str(top), *paths], [str(top), str(top)]):
        alone = Linter(run, today=TODAY, processes=1).run(each)
        assert Linter(run, today=TODAY, processes=processes).run(each) == alone
    assert len(forked) == 2 * (processes - 1)  # what overlaps is not shared


def test_a_password_in_version_control(tmp_path: Path) -> None:
    """Whether a file is tracked is asked for by the process that says it."""
    top = make(tmp_path, 3)
    subprocess.run(["git", "init", "--quiet", top], check=True)
    subprocess.run(["git", "-C", top, "add", "hosts"], check=True)
    run = settings(top, 3)
    alone = Linter(run, today=TODAY, processes=1).run([str(top)])
    assert "LK401" in {d.code for d in alone.diagnostics}
    assert Linter(run, today=TODAY, processes=2).run([str(top)]) == alone


def test_a_small_tree_is_read_by_one_process(tmp_path: Path, forked: list[int]) -> None:
    """A large one by as many as there are CPUs, but never where there are threads."""
    for number in range(reading.MANY + 10):
        write(tmp_path, {f"small/{number}/qemu.conf": ""} if number < 50 else {})
        write(tmp_path, {f"large/{number}/qemu.conf": ""})
    run = LintSettings(str(tmp_path))
    assert Linter(run).run([str(tmp_path / "small")]).hosts == 50
    assert not forked
    assert Linter(run).run([str(tmp_path / "large")]).hosts == reading.MANY + 10
    assert len(forked) == min(len(os.sched_getaffinity(0)), workers._MOST_PROCESSES) - 1


# --- what goes wrong ------------------------------------------------------------------------


def gone(pids: list[int]) -> bool:
    """Whether there is none of these processes, not even as a zombie."""
    for pid in pids:
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)
            return False
    return True


class _Bomb:
    """What ends the process that pickles it, after some of the result was written."""

    def __reduce__(self) -> Any:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("death", ["killed", "raises", "exits", "half-way"])
def test_a_worker_that_dies_is_an_error(
    tmp_path: Path,
    death: str,
    forked: list[int],
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    """And not a report of what the others have read; nothing is left of it."""
    top = make(tmp_path, 1)
    here = os.getpid()
    work = reading.Reader._work

    def dying(self: reading.Reader, jobs: Any, numbers: Any) -> Any:
        if os.getpid() == here:
            return work(self, jobs, numbers)
        if death == "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        elif death == "raises":
            raise ZeroDivisionError("what is this")
        elif death == "exits":
            os._exit(0)
        return {0: [os.urandom(300_000), _Bomb()]}

    monkeypatch.setattr(reading.Reader, "_work", dying)
    with pytest.raises(LockcfgError, match="one of the processes of the linter") as caught:
        Linter(settings(top, 1), processes=3).run([str(top)])
    assert caught.value.exit_code == 3
    assert len(forked) == 2
    assert gone(forked)
    assert ("ZeroDivisionError: what is this" in capfd.readouterr().err) == (death == "raises")


def test_where_there_are_no_more_processes_to_be_had(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that are there do the work of all."""
    top = make(tmp_path, 1)
    alone = Linter(settings(top, 1), processes=1).run([str(top)])
    before = os.listdir("/proc/self/fd")
    fork, forks = os.fork, iter((True, False))

    def failing() -> int:
        if next(forks):
            return fork()
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))

    monkeypatch.setattr(os, "fork", failing)
    assert Linter(settings(top, 1), processes=4).run([str(top)]) == alone
    assert os.listdir("/proc/self/fd") == before


def test_nothing_is_left_of_the_workers(tmp_path: Path, forked: list[int]) -> None:
    """No zombie, no open file."""
    top = make(tmp_path, 1)
    before = os.listdir("/proc/self/fd")
    Linter(settings(top, 1), processes=3).run([str(top)])
    assert len(forked) == 2
    assert gone(forked)
    assert os.listdir("/proc/self/fd") == before


#: A lint in two processes; what they do instead is put in front.
PROGRAM = """
import os, signal, sys, time
from lockcfg.lint import reading
from lockcfg.main import main
reading.MANY, reading.cpus = 1, lambda: 2
parent, work = os.getpid(), reading.Reader._work
def instead(self, jobs, numbers):
    {instead}
reading.Reader._work = instead
sys.exit(main(["lint", sys.argv[1]]))
"""


def test_the_exit_status_of_a_run_without_one_of_its_workers(tmp_path: Path) -> None:
    """Three, with the error and without a report."""
    top = make(tmp_path, 1)
    instead = "return work(self, jobs, numbers) if os.getpid() == parent else os.abort()"
    result = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(instead=instead), top],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 3
    assert result.stdout == ""
    assert "error: one of the processes of the linter ended" in result.stderr


def test_an_interrupted_run_ends_in_silence(tmp_path: Path) -> None:
    """At once and with the status of an interrupt, and both of its processes."""
    top = make(tmp_path, 1)
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM.format(instead="os.write(1, b'.'); time.sleep(60)"), top],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdout.read(2) == b".."  # both are at work
    start = time.monotonic()
    os.killpg(process.pid, signal.SIGINT)
    output, errors = process.communicate(timeout=30)
    assert time.monotonic() - start < 10
    assert (process.returncode, output, errors) == (130, b"", b"")
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)
