"""``collect --root DIR``: the files of a host that does not run here, and nothing from outside."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from lockcfg.fleet.snapshots import collector
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.store import Store
from lockcfg.yamlschema import load_schema, violations
from tests.host.test_root import LINKS, outside, place, root
from tests.real.lock_hosts import disk_xml, guest_xml

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["outside", "root"]

PYTHON = "/usr/bin/python3"


def collect(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the program."""
    return subprocess.run(
        [PYTHON, "-I", str(collector.__file__), "--root", root, *options],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def snapshot(root: Path) -> dict[str, Any]:
    """What it says, which is a snapshot like any other."""
    done = collect(root, "--name", "kvm01")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert violations(found, load_schema("snapshot")) == []
    Ingester(Store.create()).snapshot("kvm01.json", done.stdout.encode())
    return found


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_leads_where_it_leads_on_that_host(root: Path, outside: Path, kind: str) -> None:
    """To the host's own file, and to none if it has none."""
    place(root, outside, kind, inside=True)
    # What a comment says is left out, its line is not.
    assert snapshot(root)["qemu.conf"]["text"] == '#\nlock_manager = "nop"\n'


@pytest.mark.parametrize("kind", LINKS)
def test_a_link_leads_nowhere_else(root: Path, outside: Path, kind: str) -> None:
    """What it would lead to on this host is not in the snapshot."""
    place(root, outside, kind, inside=False)
    done = collect(root, "--name", "kvm01")
    assert done.returncode == 0
    assert "sanlock" not in done.stdout
    found = json.loads(done.stdout)["qemu.conf"]
    assert "text" not in found


def test_nothing_of_this_host_is_in_it(root: Path) -> None:
    """Neither its guests, daemons, mounts and devices, nor its name: what is not known is said."""
    (root / "etc/libvirt/qemu").mkdir(parents=True)
    (root / "etc/libvirt/qemu.conf").write_text('lock_manager = "lockd"\n')
    disks = [disk_xml("/var/lib/libvirt/images/disk.img")]
    (root / "srv").mkdir()
    (root / "srv/guest.xml").write_text(guest_xml("guest", disks))
    (root / "etc/libvirt/qemu/guest.xml").symlink_to("/srv/guest.xml")
    (root / "run/libvirt/qemu").mkdir(parents=True)
    (root / "run/libvirt/qemu/left-over.xml").write_text(guest_xml("left-over", disks))
    (root / "etc/machine-id").write_text("0123456789abcdef0123456789abcdef\n")
    (root / "usr/sbin").mkdir(parents=True)
    (root / "usr/sbin/lvs").write_text("#!/bin/sh\ntouch /tmp/lvs-of-another-host\n")
    (root / "usr/sbin/lvs").chmod(0o755)
    (root / "usr/lib64/libvirt/lock-driver").mkdir(parents=True)
    (root / "usr/lib64/libvirt/lock-driver/lockd.so").touch()
    (root / "etc/hostname").write_text("kvm07\n")
    done = collect(root)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert violations(found, load_schema("snapshot")) == []
    assert found["host"]["name"] == "kvm07"
    assert found["host"]["machine_id"] == "0123456789abcdef0123456789abcdef"
    assert found["host"]["boot_id"] == ""
    assert [guest["name"] for guest in found["guests"]] == ["guest"]
    assert "running" not in found["guests"][0]
    assert found["daemons"] == []
    assert found["versions"] == {}
    assert found["tools"] == {"lvs": True, "scsi_id": False, "parts": ["lockd.so"]}
    assert not os.path.exists("/tmp/lvs-of-another-host")
    assert [(each["path"], each["error"]) for each in found["directories"]] == [
        ("/var/lib/libvirt/images", "the host does not run here")
    ]
    assert found["identities"] == {}
    assert found["collector"]["probe"] is False
    assert any("does not run here" in each for each in found["collector"]["incomplete"])


def test_a_host_without_a_name(root: Path, tmp_path: Path) -> None:
    """Its name is not the name of this host, and a path that is not a directory is an error."""
    done = collect(root)
    assert (done.returncode, done.stdout) == (2, "")
    assert "use --name" in done.stderr
    done = collect(tmp_path / "none", "--name", "kvm01")
    assert done.returncode == 2
    assert "there is no such directory" in done.stderr


def test_pipes_loops_and_devices(root: Path) -> None:
    """Nothing there is waited for."""
    (root / "etc/libvirt/qemu").mkdir(parents=True)
    os.mkfifo(root / "etc/libvirt/qemu.conf")
    (root / "etc/libvirt/virtlockd.conf").symlink_to("virtlockd.conf")
    (root / "etc/libvirt/qemu-lockd.conf").symlink_to("/nowhere")
    os.mkfifo(root / "etc/libvirt/qemu/guest.xml")
    found = snapshot(root)
    assert found["qemu.conf"]["error"] == "is not a regular file"
    assert found["virtlockd.conf"]["error"] == "Too many levels of symbolic links"
    assert found["qemu-lockd.conf"]["error"] == "No such file or directory"
    assert found["guests"] == []


LEASES = 'auto_disk_leases = 1\nhost_id = 3\ndisk_lease_dir = "/srv/leases"\n'


@pytest.mark.parametrize("driver", ["qemu", "libxl"])
@pytest.mark.parametrize(
    ("manager", "plugin", "told", "looked_at"),
    [
        ("sanlock", LEASES, True, "/srv/leases"),
        ("sanlock", "auto_disk_leases = 1\nhost_id = 3\n", True, "/var/lib/libvirt/sanlock"),
        ("sanlock", None, True, "/var/lib/libvirt/sanlock"),
        ("lockd", LEASES, True, None),
        ("lockd", None, False, None),
    ],
)
def test_the_files_of_sanlocks_plugin(
    root: Path, driver: str, manager: str, plugin: str | None, told: bool, looked_at: str | None
) -> None:
    """They are told where they are there, and where they are missed; the directory of the leases
    is looked at where sanlock makes some."""
    etc = root / "etc/libvirt"
    etc.mkdir(parents=True)
    (etc / f"{driver}.conf").write_text(f'lock_manager = "{manager}"\n')
    name = f"{driver}-sanlock.conf"
    if plugin is not None:
        (etc / name).write_text(plugin)
    found = snapshot(root)
    assert (name in found) == told
    assert found.get(name, {}).get("text") == plugin
    other = "libxl-sanlock.conf" if driver == "qemu" else "qemu-sanlock.conf"
    assert other not in found
    paths = {each["path"] for each in found.get("directories", ()) if "lockspace" in each["holds"]}
    assert paths & {"/srv/leases", "/var/lib/libvirt/sanlock"} == {looked_at} - {None}
