"""What validate says that a host lacks, against the libvirtd that starts there or does not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from lockcfg.host.installed import plugin_directories
from tests.conftest import LOCKCFG
from tests.real.libvirtd_host import DIRECTORY, HUGE_PAGES, RELATIVE, Host

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

#: What the findings are called that are about the host and not about the files.
OF_THE_HOST = ("not-on-this-host", "plugin-missing", "daemon-missing")

#: Settings, and whether this host has what they need.
CASES = [
    ('user = "root"', True),
    ('user = "+0"', True),
    ('user = "12345"', True),
    ('user = "nobody-of-that-name"', False),
    ('user = "99999999999"', False),
    ('user = " root"', False),
    ('group = "root"', True),
    ('group = "no-such-group"', False),
    ('swtpm_user = "nobody-of-that-name"', False),
    ('swtpm_group = "no-such-group"', False),
    *(
        (f'{name}_tls_x509_cert_dir = "{directory}"', there)
        for name in ("default", "vnc", "spice", "chardev", "migrate", "backup", "nbd")
        for directory, there in ((DIRECTORY, True), ("/run/missing", False))
    ),
    # libvirt takes a relative path, from the directory that it runs in.
    (f'migrate_tls_x509_cert_dir = "{RELATIVE}"', True),
    ('migrate_tls_x509_cert_dir = "run/missing"', False),
    ('migrate_tls_x509_cert_dir = ""', False),
    (f'hugetlbfs_mount = "{HUGE_PAGES}"', True),
    (f'hugetlbfs_mount = [ "{HUGE_PAGES}", "{DIRECTORY}" ]', False),
    (f'hugetlbfs_mount = "{DIRECTORY}"', False),
    ('hugetlbfs_mount = "/run/missing"', False),
    ("hugetlbfs_mount = []", True),
    ('security_driver = "none"', True),
    ('lock_manager = "lockd"', True),
    ('lock_manager = "nop"', True),
    # What is not there and is not in force stops nothing.
    ('user = "root"\nuser = "nobody-of-that-name"', True),
]


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return Host(tmp_path_factory.mktemp("host"))


def lacks(host: Host, text: str, *options: str) -> list[dict[str, Any]]:
    """The findings of validate, run on the host, about what it lacks."""
    done = host.run({"qemu.conf": text}, LOCKCFG, "validate", "--json", *options)
    assert done.returncode in (0, 1), done.stdout
    report = json.loads(done.stdout)
    return [each for each in report["findings"] if each["rule"] in OF_THE_HOST]


@pytest.mark.parametrize(("text", "there"), CASES)
def test_libvirtd_starts_where_nothing_is_lacking(host: Host, text: str, there: bool) -> None:
    outcome = host.libvirtd({"qemu.conf": f"{text}\n"}, lock_daemon="lockd" in text)
    assert outcome.started == there, outcome.log
    found = lacks(host, f"{text}\n")
    assert (not found) == there, found


def test_security_drivers_that_the_kernel_lacks(host: Host) -> None:
    """Each kernel has one of the two at most, so one is lacking and libvirtd does not start."""
    verdicts = []
    for name in ("selinux", "apparmor"):
        text = f'security_driver = "{name}"\n'
        started = host.libvirtd({"qemu.conf": text}).started
        verdicts.append(started)
        assert started == (not lacks(host, text)), name
    assert False in verdicts


@pytest.mark.parametrize("drivers", ["", "security_driver = []\n"])
def test_guests_that_must_be_confined_on_a_kernel_that_confines_none(
    host: Host, drivers: str
) -> None:
    text = f"{drivers}security_require_confined = 1\n"
    assert host.libvirtd({"qemu.conf": text}).started == (not lacks(host, text))


def test_the_plugin_of_a_lock_manager(host: Host) -> None:
    """Said where the plugin is not there, by the daemon and by validate alike."""
    text = 'lock_manager = "sanlock"\n'
    outcome = host.libvirtd({"qemu.conf": text})
    missing = "lock-driver/sanlock.so not accessible" in outcome.log
    assert bool(lacks(host, text)) == missing


def test_doctor_says_what_keeps_libvirt_from_starting(host: Host) -> None:
    files = {"qemu.conf": 'lock_manager = "lockd"\n'}
    hide = f'mount -t tmpfs tmpfs "{next(iter(plugin_directories()))}"; exec "$@"'
    for hidden in (False, True):
        command = ("sh", "-ec", hide, "sh") if hidden else ()
        said = host.run(files, *command, LOCKCFG, "doctor").stdout
        assert ("the plugin of lockd (lock-driver/lockd.so) is not installed" in said) == hidden


def test_a_tree_is_not_held_against_this_host(host: Host, tmp_path: Path) -> None:
    """Nor is a file that is named: they may be another host's."""
    text = 'user = "nobody-of-that-name"\n'
    done = host.run({"qemu.conf": text}, LOCKCFG, "validate", "/etc/libvirt/qemu.conf")
    assert (done.returncode, done.stdout) == (0, "0 findings in 1 file\n")
    (tmp_path / "etc/libvirt").mkdir(parents=True)
    (tmp_path / "etc/libvirt/qemu.conf").write_text(text)
    done = host.run({}, LOCKCFG, "validate", "--root", tmp_path)
    assert (done.returncode, done.stdout) == (0, "0 findings in 1 file\n")


def test_set_refuses_what_the_host_lacks(host: Host) -> None:
    """But for --force; and what was lacking before stands in the way of nothing else."""
    done = host.run({}, LOCKCFG, "set", "user", "nobody-of-that-name")
    assert done.returncode == 1
    assert "there is no user 'nobody-of-that-name'" in done.stdout
    assert host.run({}, LOCKCFG, "set", "--force", "user", "nobody-of-that-name").returncode == 0
    text = 'user = "nobody-of-that-name"\n'
    assert host.run({"qemu.conf": text}, LOCKCFG, "set", "max_core", "0").returncode == 0
