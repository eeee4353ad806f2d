"""What a command says is protected is protected: the verdict of all files together decides."""

from __future__ import annotations

import io
import json
import os
import shutil
import subprocess
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from lockcfg.main import main
from tests.conftest import LOCKCFG
from tests.real.libvirt_parser import LibvirtParser, Rejected

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, Final

    from tests.conftest import RunLockcfg

SCHEMA: Final = json.loads(
    (Path(__file__).parent.parent.parent / "schemas/output.schema.json").read_text()
)

LOCKD: Final = 'lock_manager = "lockd"\n'
SANLOCK: Final = 'lock_manager = "sanlock"\n'


@pytest.fixture
def lockcfg() -> RunLockcfg:
    """As the command, in this process: what is looked at here is what it says."""

    def run(*words: str | Path) -> subprocess.CompletedProcess[str]:
        out, err = io.TextIOWrapper(io.BytesIO(), encoding="utf-8"), io.StringIO()
        with redirect_stdout(out), redirect_stderr(err):
            status = main([str(word) for word in words])
        out.seek(0)
        return subprocess.CompletedProcess(words, status, out.read(), err.getvalue())

    return run


def root_with(directory: Path, **files: str) -> Path:
    """A host's root with the files given, ``qemu_lockd`` for qemu-lockd.conf."""
    etc = directory / "host/etc/libvirt"
    etc.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (etc / f"{name.replace('_', '-')}.conf").write_text(text)
    return directory / "host"


def text_of(root: Path, name: str) -> str:
    return (root / "etc/libvirt" / name).read_text()


def install(root: Path, *paths: str) -> None:
    """Put files, as those of packages, below a root."""
    for path in paths:
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text("")


# --- what enable does -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "lockd",
    [
        "auto_disk_leases = 0\nrequire_lease_for_disks = 0\n",
        "auto_disk_leases = 0\nrequire_lease_for_disks = 1\n",
        "auto_disk_leases = 0\n",
        "auto_disk_leases = 0\nauto_disk_leases = 1\nrequire_lease_for_disks = 0\n",
    ],
)
@pytest.mark.parametrize("qemu", ["", LOCKD, 'lock_manager = "nop"\n'])
def test_enable_mends_what_stands_against_it(
    lockcfg: RunLockcfg, tmp_path: Path, qemu: str, lockd: str
) -> None:
    root = root_with(tmp_path, qemu=qemu, qemu_lockd=lockd)
    done = lockcfg("enable", "--root", root)
    assert done.returncode == 0
    assert "auto_disk_leases was 0, so no disk was locked: it is now 1" in done.stderr
    assert text_of(root, "qemu-lockd.conf").startswith("auto_disk_leases = 1\n")
    assert "Protection: this host\n" in done.stdout
    assert "Protection: this host\n" in lockcfg("show", "--root", root).stdout


def test_set_refuses_a_lock_manager_that_locks_nothing(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    root = root_with(
        tmp_path, qemu="", qemu_lockd="auto_disk_leases = 0\nrequire_lease_for_disks = 0\n"
    )
    done = lockcfg("set", "lock_manager", "lockd", "--root", root)
    assert (done.returncode, done.stdout) == (1, "")
    assert "[protects-nothing]" in done.stderr
    assert "say 'lockcfg enable'" in done.stderr
    done = lockcfg("set", "lock_manager", "lockd", "--force", "--root", root)
    assert done.returncode == 0
    assert "Protection: none\n" in done.stdout


def test_set_says_that_guests_without_leases_are_refused(
    lockcfg: RunLockcfg, tmp_path: Path
) -> None:
    root = root_with(tmp_path, qemu="", qemu_lockd="auto_disk_leases = 0\n")
    done = lockcfg("set", "lock_manager", "lockd", "--root", root)
    assert done.returncode == 0
    assert "[leases-only]" in done.stderr
    assert "Protection: leases only\n" in done.stdout


@pytest.mark.parametrize(
    ("name", "text", "rule"),
    [
        ("qemu_lockd", 'auto_disk_leases = "yes"\n', "wrong-type"),
        ("virtlockd", "max_clients = 0x8000\n", None),
        ("virtlockd", "log_level = 9\n", "bad-value"),
        ("qemu_lockd", "auto_disk_leases = yes\n", None),
    ],
)
@pytest.mark.parametrize("command", [("enable",), ("set", "lock_manager", "lockd")])
@pytest.mark.parametrize("qemu", ["", LOCKD])
def test_files_that_are_not_changed_count_too(
    lockcfg: RunLockcfg,
    tmp_path: Path,
    command: Sequence[str],
    qemu: str,
    name: str,
    text: str,
    rule: str | None,
) -> None:
    """libvirt reads them as soon as lockd is the lock manager, and would not start."""
    root = root_with(tmp_path, **{"qemu": qemu, name: text})
    done = lockcfg(*command, "--root", root)
    assert done.returncode == (1 if rule else 3)
    assert f"[{rule}]" in done.stderr or rule is None
    assert text_of(root, "qemu.conf") == qemu


def test_an_error_that_is_left_is_in_the_verdict(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    root = root_with(tmp_path, qemu="max_queued = 'x'\nlock_manager = 5\n")
    done = lockcfg("set", "lock_manager", "lockd", "--root", root)
    assert done.returncode == 0
    assert "Protection: none, libvirt does not start\n" in done.stdout
    assert "qemu.conf:1:14" in done.stdout


@pytest.mark.parametrize(
    ("before", "command"),
    [
        (SANLOCK, ("enable",)),
        (SANLOCK + LOCKD, ("enable",)),
        (SANLOCK, ("set", "lock_manager", "lockd")),
        (LOCKD, ("set", "lock_manager", "sanlock")),
    ],
)
def test_another_lock_manager_is_not_replaced_by_the_way(
    lockcfg: RunLockcfg, tmp_path: Path, before: str, command: Sequence[str]
) -> None:
    vdsm = "## beginning of configuration section by vdsm-4.40\n"
    root = root_with(tmp_path, qemu=vdsm + before)
    done = lockcfg(*command, "--root", root)
    assert (done.returncode, done.stdout) == (1, "")
    assert "[other-lock-manager]" in done.stderr
    assert text_of(root, "qemu.conf") == vdsm + before
    done = lockcfg(*command, "--force", "--root", root)
    assert done.returncode == 0
    assert "vdsm manages it: the change may be undone [managed-file]" in done.stderr


@pytest.mark.parametrize(
    "mark",
    [
        "## beginning of configuration section by vdsm-4.9.10",
        "# This file is managed by Puppet",
        "# HEADER: This file was autogenerated at 2026-01-01 by puppet.",
        "# Ansible managed",
        "# BEGIN ANSIBLE MANAGED BLOCK",
        "# Generated by Chef for kvm01",
        "# This file is managed by Salt, do not edit",
        "# maintained by CFEngine",
        "# *** This file is under cfengine control ***",
        "# Managed by Rudder",
        "# Managed by Terraform",
        "# DO NOT EDIT: local changes will be overwritten",
        "# This file is automatically generated",
        "# managed by our own tool",
        "# under configuration management",
        "# Created by cloud-init",
        "max_queued = 5  # managed by Ansible",
    ],
)
@pytest.mark.parametrize("name", ["qemu", "qemu_lockd"])
def test_who_else_writes_the_file_is_said(tmp_path: Path, name: str, mark: str) -> None:
    if mark.startswith("max_queued") and name != "qemu":
        mark = mark.replace("max_queued = 5", "require_lease_for_disks = 1")
    root = root_with(tmp_path, **{name: f"{mark}\n"})
    key = {"qemu": ("lock_manager", "lockd"), "qemu_lockd": ("auto_disk_leases", "1")}[name]
    status, report = run_json("set", *key, "--root", str(root))
    assert status == 0
    assert "managed-file" in [warning["rule"] for warning in report["warnings"]]


@pytest.mark.parametrize(
    "comment",
    [
        # qemu-sanlock.conf of libvirt 12.8
        "# where leases are created by libvirt. If leases are managed by",
        "# Do this unless the host is under central control",
    ],
)
def test_what_a_comment_says_of_another_case_does_not_count(tmp_path: Path, comment: str) -> None:
    root = root_with(tmp_path, qemu=f"{comment}\n")
    status, report = run_json("set", "lock_manager", "lockd", "--root", str(root))
    assert status == 0
    assert "managed-file" not in [warning["rule"] for warning in report["warnings"]]


def test_libvirts_own_files_are_managed_by_nobody(host_root: Path) -> None:
    words = ("lock_manager", "lockd", "file_lockspace_dir", "/x", "max_clients", "9")
    status, report = run_json("set", *words, "--root", str(host_root))
    assert status == 0
    assert len(report["files"]) == 3
    assert "managed-file" not in [warning["rule"] for warning in report["warnings"]]


# --- what is installed ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "plugins",
    [
        "usr/lib/x86_64-linux-gnu/libvirt/lock-driver",
        "usr/lib/aarch64-linux-gnu/libvirt/lock-driver",
        "usr/lib64/libvirt/lock-driver",
        "usr/lib/libvirt/lock-driver",
        "usr/local/lib/libvirt/lock-driver",
        "usr/local/lib/x86_64-linux-gnu/libvirt/lock-driver",
    ],
)
@pytest.mark.parametrize("driver", ["usr/sbin/libvirtd", "usr/sbin/virtqemud", "usr/bin/libvirtd"])
def test_the_plugin_and_the_daemon_must_be_installed(
    lockcfg: RunLockcfg, tmp_path: Path, driver: str, plugins: str
) -> None:
    root = root_with(tmp_path, qemu="")
    install(root, driver)
    commands = (("enable",), ("set", "lock_manager", "lockd"))
    for missing in (["plugin-missing", "daemon-missing"], ["daemon-missing"]):
        for command in commands:
            done = lockcfg(*command, "--root", root)
            assert (done.returncode, done.stdout) == (1, "")
            assert [f"[{rule}]" in done.stderr for rule in missing] == [True] * len(missing)
            assert text_of(root, "qemu.conf") == ""
        install(root, f"{plugins}/lockd.so")
    assert lockcfg("validate", "--root", root).returncode == 0
    (root / "etc/libvirt/qemu.conf").write_text(LOCKD)
    done = lockcfg("validate", "--root", root)
    assert done.returncode == 1
    assert "[daemon-missing]" in done.stdout
    done = lockcfg("show", "--root", root)
    assert "Protection: none, libvirt does not start\n" in done.stdout
    assert "[daemon-missing]" in done.stdout
    # What is there already protects as little.
    assert lockcfg("enable", "--root", root).returncode == 1
    install(root, "usr/sbin/virtlockd")
    assert lockcfg("validate", "--root", root).returncode == 0
    assert "Protection: this host\n" in lockcfg("enable", "--root", root).stdout


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ((), None),  # a tree of configuration only
        (("usr/sbin/libvirtd", "usr/sbin/virtlockd"), "the plugin of lockd"),
        (("usr/bin/virtqemud", "usr/lib64/libvirt/lock-driver/sanlock.so"), "the plugin of lockd"),
        (("usr/sbin/virtqemud", "usr/lib/libvirt/lock-driver/lockd.so"), "the daemon of lockd"),
        (("usr/sbin/libvirtd", "usr/lib64/libvirt/lock-driver/lockd.so", "usr/bin/lockd"), None),
        (
            (
                "usr/sbin/libvirtd",
                "usr/lib/x86_64-linux-gnu/libvirt/lock-driver/lockd.so",
                "etc/systemd/system/virtlockd.service",
            ),
            None,
        ),
    ],
)
def test_the_audit_knows_what_is_not_installed(
    lockcfg: RunLockcfg, tmp_path: Path, files: tuple[str, ...], reason: str | None
) -> None:
    """Such a host is never called safe."""
    root = root_with(tmp_path, qemu=LOCKD)
    install(root, *files)
    fleet = tmp_path / "fleet"
    fleet.mkdir()
    options = ("--root", root, "--name", "kvm01", "--output", fleet / "kvm01.json")
    assert lockcfg("collect", *options).returncode == 0
    done = lockcfg("audit", fleet)
    assert ("[LA102 configuration-refused]" in done.stdout) == (reason is not None), done.stdout
    if reason is not None:
        assert f"libvirt does not start with qemu.conf: {reason} (" in done.stdout
        assert "Safe: " not in done.stdout


def test_sanlock_has_a_plugin_and_a_daemon_too(lockcfg: RunLockcfg, tmp_path: Path) -> None:
    root = root_with(tmp_path, qemu="")
    install(root, "usr/sbin/libvirtd", "usr/lib64/libvirt/lock-driver/lockd.so", "usr/sbin/lockd")
    done = lockcfg("set", "lock_manager", "sanlock", "--root", root)
    assert done.returncode == 1
    assert "[plugin-missing]" in done.stderr
    assert lockcfg("set", "lock_manager", "lockd", "--root", root).returncode == 0


def test_this_host_has_what_lockd_needs(lockcfg: RunLockcfg) -> None:
    """The places are those of the packages that the tests install."""
    from lockcfg.host.host import Host
    from lockcfg.host.parts import installed_on

    installed = installed_on(Host())
    assert installed.libvirt
    assert "lockd" in installed.plugins
    assert "lockd" in installed.daemons
    del lockcfg


# --- a root that is none --------------------------------------------------------------------

READING: Final = (("show",), ("get", "lock_manager"), ("disable",), ("unset", "lock_manager"))
WRITING: Final = (("enable",), ("set", "lock_manager", "lockd"))


@pytest.mark.parametrize("command", [*READING, *WRITING], ids=" ".join)
@pytest.mark.parametrize("below", ["", "etc", "libvirt"])
def test_a_root_without_a_configuration_is_an_error(
    lockcfg: RunLockcfg, tmp_path: Path, below: str, command: Sequence[str]
) -> None:
    (tmp_path / "host" / below).mkdir(parents=True)
    done = lockcfg(*command, "--root", tmp_path / "host")
    assert (done.returncode, done.stdout) == (3, "")
    assert f"{tmp_path}/host/etc/libvirt: is not there" in done.stderr
    # With a libvirt, its files are just absent.
    install(
        tmp_path / "host",
        *("usr/sbin/virtqemud", "usr/sbin/virtlockd", "usr/lib64/libvirt/lock-driver/lockd.so"),
    )
    done = lockcfg(*command, "--root", tmp_path / "host")
    assert done.returncode == {"get": 1, "enable": 3, "set": 3}.get(command[0], 0)


@pytest.mark.parametrize("command", READING, ids=" ".join)
def test_an_empty_directory_is_no_configuration(
    lockcfg: RunLockcfg, tmp_path: Path, command: Sequence[str]
) -> None:
    root = root_with(tmp_path)
    done = lockcfg(*command, "--root", root)
    assert (done.returncode, done.stdout) == (3, "")
    assert "holds no configuration" in done.stderr
    assert lockcfg("enable", "--root", root).returncode == 0
    assert lockcfg(*command, "--root", root, "--driver", "qemu").returncode in (0, 1)


#: Puts a directory in the place of /etc/libvirt and runs a command as the user 1000, whom root's
#: capabilities do not follow.
AS_USER: Final = """
mount --bind "$1" /etc/libvirt && shift &&
exec unshare --user --map-user=1000 --map-group=1000 "$@"
"""


def test_show_tells_a_user_of_the_systems_libvirt(tmp_path: Path) -> None:
    """Whose qemu.conf he may not read on Debian."""
    etc = shutil.copytree("/etc/libvirt", tmp_path / "etc")
    os.chown(etc / "qemu.conf", 65534, 65534)
    (etc / "qemu.conf").chmod(0o600)

    def show(*options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *("unshare", "--mount", "--propagation", "private", "sh", "-c", AS_USER, "sh"),
                *(str(etc), str(LOCKCFG), "show", *options),
            ],
            env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)},
            capture_output=True,
            text=True,
            timeout=60,
        )

    done = show()
    assert (done.returncode, done.stderr) == (0, "")
    mine, _, system = done.stdout.partition("The system's libvirt")
    assert f"Settings in {tmp_path}/.config/libvirt:" in mine
    assert "/etc/libvirt" in system
    assert "Protection: unknown\n" in system
    assert "/etc/libvirt/qemu.conf: Permission denied" in system
    report = json.loads(show("--json").stdout)
    validate("show", report)
    assert report["system"]["protection"]["level"] == "unknown"
    (unreadable,) = report["system"]["unreadable"]
    assert unreadable["path"] == "/etc/libvirt/qemu.conf"
    assert json.loads(show("--session", "--json").stdout)["system"] is None
    (etc / "qemu.conf").chmod(0o644)
    assert json.loads(show("--json").stdout)["system"]["protection"]["level"] == "none"


# --- values as scripts have them ------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("log_buffer_size", "lockd", "does not know it, and an older one refuses to start"),
        ("backup_port_max", "x", "'backup_port_max' takes a whole number"),
        ("max_queued", str(2**64 + 3), "is an integer of more than 64 bits"),
    ],
)
def test_what_libvirt_starts_with_and_nobody_meant_is_not_written(
    lockcfg: RunLockcfg, tmp_path: Path, key: str, value: str, message: str
) -> None:
    """Also if the libvirt in question does not know the setting."""
    root = root_with(tmp_path, qemu="", virtlockd="")
    result = lockcfg("set", key, value, "--root", root)
    assert result.returncode == 1
    assert message in result.stderr
    assert [path.read_bytes() for path in (root / "etc/libvirt").iterdir()] == [b"", b""]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("user", '"root"'), 'user = "root"'),
        (("user", "'root'"), 'user = "root"'),
        (("user", "“root”"), 'user = "root"'),
        (("vnc_listen", '"0.0.0.0"'), 'vnc_listen = "0.0.0.0"'),
        (("lock_manager", '"lockd"'), 'lock_manager = "lockd"'),
        (("lock_manager", '"""lockd"""'), 'lock_manager = "lockd"'),
        (("max_queued", '"5"'), "max_queued = 5"),
        (("max_core", '"unlimited"'), 'max_core = "unlimited"'),
        (("user", '""'), None),
        (("spice_tls", "'1'"), "spice_tls = 1"),
        (("security_driver", '"none"'), 'security_driver = "none"'),
        (("namespaces", '"mount"'), 'namespaces = [ "mount" ]'),
        (("cgroup_device_acl", '["/dev/null","/dev/kvm"]'), None),
    ],
)
def test_quotes_around_a_value_are_no_part_of_it(
    lockcfg: RunLockcfg, tmp_path: Path, words: tuple[str, str], line: str | None
) -> None:
    root = root_with(tmp_path, qemu="")
    done = lockcfg("set", *words, "--root", root)
    if line is None:
        assert '\\"' not in text_of(root, "qemu.conf")
        return
    assert done.returncode == 0, done.stderr
    assert text_of(root, "qemu.conf") == f"{line}\n"


@pytest.mark.parametrize(
    "words",
    [
        ("cgroup_device_acl", "/dev/null,/dev/kvm"),
        ("cgroup_device_acl", "/dev/null /dev/kvm"),
        ("cgroup_controllers", "cpu, memory"),
        ("namespaces", '"mount,mount"'),
        ("security_driver", "selinux,apparmor"),
        ("user", '"root'),
        ("user", "root'"),
        ("cgroup_device_acl", "[/dev/null,/dev/kvm]"),
    ],
)
def test_a_list_in_one_string_is_refused_with_what_to_say(
    lockcfg: RunLockcfg, tmp_path: Path, words: tuple[str, str]
) -> None:
    root = root_with(tmp_path, qemu="")
    done = lockcfg("set", *words, "--root", root)
    assert (done.returncode, done.stdout) == (2, "")
    assert text_of(root, "qemu.conf") == ""
    _, said, command = done.stderr.partition("say: lockcfg set ")
    if said:
        typed = subprocess.run(
            ["bash", "-c", f"{LOCKCFG} set --root {root} {command}"], capture_output=True, text=True
        )
        assert typed.returncode == 0, typed.stderr
        assert text_of(root, "qemu.conf").count('", "') == 1


@pytest.mark.parametrize(
    "command",
    [
        ("set", "lock_manager", "lockd", "--file", "qemu-lockd.conf"),
        ("set", "file_lockspace_dir", "/x", "--file", "qemu.conf"),
        ("set", "max_clients", "9", "--file", "qemu.conf"),
        ("set", "listen_tcp", "1", "--file", "qemu.conf"),
    ],
    ids=" ".join,
)
def test_a_setting_is_not_written_to_a_file_where_it_does_nothing(
    lockcfg: RunLockcfg, host_root: Path, command: Sequence[str]
) -> None:
    done = lockcfg(*command, "--root", host_root)
    assert (done.returncode, done.stdout) == (1, "")
    assert "[wrong-file]" in done.stderr
    # Out of there it may be taken.
    with (host_root / "etc/libvirt" / command[-1]).open("a") as file:
        file.write(f"{command[1]} = 1\n")
    done = lockcfg("unset", command[1], *command[3:], "--root", host_root)
    assert done.returncode == 0


# --- lint --fix -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"qemu": LOCKD + SANLOCK}, "this-host"),
        ({"qemu": 'lock_manager = "nop"\nmax_files = "5"\n'}, "none"),
        ({"qemu": LOCKD, "qemu_lockd": 'auto_disk_leases = "0"\n'}, "leases"),
        (
            {
                "qemu": LOCKD,
                "qemu_lockd": 'auto_disk_leases = "0"\nrequire_lease_for_disks = 0\n',
            },
            "none",
        ),
        ({"qemu": LOCKD + 'max_files = "5"\n', "qemu_lockd": "x\n"}, "refused"),
        ({"qemu": LOCKD + 'max_files = "5"\n', "qemu_lockd": "x = ${Y}\n"}, "unknown"),
        ({"qemu": LOCKD + 'max_files = "5"\nmax_queued = "x"\n'}, "refused"),
    ],
)
def test_a_fix_says_what_the_files_protect_now(
    lockcfg: RunLockcfg, tmp_path: Path, files: dict[str, str], expected: str
) -> None:
    etc = root_with(tmp_path, **files) / "etc/libvirt"
    report = json.loads(lockcfg("lint", "--fix", "--json", etc).stdout)
    (host,) = report["mended"]
    assert (host["driver"], host["level"]) == ("qemu", expected)
    # Nothing was changed the second time.
    assert json.loads(lockcfg("lint", "--fix", "--json", etc).stdout)["mended"] == []


# --- the property ---------------------------------------------------------------------------

PARSER: Final = LibvirtParser()

#: Pieces of which files are made: in force or dead, right or wrong.
QEMU_LINES: Final = (
    LOCKD,
    SANLOCK,
    'lock_manager = "nop"\n',
    'lock_manager = ""\n',
    "lock_manager = 1\n",
    "lock_manager = lockd\n",
    "max_queued = 5\n",
    'max_queued = "x"\n',
    'max_queued = 5\nmax_queued = "x"\n',
    "#lock_manager = 'lockd'\n",
    "lock_managr = 'lockd'\n",
    "# Ansible managed\n",
    "user = '{{ user }}'\n",
)
LOCKD_LINES: Final = (
    *(
        f"{key} = {value}\n"
        for key in ("auto_disk_leases", "require_lease_for_disks")
        for value in (0, 1)
    ),
    'auto_disk_leases = "0"\n',
    "auto_disk_leases = -0\n",
    "require_lease_for_disks = 2\n",
    'file_lockspace_dir = "/srv/locks"\n',
    "lvm_lockspace_dir = 5\n",
    "auto_disk_leases : 1\n",
    'lock_manager = "lockd"\n',
)
DAEMON_LINES: Final = ("max_clients = 9\n", "log_level = 9\n", "max_clients =\n", "")

#: With it lockd lets every guest in.
NO_LOCKS: Final = "auto_disk_leases = 0\nrequire_lease_for_disks = 0\n"

COMMANDS: Final = (
    ("enable",),
    ("enable", "--file-lockspace", "/srv/locks"),
    ("disable",),
    ("set", "lock_manager", "lockd"),
    ("set", "lock_manager", "sanlock"),
    ("set", "lock_manager", "nop"),
    ("set", "auto_disk_leases", "0"),
    ("set", "auto_disk_leases", "1"),
    ("set", "require_lease_for_disks", "0"),
    ("set", "require_lease_for_disks", "1"),
    ("set", "auto_disk_leases", "0", "lock_manager", "lockd"),
    ("set", "file_lockspace_dir", "/x"),
    ("set", "max_queued", "7"),
    ("set", "max_clients", "7"),
    ("unset", "lock_manager"),
    ("unset", "auto_disk_leases"),
    ("unset", "require_lease_for_disks"),
    ("unset", "max_queued"),
)

#: What most files are, and then the rest; None is a directory in the place of a file, which is
#: there and cannot be read.
trees = st.fixed_dictionaries(
    {},
    optional={
        name: st.sampled_from(lines)
        | st.lists(st.sampled_from(lines), max_size=3).map("".join)
        | st.sampled_from([*usual, *usual, None])
        for name, lines, usual in (
            ("qemu.conf", QEMU_LINES, [LOCKD, LOCKD, SANLOCK, ""]),
            ("qemu-lockd.conf", LOCKD_LINES, [NO_LOCKS, NO_LOCKS, "auto_disk_leases = 0\n"]),
            ("virtlockd.conf", DAEMON_LINES, ["", "max_clients =\n"]),
            ("libxl.conf", (LOCKD, "lock_manager =\n"), [LOCKD]),
            ("libxl-lockd.conf", ("auto_disk_leases = 0\n", "x\n"), [NO_LOCKS]),
        )
    },
)


def model(directory: Path, driver: str) -> str:
    """What libvirt does with the files in a directory, by its own parser: the verdict's level,
    ``locked`` for those of a host whose disks lockd locks."""
    qemu = in_force(directory / f"{driver}.conf")
    if isinstance(qemu, str):
        return qemu
    manager = qemu.get("lock_manager", b"nop")
    queued = qemu.get("max_queued", 0) if driver == "qemu" else 0
    if manager not in (b"nop", b"lockd", b"sanlock") or not isinstance(queued, int):
        return "refused"
    if manager == b"nop":
        return "none"
    if manager == b"sanlock":
        # Without a file of its plugin's own: only leases are locked, and a guest must have one.
        assert not (directory / f"{driver}-sanlock.conf").exists()
        return "leases"
    lockd = in_force(directory / f"{driver}-lockd.conf")
    daemon = in_force(directory / "virtlockd.conf")
    if "refused" in (lockd, daemon):
        return "refused"
    if isinstance(daemon, dict) and daemon.get("log_level", 1) not in range(5):
        return "refused"
    if isinstance(lockd, dict):
        auto = lockd.get("auto_disk_leases", 1)
        required = lockd.get("require_lease_for_disks", int(auto == 0))
        if auto not in (0, 1) or required not in (0, 1):
            return "refused"
        if not isinstance(lockd.get("lvm_lockspace_dir", b""), bytes):
            return "refused"
    if isinstance(lockd, str) or isinstance(daemon, str):
        return "unknown"
    if auto:
        return "locked"
    return "leases" if required else "none"


def in_force(path: Path) -> dict[str, object] | str:
    """What is in force of a file, or why nothing is. A number with a sign is none of libvirt's
    unsigned ones."""
    if path.is_dir():
        return "unknown"
    parsed = PARSER.read(path.read_bytes() if path.exists() else b"")
    if isinstance(parsed, Rejected):
        return "refused"
    found: dict[str, object] = {}
    for setting in parsed.settings:
        found.setdefault(setting.name, None if setting.signed else setting.value)
    return found


def level(report: Mapping[str, Any]) -> str:
    """The level that a report has, those of locked disks as one."""
    name: str = report["protection"]["level"]
    return "locked" if name in ("this-host", "depends", "between-hosts") else name


def validate(definition: str, report: object) -> None:
    """Hold a report against its schema."""
    assert [error.message for error in validator(definition).iter_errors(report)] == []


@cache
def validator(definition: str) -> Draft202012Validator:
    """Of one definition of the schema of the output."""
    return Draft202012Validator({**SCHEMA, "$ref": f"#/$defs/{definition}"})


def run_json(*words: str) -> tuple[int, Any]:
    """Run a command in this process: its status, and what it printed as JSON."""
    out = io.StringIO()
    with redirect_stdout(out), redirect_stderr(io.StringIO()):
        status = main([*words, "--json"])
    report = json.loads(out.getvalue())
    validate("error" if "error" in report else words[0], report)
    return status, report


def contents(directory: Path) -> dict[str, bytes | None]:
    """The files of a directory, with None for a directory."""
    return {path.name: None if path.is_dir() else path.read_bytes() for path in directory.iterdir()}


def set_queued(**files: str) -> dict[str, Any]:
    """An example: an edit of qemu.conf that has nothing to do with locks."""
    tree = {
        "qemu.conf": LOCKD,
        **{f"{name.replace('_', '-')}.conf": t for name, t in files.items()},
    }
    command = ("set", "max_queued", "7")
    return {"tree": tree, "command": command, "driver": "qemu", "force": False, "dry": False}


@example(**set_queued(qemu_lockd="x =\n"))
@example(**set_queued(virtlockd="x =\n"))
@example(**set_queued(libxl="x =\n"))
@example(**set_queued(virtlockd="log_level = 1\nlog_level = 9\n"))
@settings(max_examples=250)
@given(
    tree=trees,
    command=st.sampled_from(COMMANDS),
    driver=st.sampled_from(["qemu", "qemu", "qemu", "libxl"]),
    force=st.booleans(),
    dry=st.booleans(),
)
def test_what_a_command_says_is_what_libvirt_does(
    tree: dict[str, str | None], command: tuple[str, ...], driver: str, *, force: bool, dry: bool
) -> None:
    """For any files, whatever a command says of them before and after it wrote."""
    with tempfile.TemporaryDirectory() as top:
        etc = Path(top) / "etc/libvirt"
        etc.mkdir(parents=True)
        (etc / "libvirtd.conf").write_text("")  # a libvirt is configured here
        for name, text in tree.items():
            if text is None:
                (etc / name).mkdir()
            else:
                (etc / name).write_text(text)
        where = ("--root", top, "--driver", driver)
        before, expected_before = contents(etc), model(etc, driver)
        status, report = run_json("show", *where)
        if status == 0:
            assert level(report) == expected_before
        else:
            assert None in tree.values() or expected_before == "refused" or status == 3

        options = [*(["--force"] if force else []), *(["--dry-run"] if dry else [])]
        status, report = run_json(*command, *options, *where)
        after, expected = contents(etc), model(etc, driver)
        if status or dry:
            assert after == before
        if status:
            return
        assert report["written"] == (after != before)
        if not dry or not report["changed"]:
            assert level(report) == expected
        turns_on = command[0] == "enable" or command[1:3] == ("lock_manager", "lockd")
        if turns_on and not force and not dry:
            # Nothing but what the edit found broken and was told nothing of is left.
            assert expected in ("locked", "leases") or expected_before == expected == "refused"
        if command[0] == "enable" and not force and not dry and expected != "refused":
            assert expected == "locked"
