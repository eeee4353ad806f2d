"""``lockcfg lint --render``: templates, checked as what a command makes of them."""

from __future__ import annotations

import json
import os
import re
import tempfile
import time
import tracemalloc
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

from lockcfg.errors import ReadError
from lockcfg.lint import rendering
from lockcfg.lint.engine import Linter
from lockcfg.lint.settings import LintSettings
from tests.ansible.playing import PROGRAMS
from tests.lint import host, write

if TYPE_CHECKING:
    from tests.conftest import RunLockcfg

GUIDE: Final = Path(__file__).parents[2] / "docs/guides/ci.md"

#: A role's templates: one setting is misspelt, and a directory written otherwise.
TEMPLATES: Final = {
    "role/templates/qemu.conf.j2": (
        '{% if lock %}\nlock_manager = "{{ lock }}"\n{% endif %}\nmax_file = 5\n'
    ),
    "role/templates/qemu-lockd.conf.j2": 'file_lockspace_dir = "{{ top }}//files"\n',
}
#: Fills them in as their template language would.
SED: Final = "sed '/{%/d; s/{{ lock }}/lockd/; s,{{ top }},/srv/locks,'"


def codes(printed: str) -> dict[str, set[str]]:
    """The rules that found something, by file."""
    found: dict[str, set[str]] = {}
    for each in json.loads(printed)["findings"]:
        found.setdefault(each["path"], set()).add(each["code"])
    return found


def test_what_becomes_of_a_template_is_checked(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """With the rules of a file and of a host, under the template's name; and no fix is offered for
    a text that stands in no file."""
    write(tmp_path, TEMPLATES)
    passed_over = lockcfg("lint", "--json", tmp_path)
    assert codes(passed_over.stdout) == {}
    for command in (SED, f"{SED} {{}}"):
        done = lockcfg("lint", "--json", "--render", command, tmp_path)
        assert done.returncode == 1
        found = codes(done.stdout)
        assert {Path(path).name: rules for path, rules in found.items()} == {
            "qemu.conf.j2": {"LK102"},
            "qemu-lockd.conf.j2": {"LK208"},
        }
        assert all(each.get("fix") is None for each in json.loads(done.stdout)["findings"])
    lockcfg("lint", "--fix", "--unsafe-fixes", "--render", SED, tmp_path)
    assert {name: (tmp_path / name).read_text() for name in TEMPLATES} == TEMPLATES


def test_a_template_that_has_the_plain_name(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """It is known by its marks; and beside a plain file, another template of it is passed over."""
    write(tmp_path, host("good"))
    text = TEMPLATES["role/templates/qemu.conf.j2"]
    write(tmp_path, {"good/qemu.conf.j2": text, "bad/qemu.conf": text})
    done = lockcfg("lint", "--json", "--render", SED, tmp_path)
    (path,) = [path for path, rules in codes(done.stdout).items() if "LK102" in rules]
    assert path.endswith("bad/qemu.conf")
    assert "good/qemu.conf.j2" in done.stdout


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("/no/such/program", "cannot be run: No such file or directory"),
        ("sh -c 'echo \"no \x1b[1m variable\" >&2; exit 4'", "ended with status 4: no "),
        ("cat", "it is still a template when rendered"),
        (
            "head -c 11000000 /dev/zero",
            "'head' printed more than libvirt reads, which is 10 MiB",
        ),
        ("yes", "'yes' printed more than libvirt reads, which is 10 MiB"),
        ("sh -c 'exec yes >&2'", "'sh' printed more than 10 MiB of messages"),
    ],
)
def test_what_is_not_rendered_is_not_passed_over(
    tmp_path: Path, lockcfg: RunLockcfg, command: str, says: str
) -> None:
    """It is named with the reason, and the status is that of a file that cannot be read."""
    write(tmp_path, TEMPLATES)
    done = lockcfg("lint", "--render", command, tmp_path)
    assert done.returncode == 3
    said = done.stdout + done.stderr
    assert said.count(says) == 2, said
    assert "\x1b" not in said


def test_a_command_that_does_not_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up."""
    write(tmp_path, TEMPLATES)
    monkeypatch.setattr(rendering, "PATIENCE", 0.2)
    render = rendering.renderer("sh -c 'exec sleep 60'")
    result = Linter(LintSettings(root=str(tmp_path)), render=render).run([str(tmp_path)])
    assert [why for _, why in result.unreadable] == [
        "this template was not rendered: 'sh' took longer than 0.2 s"
    ] * 2


@pytest.mark.parametrize(
    ("command", "says"),
    [
        ("exec yes", "printed more than libvirt reads, which is 1 MiB"),
        ("exec yes >&2", "printed more than 1 MiB of messages"),
        ("yes & echo $! >pid; wait", "printed more than libvirt reads, which is 1 MiB"),
        ("yes >&2 & echo $! >pid; wait", "printed more than 1 MiB of messages"),
    ],
)
def test_what_prints_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str, says: str
) -> None:
    """It is ended at once, with what it has started. Nothing of it is on a disk, and little of it
    in memory, while it runs."""
    write(tmp_path, {"qemu.conf.j2": "max_files = 5 {# x #}\n"})
    monkeypatch.setenv("TMPDIR", "/nowhere")
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(rendering, "MOST", 1 << 20)
    monkeypatch.chdir(tmp_path)
    begun = time.monotonic()
    tracemalloc.start()
    try:
        render = rendering.renderer(f"sh -c 'echo $$ >pid; {command}'")
        with pytest.raises(ReadError, match=f"'sh' {says}"):
            render(str(tmp_path / "qemu.conf.j2"))
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert time.monotonic() - begun < rendering.PATIENCE / 2
    see_ended((tmp_path / "pid").read_text().strip())


def test_what_is_no_file_is_not_rendered(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """A command would wait for a pipe, and read a device without end."""
    for name in ("pipe", "device", "large", "gone"):
        (tmp_path / name).mkdir()
    os.mkfifo(tmp_path / "pipe/qemu.conf.j2")
    (tmp_path / "device/qemu.conf.j2").symlink_to("/dev/zero")
    (tmp_path / "gone/qemu.conf.j2").symlink_to("nowhere")
    with (tmp_path / "large/qemu.conf.j2").open("wb") as stream:
        stream.truncate(11_000_000)
    ran = tmp_path / "ran"
    done = lockcfg("lint", "--render", f"sh -c 'touch {ran}; exec cat \"$0\"'", tmp_path)
    assert done.returncode == 3
    assert not ran.exists()
    for name in ("pipe", "device", "large", "gone"):
        assert f"{name}/qemu.conf.j2" in done.stdout + done.stderr


def test_a_command_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither a process, nor is one waited for that has what it prints to."""
    write(tmp_path, {"qemu.conf.j2": "max_files = 5 {# x #}\n"})
    script = f"""sh -c 'sleep 30 & echo $! >{tmp_path}/pid; sed "s/{{#.*#}}//" "$0"'"""
    begun = time.monotonic()
    result = Linter(LintSettings(root=str(tmp_path)), render=rendering.renderer(script)).run(
        [str(tmp_path)]
    )
    assert not result.unreadable
    assert result.files == 1
    assert time.monotonic() - begun < 25
    see_ended((tmp_path / "pid").read_text().strip())


def see_ended(pid: str) -> None:
    """Fail if a process runs on."""
    status = Path(f"/proc/{pid}/stat")
    for _ in range(100):
        # It may not be reaped yet.
        if not status.exists() or status.read_text().split()[2] == "Z":
            return
        time.sleep(0.1)
    pytest.fail(f"process {pid} runs on")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--render", ""], "the command is empty"),
        (["--render", "'x"], "No closing quotation"),
        (["--render", "cat", "--stdin-filename", "qemu.conf"], "--render needs files"),
    ],
)
def test_wrong_usage(tmp_path: Path, lockcfg: RunLockcfg, arguments: list[str], says: str) -> None:
    """The error comes before any command is run."""
    write(tmp_path, TEMPLATES)
    where: list[Any] = [] if "--stdin-filename" in arguments else [tmp_path]
    done = lockcfg("lint", *arguments, *where)
    assert done.returncode == 2
    assert says in done.stderr


def test_a_repository_names_no_command(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """Its settings are refused where they try."""
    write(tmp_path, TEMPLATES)
    write(tmp_path, {".lockcfg.yaml": f"lint:\n  render: touch {tmp_path}/ran\n"})
    assert lockcfg("lint", tmp_path).returncode == 2
    assert not (tmp_path / "ran").exists()


def test_many_templates_in_several_processes(tmp_path: Path) -> None:
    """Each is reported under its own name, also if a plain file has the same text."""
    for number in range(12):
        write(tmp_path, {f"t{number}/qemu.conf.j2": "max_file = 5 {# x #}\n"})
        write(tmp_path, {f"p{number}/qemu.conf": "max_file = 5 \n"})
    settings = LintSettings(root=str(tmp_path))
    render = rendering.renderer("sed 's/{#.*#}//'")
    paths = {
        processes: [
            (each.code, os.path.relpath(each.finding.path, tmp_path))
            for each in Linter(settings, render=render, processes=processes)
            .run([str(tmp_path)])
            .diagnostics
        ]
        for processes in (1, 3)
    }
    assert paths[1] == paths[3]
    misspelt = [path for code, path in paths[1] if code == "LK102"]
    assert sorted(misspelt) == sorted(
        [f"t{number}/qemu.conf.j2" for number in range(12)]
        + [f"p{number}/qemu.conf" for number in range(12)]
    )


def test_the_guide_with_ansible(
    tmp_path: Path, lockcfg: RunLockcfg, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its script renders with the variables of the groups, by the real Ansible."""
    script = re.search(r"```sh\n(#!/bin/sh\n# as-host .*?)```", GUIDE.read_text(), re.DOTALL)
    assert script is not None
    write(tmp_path, TEMPLATES)
    write(
        tmp_path,
        {
            "as-host": script[1],
            "inventory/hosts.yaml": "kvm:\n  hosts:\n    kvm01:\n",
            "inventory/group_vars/kvm.yaml": "lock: lockd\ntop: /srv/locks\n",
        },
    )
    (tmp_path / "as-host").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{PROGRAMS}:{os.environ['PATH']}")
    monkeypatch.setenv("ANSIBLE_LOCAL_TEMP", str(tmp_path / "local"))
    monkeypatch.setenv("ANSIBLE_REMOTE_TEMP", str(tmp_path / "remote"))
    done = lockcfg("lint", "--json", "--render", "./as-host kvm01", "role")
    assert {Path(path).name: rules for path, rules in codes(done.stdout).items()} == {
        "qemu.conf.j2": {"LK102"},
        "qemu-lockd.conf.j2": {"LK208"},
    }, done.stdout + done.stderr
