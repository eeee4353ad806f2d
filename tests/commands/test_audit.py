"""The command audit as a person and a pipeline meet it: progress, colour, exit status."""

from __future__ import annotations

import os
import pty
import subprocess
from typing import TYPE_CHECKING

import pytest

from benchmarks.made_up_fleet import NOW, WRONG, demo, write
from tests.commands.terminal import shown_on
from tests.conftest import LOCKCFG
from tests.fleet.fleets import write_fleet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunLockcfg

AUDIT = ("audit", "--now", str(NOW))


def shown_on_a_terminal(*arguments: str | Path, stream: str = "stderr", **more: str) -> str:
    """What the command shows on a terminal that one of its streams is."""
    master, slave = pty.openpty()
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: slave}
    environment = {**os.environ, "TERM": "xterm", **more}
    with subprocess.Popen([LOCKCFG, *arguments], env=environment, **streams):  # type: ignore[call-overload]
        os.close(slave)
        return shown_on(master)


def test_progress_on_a_terminal_and_nowhere_else(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """On one line, at once, and gone at the end."""
    write(str(tmp_path), 20, full=False)
    shown = shown_on_a_terminal(*AUDIT, tmp_path)
    assert shown.startswith("reading snapshots")
    assert shown.endswith("\r\x1b[K")
    assert "\n" not in shown
    assert lockcfg(*AUDIT, tmp_path).stderr == ""


def test_colour_on_a_terminal_unless_it_is_not_wanted(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """What stands apart and alone is red, what is fine is green."""
    write_fleet(tmp_path, demo())
    shown = shown_on_a_terminal(*AUDIT, tmp_path, stream="stdout")
    assert "\x1b[31;1malone:\x1b[0m kvm03" in shown
    assert "\x1b[31;1mapart from the rest:\x1b[0m kvm12" in shown
    assert "\x1b[32;1mexclude each other:\x1b[0m kvm[01-02,04-11]" in shown
    plain = lockcfg(*AUDIT, tmp_path).stdout
    assert "\x1b" not in plain
    shown = shown_on_a_terminal(*AUDIT, tmp_path, stream="stdout", NO_COLOR="1", COLUMNS="999")
    assert shown.replace("\r\n", "\n") == plain


@pytest.mark.parametrize("width", [60, 200])
def test_a_plan_fits_the_terminal(width: int, tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """Only its commands do not, as a person copies them."""
    write_fleet(tmp_path / "s", demo())
    policy = tmp_path / "fleet.yaml"
    policy.write_text(lockcfg(*AUDIT, "--write-policy", "/dev/stdout", tmp_path / "s").stdout)
    plan = ("plan", "--now", str(NOW), "--policy", policy, tmp_path / "s")
    shown = shown_on_a_terminal(*plan, stream="stdout", NO_COLOR="1", COLUMNS=str(width))
    plain = lockcfg(*plan).stdout
    assert max(len(line) for line in plain.splitlines() if "$ " not in line) > 60
    assert all(len(line) <= width for line in shown.splitlines() if "$ " not in line)
    assert shown.split() == plain.split()


@pytest.mark.parametrize("kind", ["no lock manager", "old"])
def test_no_name_of_a_host_reaches_the_terminal_as_it_is(
    kind: str, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """A snapshot may call its host anything."""
    odd = {"host": {"name": "a\x1b[31mred", "taken": NOW - (9 * 86_400 if kind == "old" else 60)}}
    changes = {**WRONG["no lock manager"], **odd}
    write_fleet(tmp_path / "s", {"kvm01": {}, "kvm02": changes})
    policy = tmp_path / "fleet.yaml"
    policy.write_text(lockcfg(*AUDIT, "--write-policy", "/dev/stdout", tmp_path / "s").stdout)
    for options in (AUDIT, ("plan", "--now", str(NOW), "--policy", policy)):
        said = lockcfg(*options, tmp_path / "s").stdout
        assert "red" in said
        assert "\x1b" not in said


@pytest.mark.parametrize("format", ["text", "json", "junit", "sarif", "github", "html"])
@pytest.mark.parametrize(
    ("kind", "statuses"),
    [
        ("no lock manager", (1, 1, 1)),  # an error
        ("NFSv3", (0, 1, 1)),  # a warning
        ("network disks", (0, 0, 1)),  # information
    ],
)
def test_the_exit_status_is_that_of_the_level_and_of_no_format(
    kind: str, statuses: tuple[int, ...], format: str, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """And by default that of warnings."""
    write_fleet(tmp_path / "s", {"kvm01": WRONG[kind]})
    policy = tmp_path / "fleet.yaml"
    policy.write_text("groups: {all: {hosts: [kvm01]}}\n")
    options = (*AUDIT, "--policy", policy, "--format", format, tmp_path / "s")
    found = [
        lockcfg(*options, "--fail-level", level).returncode
        for level in ("error", "warning", "info")
    ]
    assert tuple(found) == statuses
    assert lockcfg(*options).returncode == statuses[1]


def test_a_report_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    """Not a traceback, and not half of a success; a reader that has seen enough is none."""
    write(str(tmp_path), 300, full=False)
    command = f"{LOCKCFG} audit --now {NOW} {tmp_path}"
    done = subprocess.run(["sh", "-c", f"{command} > /dev/full"], capture_output=True, text=True)
    assert done.returncode == 3
    assert "No space left on device" in done.stderr
    assert "Traceback" not in done.stderr
    done = subprocess.run(["sh", "-c", f"{command} | head -n 1"], capture_output=True, text=True)
    assert done.stderr == ""
