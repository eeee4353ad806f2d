"""The commands of the linter: lint, rules, explain."""

from __future__ import annotations

import json
import os
import pty
import random
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator

from lockcfg.conf.files import KINDS
from lockcfg.fleet.rules import TABLE as AUDIT_TABLE
from lockcfg.fleet.rules import audit_rule
from lockcfg.report.lint import FORMATS
from lockcfg.rules import TABLE, rule_module
from lockcfg.yamlschema import load_schema
from tests.commands.terminal import shown_on
from tests.conftest import LOCKCFG
from tests.lint import CLEAN, host, write
from tests.lint.passwords import PLANTS, hosts, planted, wide
from tests.report.lint import xmllint
from tests.report.lint.test_junit import SCHEMA as JUNIT
from tests.report.lint.test_sarif import VALIDATOR as SARIF

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.conftest import RunLockcfg

#: By format, what takes the JSON of it.
VALIDATORS: Final = {
    "json": Draft202012Validator(load_schema("lint-output")),
    "gitlab": Draft202012Validator(load_schema("lint-gitlab")),
    "sarif": SARIF,
}

#: Runs a command as a user who owns what root owns and may do nothing else that root may.
UNPRIVILEGED: Final = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")

#: What takes away all but ASCII.
ASCII: Final = {"LC_ALL": "C", "PYTHONIOENCODING": "ascii"}

#: A host with an error, a warning and an info.
BAD: Final = {
    "qemu.conf": 'max_files = "5"\nlock_managr = \'x\'\nlock_manager = "lockd"\n',
    "qemu-lockd.conf": 'file_lockspace_dir = "/srv/locks/files"\n',
}


class Ran:
    """What a run of the real command came to. It has printed no traceback."""

    def __init__(self, done: subprocess.CompletedProcess[bytes]) -> None:
        self.status = done.returncode
        self.raw = done.stdout
        self.out = done.stdout.decode("utf-8", "surrogateescape")
        self.err = done.stderr.decode("utf-8", "surrogateescape")
        assert "Traceback" not in self.out + self.err, self.err
        assert "Exception" not in self.err, self.err
        assert self.status in (0, 1, 2, 3), self.err


def lint(
    *arguments: str | Path,
    cwd: Path | None = None,
    text: bytes = b"",
    prefix: Sequence[str] = (),
    command: str = "lint",
    environment: Mapping[str, str] | None = None,
) -> Ran:
    """Run the real command."""
    done = subprocess.run(
        [*prefix, LOCKCFG, command, *arguments],
        cwd=cwd,
        input=text,
        env={**os.environ, **(environment or {})},
        capture_output=True,
        timeout=60,
    )
    return Ran(done)


def one_error(ran: Ran, status: int, *messages: str) -> None:
    """It was not done, and one line says why."""
    assert ran.status == status, (ran.out, ran.err)
    assert ran.out == ""
    errors = [line for line in ran.err.splitlines() if "error: " in line]
    assert len(errors) == 1, ran.err
    for message in messages:
        assert re.search(message, errors[0]), errors[0]
    rest = [line for line in ran.err.splitlines() if line not in errors]
    assert all(line.startswith("  ") for line in rest), ran.err


def bad(name: str) -> dict[str, str]:
    """A host with findings, in a directory."""
    return {f"{name}/{file}": text for file, text in BAD.items()}


# --- the exit status


def well_formed(format: str, text: str) -> None:
    """The output is what its readers can read: where there is a schema, it is valid."""
    if format in VALIDATORS:
        VALIDATORS[format].validate(json.loads(text))
    elif format == "junit":
        xmllint(text, JUNIT)
    elif format == "checkstyle":
        ElementTree.fromstring(text)
    elif format == "text":
        assert re.search(r"^\d+ findings? in \d+ files?, .*\n\Z", text, re.MULTILINE)
    else:
        prefix = {"github": "::", "azure": "##vso["}[format]
        assert all(line.startswith(prefix) for line in text.splitlines())


@pytest.mark.parametrize("format", FORMATS)
def test_the_status_is_the_same_in_every_format(tmp_path: Path, format: str) -> None:
    """0 clean, 1 findings, 2 wrong usage, 3 something could not be read."""
    write(tmp_path, {**host("clean/a"), **bad("findings/a")})
    write(tmp_path, {**host("unreadable/a"), **bad("both/a"), "broken/a/qemu.conf": "user = x\n"})
    for name in ("unreadable", "both"):
        (tmp_path / name / "b").mkdir()
        (tmp_path / name / "b/qemu.conf").symlink_to("gone")
    for name, status in (
        ("clean", 0),
        ("findings", 1),
        ("broken", 1),
        ("unreadable", 3),
        ("both", 3),
    ):
        ran = lint("--format", format, name, cwd=tmp_path)
        assert (ran.status, ran.err) == (status, ""), name
        well_formed(format, ran.out)
    for arguments in (["gone"], ["--select", "LK999"], ["--fix", "--stdin-filename", "qemu.conf"]):
        ran = lint("--format", format, *arguments, cwd=tmp_path)
        if format == "json":
            assert (ran.status, ran.err) == (2, "")
            assert json.loads(ran.out)["error"]["message"]
        else:
            one_error(ran, 2)
    assert lint("--format", format, "--nope", cwd=tmp_path).status == 2


@pytest.mark.parametrize(
    ("level", "severities"),
    [("error", "e"), ("warning", "ew"), ("info", "ewi")],
)
def test_the_level_that_fails(tmp_path: Path, level: str, severities: str) -> None:
    """On the command line and in the settings, which it wins over."""
    write(tmp_path, {"e/qemu.conf": "max_files = 'x'\n", "w/qemu.conf": "nope = 1\n"})
    write(tmp_path, {"i/qemu.conf": "max_files = 5  # why\n"})
    for name in "ewi":
        ignore = ["--ignore", "LK2"]
        write(tmp_path, {".lockcfg.yaml": ""})
        expected = int(name in severities)
        assert lint(*ignore, "--fail-level", level, name, cwd=tmp_path).status == expected
        write(tmp_path, {".lockcfg.yaml": f"fail-level: {level}\n"})
        assert lint(*ignore, name, cwd=tmp_path).status == expected
        assert lint(*ignore, "--fail-level", "info", name, cwd=tmp_path).status == 1


def test_what_is_suppressed_does_not_fail(tmp_path: Path) -> None:
    """By a comment, by the settings, by the baseline."""
    write(tmp_path, {"qemu.conf": "# lockcfg: ignore[LK102] x\nnope = 1\n"})
    assert lint("--select", "LK1", tmp_path).status == 0
    write(tmp_path, {"qemu.conf": "nope = 1\n"})
    assert lint("--select", "LK1", tmp_path).status == 1
    write(tmp_path, {".lockcfg.yaml": "waivers: [{rule: LK102, path: '*', reason: x}]\n"})
    assert lint("--select", "LK1", tmp_path).status == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["gone"], "gone: there is no such file or directory"),
        (["README"], "cannot tell what kind of file 'README' is"),
        (["--select", "LK999"], "--select: no rule is called 'LK999'"),
        (["--select", ","], "--select: no rule is named"),
        (["--select", ""], "--select: no rule is named"),
        (["--ignore", "LK1,nope"], "--ignore: no rule is called 'nope'"),
        (["--libvirt-version", "9"], "'9' is not a libvirt version"),
        (["--libvirt-version", "-9.0"], "'-9.0' is not a libvirt version|expected one argument"),
        (["--guests", "-1"], "--guests: write a number from 0 on"),
        (["--guests", "many"], "invalid int value: 'many'"),
        (["--fail-level", "never"], "invalid choice: 'never'"),
        (["--format", "xml"], "invalid choice: 'xml'"),
        (["--statistics", "--format", "sarif"], "--statistics is for the format text"),
        (["--diff", "--format", "sarif"], "--diff prints a diff"),
        (["--diff", "--write-baseline", "x"], "--diff prints a diff"),
        (["--fix", "--stdin-filename", "qemu.conf"], "need files, not standard input"),
        (["--unsafe-fixes", "--stdin-filename", "qemu.conf"], "need files, not standard input"),
        (["--diff", "--stdin-filename", "qemu.conf"], "need files, not standard input"),
        (["--stdin-filename", "x.conf"], "cannot tell what kind of file 'x.conf' is"),
        (["--stdin-filename", ""], "cannot tell what kind of file '' is"),
        (["--stdin-filename", "qemu.conf", "."], "--stdin-filename is instead of paths"),
    ],
)
def test_wrong_usage(tmp_path: Path, arguments: list[str], message: str) -> None:
    """It says what is wrong, before anything is read or written."""
    write(tmp_path, {"README": "", **host("a")})
    out = tmp_path / "out"
    ran = lint("--output-file", out, *arguments, cwd=tmp_path)
    assert (ran.status, ran.out) == (2, "")
    assert re.search(message, ran.err)
    assert not out.exists()


# --- finding the files

LAYOUTS: Final = {
    "one host's root": "etc/libvirt",
    "host directories": "hosts/kvm01",
    "host roots": "hosts/kvm01/etc/libvirt",
    "a role of Ansible": "roles/libvirt/files",
    "a module of Puppet": "modules/libvirt/files/etc/libvirt",
    "dotfiles": "libvirt/.config/libvirt",
    "dotfiles of chezmoi": "dot_config/libvirt",
    "the files themselves": ".",
}


@pytest.mark.parametrize("directory", LAYOUTS.values(), ids=LAYOUTS)
def test_any_layout(tmp_path: Path, directory: str) -> None:
    """With templates beside it, which are noted and do not fail."""
    template = 'lock_manager = "{{ lock_manager }}"\n'
    write(tmp_path, {"templates/qemu.conf.j2": template, "x/libxl.conf": template})
    write(tmp_path, bad(directory))
    ran = lint(cwd=tmp_path)
    path = os.path.normpath(f"{directory}/qemu.conf")
    assert ran.status == 1
    assert f"{path}:1:13: error: 'max_files'" in ran.out
    assert "note: templates/qemu.conf.j2: a template, passed over\n" in ran.out
    assert "note: x/libxl.conf: a template, passed over\n" in ran.out


def test_templates_alone_are_fine(tmp_path: Path) -> None:
    """Also one that is named."""
    write(tmp_path, {"a/qemu.conf.j2": "{{", "b/virtlockd.conf.erb": "<%"})
    write(tmp_path, {"c/qemu.conf": "{{ a }}"})
    for paths in (["."], ["a/qemu.conf.j2", "b", "c/qemu.conf"]):
        ran = lint(*paths, cwd=tmp_path)
        assert ran.status == 0
        assert ran.out.count("a template, passed over") == 3


def test_what_another_user_may_not_read(tmp_path: Path) -> None:
    """The report says so, each format in its own way, and the rest is still checked."""
    write(tmp_path, {**bad("a"), **host("b"), "c/d/qemu.conf": ""})
    (tmp_path / "b/qemu.conf").chmod(0)
    (tmp_path / "c/d").chmod(0)
    ran = lint(tmp_path, prefix=UNPRIVILEGED, cwd=tmp_path)
    assert (ran.status, ran.err) == (3, "")
    assert "a/qemu.conf:1:13: error: 'max_files'" in ran.out
    assert "b/qemu.conf: error: cannot be read: Permission denied\n" in ran.out
    assert "c/d: error: cannot be read: Permission denied\n" in ran.out
    assert ran.out.endswith(", 2 unreadable\n")
    ran = lint("--format", "json", tmp_path, prefix=UNPRIVILEGED, cwd=Path("/"))
    unreadable = json.loads(ran.out)["unreadable"]
    assert {os.path.basename(each["path"]) for each in unreadable} == {"qemu.conf", "d"}
    (tmp_path / "c/d").chmod(0o700)


def test_loops_sockets_and_many_other_files(tmp_path: Path) -> None:
    """Nothing hangs, also if 100,000 files are not ours."""
    for number in range(200):
        directory = tmp_path / f"d{number:03}"
        directory.mkdir()
        at = os.open(directory, os.O_RDONLY)
        for name in range(500):
            os.close(os.open(f"f{name}", os.O_CREAT | os.O_WRONLY, dir_fd=at))
        os.close(at)
    write(tmp_path, bad("d100/a"))
    (tmp_path / "d100/a/loop").symlink_to("..")
    (tmp_path / "d100/b").mkdir()
    (tmp_path / "d100/b/qemu.conf").symlink_to("qemu.conf")
    (tmp_path / "d100/c").mkdir()
    os.mkfifo(tmp_path / "d100/c/qemu.conf")
    ran = lint(tmp_path)
    assert ran.status == 3
    assert "Too many levels of symbolic links" in ran.out
    assert "is a pipe, not a regular file" in ran.out
    assert "3 findings in 2 files" in ran.out
    shutil.rmtree(tmp_path)


def test_paths_are_from_here_for_a_person_and_from_the_top_for_a_tool(tmp_path: Path) -> None:
    """Wherever it is run."""
    write(tmp_path, {"r/.lockcfg.yaml": "select: [LK105]", **bad("r/hosts/a"), "x/y": ""})
    for cwd, path, shown in (
        ("r", "hosts", "hosts/a/qemu.conf"),
        ("r/hosts", "a", "a/qemu.conf"),
        ("r/hosts/a", "./qemu.conf", "qemu.conf"),
        ("x", "../r/hosts//a/", f"{tmp_path}/r/hosts/a/qemu.conf"),
        (".", f"{tmp_path}/r", "r/hosts/a/qemu.conf"),
    ):
        ran = lint(path, cwd=tmp_path / cwd)
        assert ran.out.startswith(f"{shown}:1:13: error: "), cwd
        ran = lint("--format", "json", path, cwd=tmp_path / cwd)
        (finding,) = json.loads(ran.out)["findings"]
        assert finding["path"] == "hosts/a/qemu.conf"


#: Where each of the formats that services read has the path of a finding.
PATHS_IN: Final = {
    "json": r'"path": "(.+?)"',
    "sarif": r'"uri": "(.+?)", "uriBaseId"',
    "github": r"^::\w+ file=(.+?),",
    "gitlab": r'"path": "(.+?)"',
    "junit": r'<testsuite name="(.+?)"',
    "checkstyle": r'<file name="(.+?)"',
    "azure": r"sourcepath=(.+?);",
}


@pytest.mark.parametrize("format", PATHS_IN)
def test_paths_for_a_service_are_from_the_top_of_the_repository(
    tmp_path: Path, format: str
) -> None:
    """Wherever the settings are, and wherever it is run: a service knows no other ones."""
    assert set(PATHS_IN) == {*FORMATS} - {"text"}
    write(tmp_path, {"r/infra/.lockcfg.yaml": "select: [LK105]", **bad("r/infra/hosts/a")})
    write(tmp_path, {"shared.yaml": "select: [LK105]", "r/infra/hosts/qemu.conf.j2": ""})
    subprocess.run(["git", "init", "--quiet", tmp_path / "r"], check=True)
    for cwd, arguments in (
        (".", ["r"]),
        ("r", ["infra/hosts"]),
        ("r/infra", []),
        ("r/infra/hosts/a", ["qemu.conf"]),
        ("r/infra", ["--settings", "../../shared.yaml"]),
        (".", ["--settings", "shared.yaml", "r/infra"]),
    ):
        ran = lint("--format", format, "--select", "LK105", *arguments, cwd=tmp_path / cwd)
        found = set(re.findall(PATHS_IN[format], ran.out, re.MULTILINE))
        assert found == {"infra/hosts/a/qemu.conf"}, arguments
        assert str(tmp_path) not in ran.out


def test_the_same_on_every_run(tmp_path: Path) -> None:
    """Byte for byte, however hashes fall; and by whatever path."""
    for number in range(30):
        write(tmp_path, bad(f"hosts/h{number * 7 % 30}"))
    (tmp_path / "hosts/bad").mkdir()
    for name in KINDS:
        (tmp_path / "hosts/bad" / name).symlink_to("gone")
    for each in FORMATS:
        outputs = {
            lint("--format", each, path, cwd=tmp_path, environment={"PYTHONHASHSEED": seed}).raw
            for path, seed in (("hosts", "1"), ("./hosts/", "2"), (str(tmp_path / "hosts"), "3"))
        }
        assert len(outputs) == 1, each


HOSTILE: Final = "\n::error::x \x1b[31m\udcff%0A##vso[task.complete]"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"},
        ASCII,
        {"PYTHONIOENCODING": "ascii:strict"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONUTF8": "1"},
    ],
    ids=lambda environment: " ".join(f"{k}={v}" for k, v in environment.items()) or "default",
)
def test_hostile_names_in_any_locale(tmp_path: Path, environment: dict[str, str]) -> None:
    """Nothing is raised, nothing drives the terminal, and nothing is a command of its own."""
    text = 'nope = "é漢\U0001f512"\nuser = \'\x1b[2J\'\nlock_manager = "\xff\x07"\n'
    text += 'max_files = "é"\n'
    write(tmp_path, {f"{HOSTILE}é漢/qemu.conf": text, f"{HOSTILE}/qemu.conf.j2": ""})
    (tmp_path / f"{HOSTILE}/virtlockd.conf").symlink_to(f"gone{HOSTILE}")
    for each in FORMATS:
        ran = lint("--format", each, ".", cwd=tmp_path, environment=environment)
        assert ran.status == 3
        assert "\x1b" not in ran.out
        lines = ran.out.splitlines()
        assert not [line for line in lines if line.startswith(("::error::x", "##vso[task.comp"))]
        well_formed(each, ran.out)
    for arguments in (["--diff"], ["--statistics"], ["--write-baseline", "known.json"]):
        assert lint(*arguments, ".", cwd=tmp_path, environment=environment).status == 3


# --- where the output goes


def test_an_output_file(tmp_path: Path) -> None:
    """By option or environment; standard output is then empty, and the status the same."""
    write(tmp_path, bad("a"))
    expected = lint("--format", "sarif", "a", cwd=tmp_path)
    out = tmp_path / "out.sarif"
    ran = lint("--format", "sarif", "--output-file", out, "a", cwd=tmp_path)
    assert (ran.status, ran.out, ran.err) == (1, "", "")
    assert out.read_bytes() == expected.raw
    out.write_text("old " * 100_000)
    environment = {"LOCKCFG_OUTPUT_FILE": str(out)}
    ran = lint("--format", "sarif", "a", cwd=tmp_path, environment=environment)
    assert (ran.status, ran.out) == (1, "")
    assert out.read_bytes() == expected.raw
    other = tmp_path / "other"
    lint("a", "--output-file", other, cwd=tmp_path, environment=environment)
    assert other.read_text().startswith("a/qemu.conf:1:13: error: ")
    assert lint("a", cwd=tmp_path, environment={"LOCKCFG_OUTPUT_FILE": ""}).out != ""
    # A user who has become root has it from another user.
    out.unlink()
    for became in ("SUDO_UID", "DOAS_USER", "PKEXEC_UID"):
        ran = lint("a", cwd=tmp_path, environment={**environment, became: "1000"})
        one_error(ran, 2, "comes from the environment of the user who has become root")
        assert not out.exists()
    lint("--fix", "--diff", "a", "--output-file", other, cwd=tmp_path)
    assert other.read_text().startswith("--- a/qemu.conf\n+++ a/qemu.conf\n@@")
    lint("--statistics", "a", "--output-file", other, cwd=tmp_path)
    assert "LK105" in other.read_text()


def test_an_output_file_that_cannot_be_written(tmp_path: Path) -> None:
    """It is an error, and there is no result."""
    write(tmp_path, bad("a"))
    (tmp_path / "closed").mkdir(mode=0o500)
    for path, why in (
        ("gone/out", "No such file or directory"),
        (".", "Is a directory"),
        ("/dev/full", "is not a regular file"),
        ("closed/out", "Permission denied"),
    ):
        for arguments in ([], ["--format", "json"], ["--diff"], ["--statistics"]):
            ran = lint(*arguments, "--output-file", path, "a", cwd=tmp_path, prefix=UNPRIVILEGED)
            one_error(ran, 3, f"{path}: {why}")


def test_a_full_or_closed_standard_output(tmp_path: Path) -> None:
    """It is an error too; a file after which nothing is read is not mentioned."""
    write(tmp_path, bad("a"))
    for arguments in ("a", "--format json a", "--fix --diff a"):
        done = subprocess.run(
            ["sh", "-c", f"{LOCKCFG} lint {arguments} > /dev/full"],
            cwd=tmp_path,
            capture_output=True,
        )
        assert done.returncode == 3
        assert b"Traceback" not in done.stderr
    for number in range(300):
        write(tmp_path, bad(f"h{number}"))
    done = subprocess.run(
        ["bash", "-c", f"{LOCKCFG} lint . | head -n 1; exit ${{PIPESTATUS[0]}}"],
        cwd=tmp_path,
        capture_output=True,
    )
    assert done.returncode in (1, 3)
    assert done.stderr == b""


def on_a_terminal(*arguments: str | Path) -> tuple[str, str]:
    """Run the command with standard error on a terminal: its output, and what is shown there."""
    master, slave = pty.openpty()
    with subprocess.Popen(
        [LOCKCFG, "lint", *arguments],
        stdout=subprocess.PIPE,
        stderr=slave,
        env={**os.environ, "TERM": "xterm"},
    ) as process:
        os.close(slave)
        assert process.stdout is not None
        shown = shown_on(master)
        output = process.stdout.read()
    return output.decode(), shown


def test_progress_on_a_terminal_and_nowhere_else(tmp_path: Path) -> None:
    """Progress is shown on one line, which is gone at the end, and only if there are many files."""
    for number in range(3000):
        write(tmp_path, host(f"hosts/h{number}"))
    output, shown = on_a_terminal(tmp_path)
    assert output == "0 findings in 6000 files, 0 fixable, 0 suppressed\n"
    assert re.search(r"\r\d+ files", shown)
    assert "\n" not in shown
    assert shown.endswith("\r\x1b[K")
    ran = lint(tmp_path)
    assert (ran.out, ran.err) == (output, "")
    output, shown = on_a_terminal(tmp_path / "hosts/h1")
    assert "files" not in shown


def test_what_the_package_installs(host_root: Path) -> None:
    """It has nothing wrong with it, and protects nothing."""
    content = json.loads(lint("--format", "json", host_root).out)
    assert content["summary"]["files"] == len(KINDS)
    worse = [found["code"] for found in content["findings"] if found["severity"] != "info"]
    assert worse == ["LK201"]


def test_statistics(tmp_path: Path) -> None:
    """Counts, the most first, and no findings."""
    write(tmp_path, {**bad("a"), **bad("b"), "c/qemu.conf": "max_files = '1'\n"})
    ran = lint("--statistics", "--select", "LK1", tmp_path)
    assert ran.status == 1
    assert ran.out.splitlines() == [
        "  3  LK105  wrong-type   3 fixable",
        "  3  LK110  stock-lens   3 fixable",
        "  2  LK102  unknown-key",
        "8 findings in 5 files, 6 fixable, 0 suppressed",
    ]
    write(tmp_path / "clean", host("a"))
    ran = lint("--statistics", tmp_path / "clean")
    assert (ran.status, ran.out) == (0, "0 findings in 2 files, 0 fixable, 0 suppressed\n")


# --- one file from standard input


def test_standard_input(tmp_path: Path) -> None:
    """As if it were at a path, which need not be there, with the settings for it."""
    write(tmp_path, {"a/.lockcfg.yaml": "severity: {LK105: info}\n", "a/qemu.conf": "nope = 1\n"})
    ran = lint("--stdin-filename", "a/qemu.conf", cwd=tmp_path, text=b'max_files = "5"\n')
    assert ran.status == 0
    assert ran.out.startswith("a/qemu.conf:1:13: info: 'max_files' takes")
    assert "1 finding in 1 file" in ran.out
    ran = lint("--stdin-filename", "gone/virtlockd.conf", cwd=tmp_path, text=b"max_clients = 0\n")
    assert ran.status == 1
    assert "gone/virtlockd.conf:1:15: error: " in ran.out
    ran = lint("--stdin-filename", "qemu.conf", cwd=tmp_path, text=b"")
    assert (ran.status, ran.out) == (0, "0 findings in 1 file, 0 fixable, 0 suppressed\n")


@pytest.mark.parametrize("format", FORMATS)
def test_standard_input_of_any_kind(tmp_path: Path, format: str) -> None:
    """Binary, with a NUL, a template, not UTF-8: a finding or a note, and no more."""
    for text, status in (
        (random.Random(1).randbytes(1000) + b"\0", 1),
        (b"\x8c\x9f{{\0}}\n", 1),
        (b"user = {{ \0 }}\n", 1),
        (b"user = {{ caf\xe9 }}\n", 1),
        (b"{% if a %}\n# caf\xe9\n{% endif %}\n", 1),
        (b'user = "\0"\n', 1),
        (bytes(range(256)), 1),
        (b"\x7fELF\x02\x01\x01\0", 1),
        (b'user = "caf\xe9"\n', 1),
        (b"user = {{ user }}\n", 0),
        (b"\n", 1),
    ):
        ran = lint("--format", format, "--stdin-filename", "qemu.conf", cwd=tmp_path, text=text)
        assert (ran.status, ran.err) == (status, ""), text
        well_formed(format, ran.out)


def test_standard_input_that_is_too_large_or_closed(tmp_path: Path) -> None:
    """libvirt would not read that file."""
    arguments = ("--stdin-filename", "qemu.conf")
    limit = 10 * 1024 * 1024
    assert lint(*arguments, cwd=tmp_path, text=b"#" * limit).status == 0
    ran = lint(*arguments, cwd=tmp_path, text=b"#" * (limit + 1))
    one_error(ran, 3, "standard input: is larger than 10 MiB")
    done = subprocess.run(
        ["sh", "-c", f"{LOCKCFG} lint --stdin-filename qemu.conf <&-"], capture_output=True
    )
    one_error(Ran(done), 3, "standard input: is closed")


# --- settings and baselines


@pytest.mark.parametrize(
    ("text", "status", "message"),
    [
        ("a: [", 3, "is not YAML"),
        (b"\xff\xfe\x00", 3, "is not YAML"),
        ("- LK1", 2, "is not of type 'object'"),
        ("ingore: [LK1]", 2, "'ingore' was unexpected"),
        ("select: [LK999]", 2, "no rule is called 'LK999'"),
        ("waivers: [{rule: LK1, path: a, reason: b, until: soon}]", 2, "'soon' does not match"),
        ("waivers: [{rule: LK1, path: a, reason: b, until: '2026-02-31'}]", 2, "is not a date"),
        ("guests: many", 2, "guests: 'many' is not of type 'integer'"),
        ("baseline: gone.json", 3, "gone.json: No such file or directory"),
        ("baseline: .", 3, "is a directory"),
        ("baseline: .lockcfg.yaml", 3, "is not a baseline"),
        ("x: &a [*a]", 3, "holds too much, or itself"),
        # a configuration in the place of the settings: what it says is not told
        ("vnc_password: hunter2", 2, "Additional properties are not allowed"),
        ('vnc_password = "hunter2"', 2, r"yaml:1:1: 'vnc_password = \"\*"),
        ('a: "vnc_password=hunter2', 3, "is not YAML"),
        ("guests: {vnc_password: hunter2}", 2, "guests: "),
    ],
)
def test_bad_settings(tmp_path: Path, text: str | bytes, status: int, message: str) -> None:
    """One message, with the file; found or named."""
    write(tmp_path, {".lockcfg.yaml": text, **host("a")})
    for arguments in (["a"], ["--settings", ".lockcfg.yaml", "a"]):
        ran = lint(*arguments, cwd=tmp_path)
        one_error(ran, status, message)
        assert "hunter2" not in ran.err


def test_settings_that_are_no_file(tmp_path: Path) -> None:
    """A directory, or what may not be read."""
    write(tmp_path, {**host("a/b"), "c/.lockcfg.yaml": "", **host("c/d")})
    (tmp_path / "a/.lockcfg.yaml").mkdir()
    (tmp_path / "c/.lockcfg.yaml").chmod(0)
    one_error(lint("a/b", cwd=tmp_path), 3, "a/.lockcfg.yaml: is a directory")
    one_error(lint("--settings", "a", "c", cwd=tmp_path), 3, "a: is a directory")
    one_error(lint("--settings", "gone", "c", cwd=tmp_path), 3, "gone: No such file")
    one_error(lint("c", cwd=tmp_path, prefix=UNPRIVILEGED), 3, "yaml: Permission denied")


def test_settings_are_used(tmp_path: Path) -> None:
    """And the command line wins over them."""
    write(tmp_path, {**bad("a"), ".lockcfg.yaml": "select: [LK102]\nignore: [LK110]\n"})

    def found(*arguments: str) -> list[str]:
        ran = lint("--format", "json", *arguments, "a", cwd=tmp_path)
        return [finding["code"] for finding in json.loads(ran.out)["findings"]]

    assert found() == ["LK102"]
    assert found("--select", "LK1") == ["LK105", "LK102"]
    assert found("--select", "ALL", "--ignore", "LK105") == ["LK102"]
    write(tmp_path, {"pyproject.toml": "[tool.lockcfg]\nselect = ['LK105']\n"})
    (tmp_path / ".lockcfg.yaml").unlink()
    assert found() == ["LK105"]


def test_what_the_rules_are_told(tmp_path: Path) -> None:
    """By options of the command line."""
    write(tmp_path, {"a/qemu.conf": 'lock_manager = "lockd"\nsched_core = "vcpus"\n'})
    assert "LK109" in lint("--libvirt-version", "8.0.0", tmp_path).out
    assert "LK109" not in lint("--libvirt-version", "9.0.0", tmp_path).out


def test_a_version_that_is_not_sure_is_no_fact(tmp_path: Path) -> None:
    """Where no source says which release brought a setting."""
    write(tmp_path, {"a/qemu.conf": 'lock_manager = "lockd"\nauto_start_delay = 100\n'})
    found = lint("--libvirt-version", "10.0.0", tmp_path).out
    assert "of libvirt 11.2.0 and newer, and not for sure of 10.0.0: it may ignore it" in found
    found = lint("--libvirt-version", "9.0.0", tmp_path).out
    assert "came after libvirt 9.0.0, with 11.2.0 at the latest: 9.0.0 ignores it" in found
    assert "LK109" not in lint("--libvirt-version", "11.3.0", tmp_path).out
    assert "LK301" in lint("--guests", "5000", tmp_path).out
    assert "LK301" not in lint("--guests", "5", tmp_path).out


@pytest.mark.parametrize(
    ("value", "version", "since"),
    [
        ("zstd", "10.3.0", "10.4.0"),
        ("zstd", "10.4.0", ""),
        ("zstd", "10.4", ""),
        ("sparse", "11.1.0", "11.2.0"),
        ("sparse", "11.2.0", ""),
        ("xz", "7.0.0", ""),
    ],
)
def test_a_value_that_came_later(tmp_path: Path, value: str, version: str, since: str) -> None:
    """It is not known to an older libvirt."""
    write(tmp_path, {"a/qemu.conf": f'lock_manager = "lockd"\nsave_image_format = "{value}"\n'})
    found = lint("--libvirt-version", version, tmp_path).out
    said = f"'{value}' came with libvirt {since}: {version} does not know it"
    assert (said in found) == ("LK109" in found) == bool(since)


def test_a_version_is_libvirts(tmp_path: Path) -> None:
    """The linter does not judge the file of sanlock's daemon, which has releases of its own."""
    write(tmp_path, {"sanlock.conf": "use_watchdog = 0\nmax_worker_threads = 9\n"})
    assert "LK109" not in lint("--libvirt-version", "3.0.0", tmp_path).out


@pytest.mark.parametrize(
    ("text", "broken"),
    [
        ("backup_port_min = 10871\n", False),
        ("backup_port_min = 10872\n", True),
        ("backup_port_max = 10809\n", True),
        ("backup_port_min = 20000\nbackup_port_max = 20001\n", False),
    ],
)
def test_settings_that_go_together_where_a_release_has_them(
    text: str, broken: bool, tmp_path: Path
) -> None:
    """libvirt 12.8 refuses to start; 11.3 ignores the settings."""
    (tmp_path / "qemu.conf").write_text(text)
    assert ("LK106" in lint("--libvirt-version", "12.8", tmp_path).out) == broken
    assert "LK106" not in lint("--libvirt-version", "11.3", tmp_path).out


def test_a_baseline(tmp_path: Path) -> None:
    """Written, used by option and by settings, found stale, written again."""
    write(tmp_path, {**bad("a"), **host("b"), ".lockcfg.yaml": ""})
    ran = lint("--write-baseline", "known.json", cwd=tmp_path)
    assert (ran.status, ran.out, ran.err) == (0, "3 findings written to known.json\n", "")
    assert (tmp_path / "known.json").stat().st_mode & 0o777 == 0o644
    known = json.loads((tmp_path / "known.json").read_text())
    Draft202012Validator(load_schema("baseline")).validate(known)
    assert lint(cwd=tmp_path).status == 1
    ran = lint("--baseline", "known.json", cwd=tmp_path)
    assert (ran.status, ran.out) == (0, "0 findings in 4 files, 0 fixable, 3 suppressed\n")
    assert lint("--baseline", "../known.json", "..", cwd=tmp_path / "a").status == 0
    write(tmp_path, {".lockcfg.yaml": "baseline: known.json\n"})
    assert lint(cwd=tmp_path).status == 0
    assert lint(".", cwd=tmp_path / "b").status == 0
    text = (tmp_path / "a/qemu.conf").read_text()
    write(tmp_path, {"a/qemu.conf": f"\n# moved\n{text}", "b/virtlockd.conf": "nope = 1\n"})
    ran = lint(cwd=tmp_path)
    assert ran.status == 1
    assert "b/virtlockd.conf:1:1: warning: unknown setting 'nope'" in ran.out
    assert "1 finding in 5 files, 0 fixable, 3 suppressed" in ran.out
    write(tmp_path, host("a"))
    ran = lint("--fail-level", "info", "a", cwd=tmp_path)
    assert ran.status == 1
    assert ran.out.count("LK904") == 3
    before = (tmp_path / "known.json").stat().st_ino
    assert lint("--write-baseline", "known.json", cwd=tmp_path).out.startswith("1 finding ")
    assert (tmp_path / "known.json").stat().st_ino != before
    assert lint(cwd=tmp_path).status == 0
    assert list(tmp_path.glob(".*new")) == []


def test_a_baseline_of_what_cannot_be_read(tmp_path: Path) -> None:
    """The report covers the rest, and says that it is incomplete."""
    write(tmp_path, bad("a"))
    (tmp_path / "a/virtlockd.conf").symlink_to("gone")
    ran = lint("--write-baseline", "known.json", cwd=tmp_path)
    assert ran.status == 3
    assert "a/virtlockd.conf: error: cannot be read" in ran.err
    assert len(json.loads((tmp_path / "known.json").read_text())["findings"]) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a baseline"),
        ("{", "is not a baseline"),
        (b"\xff\0", "is not a baseline"),
        ("[" * 10_000, "is not a baseline"),
        ('{"version": 1, "findings": {"vnc_password": "hunter2"}}', "is not a baseline"),
        ('{"version": 2, "findings": []}', "is a baseline of another version"),
    ],
    ids=lambda value: repr(value)[:20],
)
def test_a_bad_baseline(tmp_path: Path, text: str | bytes, message: str) -> None:
    """One message, and what to do."""
    write(tmp_path, {**host("a"), "known.json": text})
    ran = lint("--baseline", "known.json", "a", cwd=tmp_path)
    one_error(ran, 3, f"known.json: {message}")
    assert "hunter2" not in ran.err
    assert lint("--baseline", "known.json", "--write-baseline", "known.json", "a", cwd=tmp_path)
    assert lint("--baseline", "known.json", "a", cwd=tmp_path).status == 0


def test_a_baseline_that_cannot_be_written(tmp_path: Path) -> None:
    """It says why."""
    write(tmp_path, bad("a"))
    (tmp_path / "closed").mkdir(mode=0o500)
    for path, why in (
        ("gone/known.json", "gone/known.json: No such file or directory"),
        ("a", "a: Is a directory"),
        ("closed/known.json", "Permission denied"),
    ):
        ran = lint("--write-baseline", path, "a", cwd=tmp_path, prefix=UNPRIVILEGED)
        one_error(ran, 3, why)


# --- fixes


def test_fixes(tmp_path: Path) -> None:
    """Safe ones, then the others, each time shown before; and the report is of what is left."""
    write(tmp_path, bad("a"))
    path = tmp_path / "a/qemu.conf"
    before = path.read_text()
    ran = lint("--fix", "--diff", "a", cwd=tmp_path)
    assert (ran.status, path.read_text()) == (1, before)
    assert ran.out == (
        "--- a/qemu.conf\n+++ a/qemu.conf\n@@ -1,3 +1,3 @@\n"
        '-max_files = "5"\n-lock_managr = \'x\'\n+max_files = 5\n+lock_managr = "x"\n'
        ' lock_manager = "lockd"\n'
    )
    assert lint("--diff", "a", cwd=tmp_path).out == ran.out
    ran = lint("--fix", "a", cwd=tmp_path)
    assert ran.status == 1
    assert ran.out.endswith("1 finding in 2 files, 0 fixable, 0 suppressed\n")
    assert path.read_text() == 'max_files = 5\nlock_managr = "x"\nlock_manager = "lockd"\n'
    status = path.stat()
    mended = (
        "fixed a (qemu). Protection: unknown\n"
        "  Disks are locked; whether other hosts see all the locks, this host cannot tell.\n"
    )
    assert mended in ran.out
    # Nothing is changed or reported.
    assert lint("--fix", "a", cwd=tmp_path).out == ran.out.replace(mended, "")
    assert (path.stat().st_ino, path.stat().st_mtime_ns) == (status.st_ino, status.st_mtime_ns)
    assert lint("--fix", "--diff", "a", cwd=tmp_path).out == ""
    write(tmp_path, {"a/qemu.conf": 'lock_managr = "lockd"\nmax_files = "5"\n'})
    ran = lint("--unsafe-fixes", "--diff", "a", cwd=tmp_path)
    assert '+lock_manager = "lockd"\n+max_files = 5\n' in ran.out
    ran = lint("--unsafe-fixes", "a", cwd=tmp_path)
    assert ran.status == 0
    assert ran.out.endswith("\n0 findings in 2 files, 0 fixable, 0 suppressed\n")
    assert path.read_text() == 'lock_manager = "lockd"\nmax_files = 5\n'


def test_a_fix_goes_through_the_atomic_writer(tmp_path: Path) -> None:
    """Mode, owner, attributes and links are kept; the file is another one; nothing is left."""
    write(tmp_path, {"real/conf": "max_files = '5'\n", "a/x": ""})
    real = tmp_path / "real/conf"
    os.chown(real, 12, 34)
    real.chmod(0o640)
    os.setxattr(real, "user.note", b"kept")
    (tmp_path / "a/qemu.conf").symlink_to("../real/conf")
    before = real.stat()
    ran = lint("--fix", "--select", "LK1", "a", cwd=tmp_path)
    assert (ran.status, ran.err) == (0, "")
    after = real.stat()
    assert real.read_text() == "max_files = 5\n"
    assert (after.st_uid, after.st_gid, after.st_mode & 0o7777) == (12, 34, 0o640)
    assert os.getxattr(real, "user.note") == b"kept"
    assert after.st_ino != before.st_ino
    assert (tmp_path / "a/qemu.conf").readlink() == Path("../real/conf")
    assert sorted(os.listdir(tmp_path / "real")) == ["conf"]
    assert sorted(os.listdir(tmp_path / "a")) == ["qemu.conf", "x"]


def test_a_fix_in_a_directory_that_is_read_only(tmp_path: Path) -> None:
    """It says so, changes nothing, and leaves nothing behind; the diff needs no more than to
    read."""
    write(tmp_path, bad("a"))
    path = tmp_path / "a/qemu.conf"
    (tmp_path / "a").chmod(0o500)
    for option in ("--fix", "--unsafe-fixes"):
        ran = lint(option, "a", cwd=tmp_path, prefix=UNPRIVILEGED)
        one_error(ran, 3, "a/qemu.conf: cannot be written: Permission denied|Permission denied")
    assert path.read_text() == BAD["qemu.conf"]
    assert sorted(os.listdir(tmp_path / "a")) == sorted(BAD)
    assert lint("--fix", "--diff", "a", cwd=tmp_path, prefix=UNPRIVILEGED).status == 1
    (tmp_path / "a").chmod(0o700)


def test_fixes_and_what_cannot_be_read(tmp_path: Path) -> None:
    """The rest is fixed, and the status tells."""
    write(tmp_path, bad("a"))
    (tmp_path / "a/virtlockd.conf").symlink_to("gone")
    ran = lint("--fix", "--diff", "a", cwd=tmp_path)
    assert ran.status == 3
    assert ran.out.startswith("--- a/qemu.conf")
    assert "a/virtlockd.conf: error: cannot be read" in ran.err
    ran = lint("--fix", "a", cwd=tmp_path)
    assert ran.status == 3
    assert (tmp_path / "a/qemu.conf").read_text().startswith("max_files = 5\n")


def test_fixes_in_every_format(tmp_path: Path) -> None:
    """The report is of what is left."""
    for each in FORMATS:
        write(tmp_path, {"a/qemu.conf": 'lock_manager = "lockd"\nmax_files = "5"\n', "a/x": ""})
        ran = lint("--fix", "--format", each, "--ignore", "LK2", "a", cwd=tmp_path)
        assert ran.status == 0, each
        well_formed(each, ran.out)


def test_a_fix_can_be_killed(tmp_path: Path) -> None:
    """At any time: each file is the old one or the new one."""
    old, new = "# x\n" * 50 + "max_files = '5'\n", "# x\n" * 50 + "max_files = 5\n"
    for delay in (0.05, 0.1, 0.15, 0.2):
        write(tmp_path, {f"h{number}/qemu.conf": old for number in range(100)})
        with subprocess.Popen(
            [LOCKCFG, "lint", "--fix", tmp_path], stdout=subprocess.DEVNULL
        ) as process:
            time.sleep(delay)
            process.kill()
        texts = {path.read_text() for path in tmp_path.glob("*/qemu.conf")}
        assert texts <= {old, new}


# --- passwords


@pytest.fixture(scope="module")
def secrets() -> tuple[tuple[str, str], tuple[str, str]]:
    """Two pairs of passwords of the same length, of letters and of digits."""
    return ("Xq7Geheim1", "8642097531"), ("Zw3Wortlos", "9753186420")


@pytest.fixture(scope="module")
def fleets(
    tmp_path_factory: pytest.TempPathFactory, secrets: tuple[tuple[str, str], ...]
) -> list[Path]:
    """The same repository twice, with other passwords in it; one half is tracked by git."""
    tops = []
    for pair in secrets:
        top = tmp_path_factory.mktemp("fleet") / "r"
        write(top, hosts(pair))
        subprocess.run(["git", "init", "--quiet", top], check=True)
        subprocess.run(["git", "-C", top, "add", "p0*", "q0*"], check=True)
        for path in top.glob("r*/virtlockd.conf"):
            path.chmod(0o644)
        tops.append(top)
    return tops


RUNS: Final = (
    *(("--format", each) for each in FORMATS),
    ("--statistics",),
    ("--fix", "--diff"),
    ("--unsafe-fixes", "--diff"),
    ("--libvirt-version", "1.0.0", "--guests", "5000"),
    ("--ignore", "LK4"),
    ("--select", "LK9"),
)


def leaks(text: str, pairs: tuple[tuple[str, str], ...]) -> list[str]:
    """The lines with a password in them, also with something between its letters."""
    found = []
    for line in text.splitlines():
        plain = re.sub(r"\\x00|\\u0000|\x00|\ufffd|&#65533;|\\ufffd", "", line)
        if any(secret in plain for pair in pairs for secret in pair):
            found.append(line)
    return found


@pytest.mark.parametrize("arguments", RUNS, ids=" ".join)
def test_no_output_shows_a_password(
    fleets: list[Path], secrets: tuple[tuple[str, str], ...], arguments: tuple[str, ...]
) -> None:
    """And none depends on it, so that it cannot be found out from a fingerprint either."""
    outputs = []
    for top in fleets:
        ran = lint(*arguments, cwd=top)
        assert ran.status == 1
        assert leaks(ran.out + ran.err, secrets) == []
        outputs.append(ran.raw)
    assert len(outputs[0]) > 100
    if "--diff" not in arguments:
        assert outputs[0] == outputs[1]


def test_no_baseline_holds_a_password(
    fleets: list[Path], secrets: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    """It is committed."""
    texts = []
    for number, top in enumerate(fleets):
        path = tmp_path / f"known{number}.json"
        assert lint("--write-baseline", path, cwd=top).status == 0
        texts.append(path.read_text())
        assert leaks(texts[-1], secrets) == []
        ran = lint("--baseline", path, "--format", "json", cwd=top)
        assert leaks(ran.out, secrets) == []
    assert texts[0] == texts[1]


def test_no_fix_shows_a_password(tmp_path: Path, secrets: tuple[tuple[str, str], ...]) -> None:
    """While and after it is applied; and it is still in the file."""
    write(tmp_path, hosts(secrets[0]))
    for arguments in (["--fix"], ["--unsafe-fixes", "--format", "sarif"]):
        ran = lint(*arguments, cwd=tmp_path)
        assert ran.status == 1
        assert leaks(ran.out + ran.err, secrets) == []
    for path in tmp_path.glob("p*/qemu.conf"):
        assert secrets[0][0].encode() in path.read_bytes()


@pytest.mark.parametrize("format", ["text", "json", "sarif"])
def test_no_password_of_an_editor_is_shown(
    tmp_path: Path, secrets: tuple[tuple[str, str], ...], format: str
) -> None:
    """One text after the other."""
    texts = [planted(number, secrets[0][0]) for number in range(0, len(PLANTS), 3)]
    for text in [*texts, wide(secrets[0][0])]:
        ran = lint("--format", format, "--stdin-filename", "qemu.conf", cwd=tmp_path, text=text)
        assert ran.status in (0, 1)
        assert leaks(ran.out + ran.err, secrets) == [], text


# --- rules and explain


def conforms(output: str, definition: str) -> dict[str, Any]:
    """The JSON that was printed, after it was held against its schema."""
    content: dict[str, Any] = json.loads(output)
    schema = {**load_schema("output"), "$ref": f"#/$defs/{definition}"}
    Draft202012Validator(schema).validate(content)
    return content


def test_the_rules(lockcfg: RunLockcfg) -> None:
    """All of them, and the audit's, one on a line; the same as JSON."""
    result = lockcfg("rules")
    assert result.returncode == 0
    rules = [rule_module(name).RULE for name in TABLE]
    rules += [audit_rule(name).RULE for name in AUDIT_TABLE]
    lines = result.stdout.splitlines()
    assert len(lines) == len(rules)
    for line, rule in zip(lines, rules, strict=True):
        assert line.split()[:3] == [rule.code, rule.name, rule.severity]
    content = conforms(lockcfg("rules", "--json").stdout, "rules")
    assert [(each["code"], each["name"], each["fix"]) for each in content["rules"]] == [
        (rule.code, rule.name, rule.fix) for rule in rules
    ]
    assert all(each["summary"].endswith(".") for each in content["rules"])


def test_every_rule_is_explained(lockcfg: RunLockcfg) -> None:
    """By code, in any case, and by name; with all that its manual has."""
    result = lockcfg("explain", "LK101")
    assert result.returncode == 0
    assert result.stdout.startswith("LK101 syntax (error)\n\nA file that libvirt cannot parse.\n")
    for heading in ("What it does", "Why is this bad", "Example", "Use instead", "Fix"):
        assert f"\n## {heading}\n" in result.stdout
    content = conforms(lockcfg("explain", "LK101", "--json").stdout, "explain")
    assert content["manual"].splitlines() == result.stdout.splitlines()[2:]
    assert lockcfg("explain", "lk101").stdout == result.stdout
    assert lockcfg("explain", "syntax").stdout == result.stdout


@pytest.mark.parametrize("module", TABLE)
def test_an_explanation_can_be_printed_anywhere(module: str) -> None:
    """In any locale."""
    code = module[:5].upper()
    ran = lint(code, command="explain", environment=ASCII)
    assert ran.status == 0
    assert ran.out.startswith(f"{code} ")


def test_a_rule_that_is_none(lockcfg: RunLockcfg) -> None:
    """It is wrong usage; a word that may be another kind of name is looked up."""
    for name in ("LK999", "LK1", "LK101x"):
        result = lockcfg("explain", name)
        assert (result.returncode, result.stdout) == (2, "")
        assert f"no rule is called '{name}'" in result.stderr
    for name in ("nope", "ALL"):
        result = lockcfg("explain", name)
        assert (result.returncode, result.stderr) == (1, "")
        assert "nothing of that name is seen from this host" in result.stdout
    assert lockcfg("explain", "").returncode == 2
    assert lockcfg("explain").returncode == 2
    assert lockcfg("rules", "LK101").returncode == 2
    assert lint(command="rules", environment=ASCII).status == 0


def test_the_clean_host_is_clean(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    """What other tests start from."""
    write(tmp_path, CLEAN)
    result = lockcfg("lint", tmp_path)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout == "0 findings in 2 files, 0 fixable, 0 suppressed\n"
