"""The commands that write: set, unset, enable, disable; what they change, refuse and say."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from jsonschema import Draft202012Validator

from tests.conftest import LOCKCFG, SAMPLES

if TYPE_CHECKING:
    from typing import Final

    from tests.conftest import RunLockcfg

OUTPUT_SCHEMA: Final = json.loads(
    (Path(__file__).parent.parent.parent / "schemas/output.schema.json").read_text()
)

LOCKSPACES: Final = ("file_lockspace_dir", "lvm_lockspace_dir", "scsi_lockspace_dir")

ENABLE: Final = (
    *("enable", "--file-lockspace", "/srv/locks/files"),
    *("--lvm-lockspace", "/srv/locks/lvm", "--scsi-lockspace", "/srv/locks/scsi"),
)


def sample(name: str) -> str:
    return (SAMPLES / name).read_text()


def conf(root: Path, name: str = "qemu.conf") -> Path:
    return root / "etc/libvirt" / name


def settings(root: Path, name: str = "qemu.conf") -> list[str]:
    """The lines of a file that are not comments."""
    lines = conf(root, name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def tree(top: Path) -> dict[str, tuple[int, ...] | bytes]:
    """Everything about everything below ``top``: bytes, times, inodes."""
    found: dict[str, tuple[int, ...] | bytes] = {}
    for path in [top, *sorted(top.rglob("*"))]:
        status = path.lstat()
        found[f"{path}"] = (
            *(status.st_mode, status.st_ino, status.st_nlink, status.st_uid, status.st_gid),
            *(status.st_size, status.st_mtime_ns, status.st_ctime_ns),
        )
        if stat.S_ISREG(status.st_mode):
            found[f"{path}:"] = path.read_bytes()
    return found


def report_of(output: str, definition: str = "change") -> dict[str, object]:
    """What was printed as JSON, held against its schema."""
    report: dict[str, object] = json.loads(output)
    validator = Draft202012Validator({**OUTPUT_SCHEMA, "$ref": f"#/$defs/{definition}"})
    assert [error.message for error in validator.iter_errors(report)] == []
    return report


def rules(text: str) -> list[str]:
    """The slugs of the findings in ``text``."""
    return re.findall(r"\[([a-z0-9-]+)\]$", text, re.MULTILINE)


# --- a change, and no change ----------------------------------------------------------------


def test_set_puts_the_setting_under_its_sample_and_says_so(
    lockcfg: RunLockcfg, host_root: Path
) -> None:
    done = lockcfg("set", "lock_manager", "lockd", "--root", host_root)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"changed {conf(host_root)}"
    assert conf(host_root).read_text() == sample("qemu.conf").replace(
        '\n#lock_manager = "lockd"\n', '\n#lock_manager = "lockd"\nlock_manager = "lockd"\n'
    )


@pytest.mark.parametrize(
    "command",
    [
        ("set", "lock_manager", "lockd"),
        (
            *("set", "max_clients", "4096", "lock_manager", "sanlock"),
            *("auto_disk_leases", "1", "host_id", "4"),
        ),
        ("set", "cgroup_controllers", '[ "cpu", "devices" ]'),
        ("set", "file_lockspace_dir", "/srv/locks"),
        ENABLE,
        ("enable",),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("option", [None, "--backup", "--json", "--force"])
def test_a_second_run_changes_nothing(
    lockcfg: RunLockcfg, host_root: Path, command: tuple[str, ...], option: str | None
) -> None:
    options = ["--root", host_root, *([option] if option else [])]
    assert lockcfg(*command, *options).returncode == 0
    before = tree(host_root)
    done = lockcfg(*command, *options)
    assert done.returncode == 0
    if option == "--json":
        report = report_of(done.stdout)
        assert (report["changed"], report["written"], report["files"]) == (False, False, [])
        assert report["advice"] == []
    else:
        assert done.stdout.startswith("nothing to change\nProtection: ")
    assert tree(host_root) == before


@pytest.mark.parametrize(
    "command", [("disable",), ("disable", "--lockspaces"), ("unset", "max_clients")]
)
def test_taking_out_what_is_not_there_changes_nothing(
    lockcfg: RunLockcfg, host_root: Path, command: tuple[str, ...]
) -> None:
    before = tree(host_root)
    done = lockcfg(*command, "--root", host_root)
    assert done.returncode == 0
    assert done.stdout.startswith("nothing to change\nProtection: none\n")
    assert tree(host_root) == before


def test_a_value_spelled_in_another_way_is_no_change(lockcfg: RunLockcfg, host_root: Path) -> None:
    conf(host_root).write_text("lock_manager = 'lockd' # ours\nmax_queued = +05\n")
    before = tree(host_root)
    done = lockcfg("set", "lock_manager", "lockd", "max_queued", "5", "--root", host_root)
    assert done.stdout.startswith("nothing to change\nProtection: this host\n")
    assert tree(host_root) == before


# --- dry runs -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", [("set", "lock_manager", "lockd"), ENABLE])
@pytest.mark.parametrize("options", [("-n",), ("--dry-run",), ("--dry-run", "--json")])
def test_a_dry_run_says_what_would_change_and_changes_nothing(
    lockcfg: RunLockcfg, host_root: Path, command: tuple[str, ...], options: tuple[str, ...]
) -> None:
    before = tree(host_root)
    done = lockcfg(*command, *options, "--backup", "--root", host_root)
    assert done.returncode == 0
    assert tree(host_root) == before
    names = ["qemu.conf"] if command[0] == "set" else ["qemu-lockd.conf", "qemu.conf"]
    paths = [str(conf(host_root, name)) for name in names]
    if "--json" in options:
        report = report_of(done.stdout)
        assert (report["changed"], report["written"]) == (True, False)
        assert isinstance(report["files"], list)
        assert [file["path"] for file in report["files"]] == paths
        return
    would = [line for line in done.stdout.splitlines() if line.startswith("would change ")]
    assert would == [f"would change {path}" for path in paths]
    assert "restarted" in done.stdout


def test_a_diff_is_what_patch_takes_and_the_command_does(
    lockcfg: RunLockcfg, host_root: Path, tmp_path: Path
) -> None:
    before = tree(host_root)
    done = lockcfg(*ENABLE, "--diff", "--root", host_root)
    assert done.returncode == 0
    assert tree(host_root) == before
    added = [line for line in done.stdout.splitlines() if re.match(r"\+(?!\+\+ )", line)]
    assert added == [
        '+file_lockspace_dir = "/srv/locks/files"',
        '+lvm_lockspace_dir = "/srv/locks/lvm"',
        '+scsi_lockspace_dir = "/srv/locks/scsi"',
        '+lock_manager = "lockd"',
    ]
    assert not re.search(r"^-(?!-- )", done.stdout, re.MULTILINE)
    # Applied by hand it gives the very bytes that the command writes.
    patched = tmp_path / "patched"
    shutil.copytree(host_root, patched)
    apply(done.stdout.replace(str(host_root), str(patched)))
    assert lockcfg(*ENABLE, "--root", host_root).returncode == 0
    for name in ("qemu.conf", "qemu-lockd.conf", "virtlockd.conf"):
        assert conf(patched, name).read_bytes() == conf(host_root, name).read_bytes()


def apply(diff: str) -> None:
    """A unified diff, applied to the files that it names. No package is needed for it."""
    lines: list[str] = []
    at = 0
    path: Path | None = None
    for line in [*diff.splitlines(), "+++ /dev/null"]:
        if line.startswith("+++ "):
            if path is not None:
                path.write_text("".join(f"{one}\n" for one in lines))
            path = Path(line.removeprefix("+++ "))
            lines = path.read_text().splitlines()
        elif match := re.match(r"@@ -\d+(?:,\d+)? \+(\d+)", line):
            at = int(match[1]) - 1
        elif line.startswith(" "):
            assert lines[at] == line[1:]
            at += 1
        elif line.startswith("+"):
            lines.insert(at, line[1:])
            at += 1
        elif not line.startswith("--- "):
            assert lines.pop(at) == line[1:]


def test_a_diff_of_no_change_is_empty(lockcfg: RunLockcfg, host_root: Path) -> None:
    assert lockcfg("enable", "--root", host_root).returncode == 0
    done = lockcfg("enable", "--diff", "--root", host_root)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_diff_of_a_file_that_is_not_there(lockcfg: RunLockcfg, host_root: Path) -> None:
    conf(host_root).unlink()
    done = lockcfg("enable", "--diff", "--root", host_root)
    assert done.stdout == (
        f'--- /dev/null\n+++ {conf(host_root)}\n@@ -0,0 +1 @@\n+lock_manager = "lockd"\n'
    )
    assert not conf(host_root).exists()


@pytest.mark.parametrize("option", ["--dry-run", "--diff"])
def test_what_would_be_refused_is_refused_dry_too(
    lockcfg: RunLockcfg, host_root: Path, option: str
) -> None:
    before = tree(host_root)
    done = lockcfg("set", "lock_manager", "lokd", option, "--root", host_root)
    assert done.returncode == 1
    assert "would be refused" in done.stderr
    assert rules(done.stderr) == ["bad-value"]
    assert tree(host_root) == before


@pytest.mark.parametrize("option", ["--dry-run", "--diff"])
def test_a_dry_run_makes_no_directory(lockcfg: RunLockcfg, host_root: Path, option: str) -> None:
    before = tree(host_root)
    done = lockcfg(*ENABLE, "--create", option, "--root", host_root)
    assert done.returncode == 0
    assert tree(host_root) == before


# --- JSON -----------------------------------------------------------------------------------


def test_the_report_of_a_change(lockcfg: RunLockcfg, host_root: Path) -> None:
    done = lockcfg(*ENABLE, "--json", "--root", host_root)
    assert (done.returncode, done.stderr) == (0, "")
    report = report_of(done.stdout, "enable")
    assert (report["changed"], report["written"]) == (True, True)
    assert isinstance(report["files"], list)
    assert [Path(file["path"]).name for file in report["files"]] == ["qemu-lockd.conf", "qemu.conf"]
    assert '+lock_manager = "lockd"' in report["files"][1]["diff"]
    assert isinstance(report["warnings"], list)
    assert "lockspace-missing" in {warning["rule"] for warning in report["warnings"]}
    assert isinstance(report["advice"], list)
    assert any("virtqemud" in line for line in report["advice"])
    for command in (
        ("disable", "--lockspaces"),
        ("set", "max_clients", "7"),
        ("unset", "max_clients"),
    ):
        report = report_of(lockcfg(*command, "--json", "--root", host_root).stdout, command[0])
        assert report["written"] is True


def test_the_report_of_a_refusal(lockcfg: RunLockcfg, host_root: Path) -> None:
    before = tree(host_root)
    done = lockcfg("set", "lock_manager", "lokd", "--json", "--root", host_root)
    assert (done.returncode, done.stderr) == (1, "")
    error = report_of(done.stdout, "error")["error"]
    assert isinstance(error, dict)
    (finding,) = error["findings"]
    assert finding["rule"] == "bad-value"
    assert finding["help"] == "did you mean 'lockd'?"
    assert (finding["path"], finding["key"]) == (str(conf(host_root)), "lock_manager")
    # The place where it would stand.
    line = sample("qemu.conf").splitlines().index('#lock_manager = "lockd"') + 2
    assert (finding["line"], finding["column"]) == (line, len("lock_manager = ") + 1)
    assert tree(host_root) == before


@pytest.mark.parametrize("command", ["set", "unset"])
def test_the_report_of_wrong_usage(lockcfg: RunLockcfg, host_root: Path, command: str) -> None:
    words = ["lock_manger", "lockd"][: 2 if command == "set" else 1]
    done = lockcfg(command, *words, "--json", "--root", host_root)
    assert (done.returncode, done.stderr) == (2, "")
    error = report_of(done.stdout, "error")["error"]
    assert isinstance(error, dict)
    assert error["message"] == "unknown setting 'lock_manger'"
    assert error["help"] == "did you mean 'lock_manager'?"


def test_a_password_is_never_shown(lockcfg: RunLockcfg, host_root: Path) -> None:
    for old, new in ((None, "geheim1"), ("geheim1", "geheim2")):
        for option in ("--diff", "--dry-run", "--json", None):
            words = [option] if option else []
            done = lockcfg("set", "vnc_password", new, *words, "--root", host_root)
            assert done.returncode == 0
            shown = done.stdout + done.stderr
            assert new not in shown
            assert old is None or old not in shown
            if option == "--json":
                # It was written this time: back to what was there.
                assert report_of(done.stdout)["written"] is True
                undo = ["set", "vnc_password", old] if old else ["unset", "vnc_password"]
                assert lockcfg(*undo, "--root", host_root).returncode == 0
        assert settings(host_root) == [f'vnc_password = "{new}"']


# --- one transaction ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "words",
    [
        ("max_clients", "4096", "lock_manager", "lokd"),
        ("lock_manager", "lokd", "max_clients", "4096"),
        ("file_lockspace_dir", "/srv/locks", "auto_disk_leases", "yes"),
        ("lock_manager", "lockd", "max_queued", "-1"),
        (
            "max_clients",
            "4096",
            "auto_disk_leases",
            "0",
            "require_lease_for_disks",
            "0",
            "lock_manager",
            "lockd",
        ),
        ("lock_manager", "lockd", "no_such_key", "1"),
        ("lock_manager", "lockd", "cgroup_controllers", "[ cpu ]"),
    ],
    ids=" ".join,
)
def test_where_one_setting_is_refused_none_is_written(
    lockcfg: RunLockcfg, host_root: Path, words: tuple[str, ...]
) -> None:
    before = tree(host_root)
    done = lockcfg("set", *words, "--root", host_root, "--backup")
    assert done.returncode in (1, 2)
    assert "changed" not in done.stdout
    assert tree(host_root) == before


def test_several_settings_in_several_files_at_once(lockcfg: RunLockcfg, host_root: Path) -> None:
    words = [
        *("max_clients", "4096", "lock_manager", "lockd", "file_lockspace_dir", "/srv/locks"),
        *("max_queued", "7", "require_lease_for_disks", "1"),
    ]
    done = lockcfg("set", *words, "--backup", "--root", host_root)
    assert done.returncode == 0
    changed = [line for line in done.stdout.splitlines() if line.startswith("changed ")]
    assert changed == [
        f"changed {conf(host_root, name)}"
        for name in ("virtlockd.conf", "qemu-lockd.conf", "qemu.conf")
    ]
    assert settings(host_root, "virtlockd.conf") == ["max_clients = 4096"]
    assert settings(host_root, "qemu-lockd.conf") == [
        "require_lease_for_disks = 1",
        'file_lockspace_dir = "/srv/locks"',
    ]
    assert settings(host_root) == ['lock_manager = "lockd"', "max_queued = 7"]
    for name in ("virtlockd.conf", "qemu-lockd.conf", "qemu.conf"):
        assert conf(host_root, name + ".bak").read_text() == sample(name)
    keys = words[::2]
    assert lockcfg("unset", *keys, "--force", "--root", host_root).returncode == 0
    for name in ("virtlockd.conf", "qemu-lockd.conf", "qemu.conf"):
        assert conf(host_root, name).read_text() == sample(name)


@pytest.mark.parametrize("suffix", [None, ".old", "~"])
def test_a_backup_is_kept_when_asked_for(
    lockcfg: RunLockcfg, host_root: Path, suffix: str | None
) -> None:
    conf(host_root).chmod(0o640)
    option = "--backup" if suffix is None else f"--backup={suffix}"
    assert lockcfg("enable", option, "--root", host_root).returncode == 0
    backup = conf(host_root, "qemu.conf" + (suffix or ".bak"))
    assert backup.read_text() == sample("qemu.conf")
    assert stat.S_IMODE(backup.stat().st_mode) == 0o640
    before = {path.name for path in (host_root / "etc/libvirt").iterdir()}
    assert lockcfg("set", "max_queued", "5", "--root", host_root).returncode == 0
    assert {path.name for path in (host_root / "etc/libvirt").iterdir()} == before


def test_the_mode_the_owner_and_a_link_are_kept(lockcfg: RunLockcfg, host_root: Path) -> None:
    real = host_root / "srv/qemu.conf"
    real.parent.mkdir()
    conf(host_root).rename(real)
    real.chmod(0o640)
    os.chown(real, 65534, 65534)
    conf(host_root).symlink_to("../../srv/qemu.conf")
    assert lockcfg("enable", "--root", host_root).returncode == 0
    assert os.readlink(conf(host_root)) == "../../srv/qemu.conf"
    status = real.stat()
    assert (stat.S_IMODE(status.st_mode), status.st_uid, status.st_gid) == (0o640, 65534, 65534)
    assert 'lock_manager = "lockd"' in settings(host_root)
    assert os.listdir(real.parent) == ["qemu.conf"]


# --- enable and disable ---------------------------------------------------------------------


@pytest.mark.parametrize("words", [("enable",), ENABLE, ENABLE[:3]], ids=" ".join)
def test_enable_and_disable_give_back_the_original_bytes(
    lockcfg: RunLockcfg, host_root: Path, words: tuple[str, ...]
) -> None:
    names = ("qemu.conf", "qemu-lockd.conf", "virtlockd.conf")
    assert lockcfg(*words, "--root", host_root).returncode == 0
    assert settings(host_root) == ['lock_manager = "lockd"']
    assert len(settings(host_root, "qemu-lockd.conf")) == len(words) // 2
    done = lockcfg("disable", "--lockspaces", "--root", host_root)
    assert done.returncode == 0
    assert "error" not in done.stderr
    for name in names:
        assert conf(host_root, name).read_text() == sample(name)


def test_disable_keeps_the_lockspaces(lockcfg: RunLockcfg, host_root: Path) -> None:
    assert lockcfg(*ENABLE, "--root", host_root).returncode == 0
    spaces = settings(host_root, "qemu-lockd.conf")
    done = lockcfg("disable", "--root", host_root)
    assert done.returncode == 0
    assert done.stdout.startswith(f"changed {conf(host_root)}\n")
    assert settings(host_root) == []
    assert settings(host_root, "qemu-lockd.conf") == spaces


def test_enable_makes_lockspaces_count(lockcfg: RunLockcfg, host_root: Path) -> None:
    conf(host_root, "qemu-lockd.conf").write_text("auto_disk_leases = 0\n")
    assert lockcfg(*ENABLE[:3], "--root", host_root).returncode == 0
    assert "auto_disk_leases = 1" in settings(host_root, "qemu-lockd.conf")


def test_enable_creates_directories_when_asked(lockcfg: RunLockcfg, host_root: Path) -> None:
    done = lockcfg(*ENABLE, "--create", "--root", host_root)
    assert done.returncode == 0
    assert "lockspace-missing" not in rules(done.stderr)
    for name in ("files", "lvm", "scsi"):
        made = host_root / "srv/locks" / name
        assert stat.S_IMODE(made.stat().st_mode) == 0o700
        assert list(made.iterdir()) == []
    # What is set is the path as the host has it.
    assert settings(host_root, "qemu-lockd.conf")[0] == 'file_lockspace_dir = "/srv/locks/files"'


def test_enable_says_what_is_missing(lockcfg: RunLockcfg, host_root: Path) -> None:
    done = lockcfg(*ENABLE, "--root", host_root)
    assert done.returncode == 0
    assert "lockspace-missing" in rules(done.stderr)
    for name in ("files", "lvm", "scsi"):
        assert f"/srv/locks/{name}" in done.stderr
    assert "--create" in done.stderr
    assert not (host_root / "srv").exists()


def test_a_refused_enable_makes_no_directory(lockcfg: RunLockcfg, host_root: Path) -> None:
    conf(host_root).write_text("max_queued = 'x'\n")
    before = tree(host_root)
    done = lockcfg(*ENABLE, "--create", "--root", host_root)
    assert done.returncode == 1
    assert rules(done.stderr) == ["wrong-type"]
    assert tree(host_root) == before


# --- refusals -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "rule", "hint"),
    [
        (("lock_manager", "lokd"), "bad-value", "did you mean 'lockd'?"),
        (("lock_manager", "1"), "bad-value", "lockd, sanlock; nop locks nothing"),
        (("lock_manager", ""), "bad-value", "lockd, sanlock; nop locks nothing"),
        (("auto_disk_leases", "yes"), "wrong-type", "write auto_disk_leases = 1"),
        (("auto_disk_leases", "-1"), "wrong-type", "write auto_disk_leases = 1"),
        (("auto_disk_leases", "2"), "bad-value", "write auto_disk_leases = 1"),
        (("max_clients", "many"), "wrong-type", "for example max_clients = 1024"),
        (("max_clients", "-5"), "wrong-type", ""),
        (("max_clients", '[ "1" ]'), "wrong-type", ""),
        (("max_queued", "99999999999999999999"), "integer-overflow", ""),
        (("lock_manager", "nop"), "protects-nothing", "lockcfg disable"),
        (
            ("auto_disk_leases", "0", "require_lease_for_disks", "0", "lock_manager", "lockd"),
            "protects-nothing",
            "leave one of the two at 1",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_what_would_do_harm_is_refused_unless_forced(
    lockcfg: RunLockcfg, host_root: Path, words: tuple[str, ...], rule: str, hint: str
) -> None:
    before = tree(host_root)
    done = lockcfg("set", *words, "--root", host_root)
    assert done.returncode == 1, done.stderr
    assert done.stdout == ""
    assert rules(done.stderr) == [rule]
    assert hint in done.stderr
    assert done.stderr.count("refused: nothing was written") == 1
    assert "help: --force writes it anyway" in done.stderr
    assert tree(host_root) == before

    done = lockcfg("set", *words, "--force", "--root", host_root)
    assert done.returncode == 0
    assert done.stdout.startswith("changed ")
    # Forced, it is still said.
    assert rule in rules(done.stderr)
    written = settings(host_root) + settings(host_root, "qemu-lockd.conf")
    written += settings(host_root, "virtlockd.conf")
    assert len(written) == len(words) // 2


@pytest.mark.parametrize("manager", ["lockd", "sanlock"])
@pytest.mark.parametrize(
    "command", [("unset", "lock_manager"), ("set", "lock_manager", "nop")], ids=" ".join
)
def test_protection_is_not_taken_away_by_the_way(
    lockcfg: RunLockcfg, host_root: Path, command: tuple[str, ...], manager: str
) -> None:
    assert lockcfg("set", "lock_manager", manager, "--root", host_root).returncode == 0
    before = tree(host_root)
    done = lockcfg(*command, "--root", host_root)
    assert done.returncode == 1
    assert rules(done.stderr) == ["protects-nothing"]
    assert "lockcfg disable" in done.stderr
    assert tree(host_root) == before
    assert lockcfg(*command, "--force", "--root", host_root).returncode == 0
    assert settings(host_root) == ([] if command[0] == "unset" else ['lock_manager = "nop"'])


def test_leases_alone_may_be_asked_for(lockcfg: RunLockcfg, host_root: Path) -> None:
    # A guest without a lease is then refused, which protects too.
    words = ("lock_manager", "lockd", "auto_disk_leases", "0")
    assert lockcfg("set", *words, "--root", host_root).returncode == 0
    # And that is the other half, which would let it in.
    done = lockcfg("set", "require_lease_for_disks", "0", "--root", host_root)
    assert done.returncode == 1
    assert rules(done.stderr) == ["protects-nothing"]


def test_an_unprotected_host_may_get_a_lockspace_first(
    lockcfg: RunLockcfg, host_root: Path
) -> None:
    done = lockcfg("set", "file_lockspace_dir", "/srv/locks", "--root", host_root)
    assert done.returncode == 0
    assert done.stdout.startswith(f"changed {conf(host_root, 'qemu-lockd.conf')}\n")
    assert "protects-nothing" in rules(done.stderr)
    assert "lockcfg set lock_manager lockd" in done.stderr
    assert ": error:" not in done.stderr
    assert settings(host_root, "qemu-lockd.conf") == ['file_lockspace_dir = "/srv/locks"']


def test_a_relative_lockspace_is_refused(lockcfg: RunLockcfg, host_root: Path) -> None:
    # libvirt takes it, and each daemon would look for it from where it happens to run.
    words = ("file_lockspace_dir", "srv/locks", "lock_manager", "lockd")
    done = lockcfg("set", *words, "--root", host_root)
    assert done.returncode == 1
    assert rules(done.stderr) == ["bad-value"]
    assert "must be an absolute path, not 'srv/locks'" in done.stderr


def test_a_lockspace_that_is_not_used_is_said(lockcfg: RunLockcfg, host_root: Path) -> None:
    conf(host_root, "qemu-lockd.conf").write_text("auto_disk_leases = 0\n")
    assert lockcfg("set", "lock_manager", "lockd", "--root", host_root).returncode == 0
    done = lockcfg("set", "file_lockspace_dir", "/srv/locks", "--root", host_root)
    assert done.returncode == 0
    assert "dead-lockspace" in rules(done.stderr)


def test_other_settings_do_not_ask_for_protection(lockcfg: RunLockcfg, host_root: Path) -> None:
    done = lockcfg("set", "max_queued", "5", "max_clients", "9", "--root", host_root)
    assert (done.returncode, done.stderr) == (0, "")


def test_an_edit_that_mends_one_error_of_two_passes(lockcfg: RunLockcfg, host_root: Path) -> None:
    conf(host_root).write_text("max_queued = 'x'\nlock_manager = 5\n")
    assert lockcfg("set", "user", "root", "--root", host_root).returncode == 1
    assert lockcfg("set", "lock_manager", "lockd", "--root", host_root).returncode == 0
    assert lockcfg("set", "max_queued", "5", "--root", host_root).returncode == 0
    assert lockcfg("validate", "--root", host_root).returncode == 0


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (("set", "lock_manger", "lockd"), "did you mean 'lock_manager'?"),
        (("set", "file_lockspace", "/x"), "did you mean 'file_lockspace_dir'?"),
        (("set", "zzz", "1"), "'lockcfg schema' lists all"),
        (("set", "autoballoon", "1"), "say --driver libxl"),
        (("unset", "lock_manger"), "did you mean 'lock_manager'?"),
        (("unset", "autoballoon"), "say --driver libxl"),
        (("set", "max_queued", "1", "--driver", "libxl"), "say --driver qemu"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_key_that_is_unknown_here(
    lockcfg: RunLockcfg, host_root: Path, command: tuple[str, ...], hint: str
) -> None:
    before = tree(host_root)
    done = lockcfg(*command, "--root", host_root)
    assert (done.returncode, done.stdout) == (2, "")
    assert f"unknown setting '{command[1]}'" in done.stderr
    assert hint in done.stderr
    assert tree(host_root) == before


def test_an_unknown_key_can_be_written_to_a_file_that_is_named(
    lockcfg: RunLockcfg, host_root: Path
) -> None:
    # A newer libvirt may know it. That this one is not known is said.
    done = lockcfg("set", "brand_new", "1", "--file", "qemu.conf", "--root", host_root)
    assert done.returncode == 0
    assert rules(done.stderr) == ["unknown-key"]
    assert settings(host_root) == ["brand_new = 1"]
    assert lockcfg("unset", "brand_new", "--file", "qemu.conf", "--root", host_root).returncode == 0
    assert conf(host_root).read_text() == sample("qemu.conf")


def test_the_file_of_another_driver_is_refused(lockcfg: RunLockcfg, host_root: Path) -> None:
    done = lockcfg("set", "lock_manager", "lockd", "--file", "libxl.conf", "--root", host_root)
    assert done.returncode == 2
    assert "say --driver libxl" in done.stderr


@pytest.mark.parametrize("digits", [20, 99, 100, 101, 5000])
@pytest.mark.parametrize("sign", ["", "-", "+"])
def test_an_integer_of_any_length_is_answered(
    lockcfg: RunLockcfg, host_root: Path, digits: int, sign: str
) -> None:
    before = tree(host_root)
    done = lockcfg("set", "max_clients", sign + "9" * digits, "--root", host_root)
    assert done.returncode in (1, 2)
    assert "went wrong" not in done.stderr
    assert len(done.stderr) < 2000
    assert tree(host_root) == before


# --- drivers, sessions, advice --------------------------------------------------------------


def test_the_xen_driver_has_files_of_its_own(lockcfg: RunLockcfg, host_root: Path) -> None:
    for name in ("libxl.conf", "libxl-lockd.conf"):
        conf(host_root, name).unlink(missing_ok=True)
    others = {name: conf(host_root, name).read_bytes() for name in ("qemu.conf", "qemu-lockd.conf")}
    done = lockcfg(*ENABLE[:3], "--driver", "libxl", "--root", host_root)
    assert done.returncode == 0
    assert conf(host_root, "libxl.conf").read_text() == 'lock_manager = "lockd"\n'
    assert conf(host_root, "libxl-lockd.conf").read_text() == (
        'file_lockspace_dir = "/srv/locks/files"\n'
    )
    assert stat.S_IMODE(conf(host_root, "libxl.conf").stat().st_mode) == 0o644
    for name, text in others.items():
        assert conf(host_root, name).read_bytes() == text
    assert "virtxend" in done.stdout
    assert "virtqemud" not in done.stdout
    # The lock daemon is one for both drivers.
    done = lockcfg("set", "max_clients", "9", "--driver", "libxl", "--root", host_root)
    assert done.returncode == 0
    assert settings(host_root, "virtlockd.conf") == ["max_clients = 9"]


@pytest.mark.parametrize(
    ("words", "said", "not_said"),
    [
        (("max_queued", "5"), ["virtqemud", "guests keep running"], ["virtlockd", "no guest"]),
        # A real virtlockd keeps max_clients over a reload and reads its log settings again.
        (("max_clients", "9"), ["virt-admin", "Never restart"], ["virtqemud", "systemctl"]),
        (("log_level", "3"), ["systemctl reload virtlockd", "Never restart"], ["virt-admin"]),
        (("file_lockspace_dir", "/x"), ["virtqemud", "no guest running"], ["virtlockd"]),
        (
            ("max_clients", "9", "lock_manager", "lockd"),
            ["virtqemud", "virt-admin"],
            ["no guest running"],
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
@pytest.mark.parametrize("option", ["--json", "--dry-run", None])
def test_what_must_be_restarted_is_said(
    lockcfg: RunLockcfg,
    host_root: Path,
    words: tuple[str, ...],
    said: list[str],
    not_said: list[str],
    option: str | None,
) -> None:
    done = lockcfg("set", *words, "--root", host_root, *([option] if option else []))
    assert done.returncode == 0
    text = done.stdout
    if option == "--json":
        advice = report_of(text)["advice"]
        assert isinstance(advice, list)
        text = " ".join(advice)
    assert [part for part in said if part not in text] == []
    assert [part for part in not_said if part in text.replace("virtlockd.conf", "")] == []


#: Runs a command as the user 1000, who owns the files that root makes and whom root's
#: capabilities do not follow.
AS_USER: Final = ("unshare", "--user", "--map-user=1000", "--map-group=1000")


def as_user(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*AS_USER, str(LOCKCFG), *arguments],
        env={"PATH": os.environ["PATH"], **environment},
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("variable", ["XDG_CONFIG_HOME", "HOME"])
def test_an_unprivileged_user_has_files_of_his_own(tmp_path: Path, variable: str) -> None:
    home = {"XDG_CONFIG_HOME": str(tmp_path), "HOME": "/nonexistent"}
    directory = tmp_path / "libvirt"
    if variable == "HOME":
        home = {"HOME": str(tmp_path)}
        directory = tmp_path / ".config/libvirt"
    done = as_user("get", "lock_manager", **home)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"{directory}/qemu.conf" in done.stderr
    assert list(tmp_path.iterdir()) == []

    assert as_user("enable", "--dry-run", **home).returncode == 0
    assert list(tmp_path.iterdir()) == []

    done = as_user("enable", **home)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith(f"changed {directory}/qemu.conf\n")
    assert "this user's libvirt" in done.stdout
    assert "systemctl" not in done.stdout
    assert (directory / "qemu.conf").read_text() == 'lock_manager = "lockd"\n'
    assert stat.S_IMODE((directory / "qemu.conf").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700
    assert os.listdir(directory) == ["qemu.conf"]

    assert as_user("get", "lock_manager", **home).stdout == "lockd\n"
    assert as_user("enable", **home).stdout.startswith("nothing to change\nProtection: this host\n")
    done = as_user("disable", **home)
    assert done.returncode == 0
    assert (directory / "qemu.conf").read_bytes() == b""


def test_a_user_is_not_root(tmp_path: Path) -> None:
    done = as_user("get", "lock_manager", "--system", XDG_CONFIG_HOME=str(tmp_path))
    assert "/etc/libvirt/qemu.conf" in done.stderr
    # Root's own files are the system's, unless it says otherwise.
    environment = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path)}
    command = [str(LOCKCFG), "get", "max_queued"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert "/etc/libvirt/qemu.conf" in done.stderr
    done = subprocess.run([*command, "--session"], env=environment, capture_output=True, text=True)
    assert f"{tmp_path}/libvirt/qemu.conf" in done.stderr


def test_a_home_that_cannot_be_written(tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    os.chown(home, 65534, 65534)
    done = as_user("enable", XDG_CONFIG_HOME=str(home / "config"))
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{home}/config/libvirt: cannot be made: Permission denied" in done.stderr
    assert list(home.iterdir()) == []


@pytest.mark.parametrize(
    "command", [["set", "auto_disk_leases", "1"], ["unset", "auto_disk_leases"]]
)
def test_what_two_lock_managers_have_is_that_of_the_one_in_charge(
    host_root: Path, command: list[str], lockcfg: RunLockcfg
) -> None:
    """On a host with sanlock lockd's file is left alone, and the other way round."""
    etc = host_root / "etc/libvirt"
    (etc / "qemu-sanlock.conf").write_text("auto_disk_leases = 1\nhost_id = 4\n")
    before = (etc / "qemu-lockd.conf").read_bytes()
    (etc / "qemu.conf").write_text('lock_manager = "sanlock"\n')
    done = lockcfg(command[0], *command[1:], "--root", str(host_root))
    assert done.returncode == 0, done.stderr
    assert (etc / "qemu-lockd.conf").read_bytes() == before
    if command[0] == "unset":
        assert (etc / "qemu-sanlock.conf").read_text() == "host_id = 4\n"
    assert lockcfg("get", "auto_disk_leases", "--root", str(host_root)).stdout == (
        "1\n" if command[0] == "set" else ""
    )
    sanlock = (etc / "qemu-sanlock.conf").read_bytes()
    (etc / "qemu.conf").write_text('lock_manager = "lockd"\n')
    lockcfg("set", "auto_disk_leases", "1", "--root", str(host_root))
    assert (etc / "qemu-sanlock.conf").read_bytes() == sanlock


def test_the_lock_manager_that_is_set_with_them_is_in_charge(
    host_root: Path, lockcfg: RunLockcfg
) -> None:
    words = ["lock_manager", "sanlock", "auto_disk_leases", "1", "host_id", "4"]
    done = lockcfg("set", *words, "--root", str(host_root))
    assert done.returncode == 0, done.stderr
    assert "as host 4 of its lockspace" in done.stdout
    text = (host_root / "etc/libvirt/qemu-sanlock.conf").read_text()
    assert "auto_disk_leases = 1\n" in text
    assert "\nauto_disk_leases" not in (host_root / "etc/libvirt/qemu-lockd.conf").read_text()


def test_leaving_sanlock_without_any_lease_is_refused(host_root: Path, lockcfg: RunLockcfg) -> None:
    """The same as with lockd, and no daemon reads lockd's file then."""
    etc = host_root / "etc/libvirt"
    (etc / "qemu.conf").write_text('lock_manager = "sanlock"\n')
    (etc / "qemu-sanlock.conf").write_text("auto_disk_leases = 1\nhost_id = 4\n")
    off = ("set", "auto_disk_leases", "0", "require_lease_for_disks", "0")
    done = lockcfg(*off, "--root", str(host_root))
    assert done.returncode == 1
    assert "guests start without any lock" in done.stderr
    spaces = ("set", "file_lockspace_dir", "/srv/locks")
    done = lockcfg(*spaces, "--root", str(host_root))
    assert done.returncode == 0
    assert "qemu-lockd.conf has no effect" in done.stderr
