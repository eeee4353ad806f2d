"""What is done on a host with lock daemons: the real virtlockd and the real lockd."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import pytest

from lockcfg.fleet.plan.mounting import Mounting
from tests.ansible.playing import task
from tests.conftest import LOCKCFG, SAMPLES
from tests.lockd.client import AUTOCREATE, SHARED
from tests.lockd.engine import PROGRAM
from tests.real.moving_host import VIRTLOCKD, MovingHost

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ansible.playing import Controller

LIMITS: Final[dict[str, Any]] = {"max_clients": 900, "max_anonymous_clients": 33}


def inside(host: MovingHost) -> list[str]:
    """What runs a command on a host."""
    return ["nsenter", "--target", str(host.process.pid), "--mount"]


@pytest.mark.parametrize("program", [VIRTLOCKD, PROGRAM], ids=["virtlockd", "lockd"])
def test_limits_and_locks(controller: Controller, tmp_path: Path, program: str | Path) -> None:
    """Limits are changed at once, once; locks are told, and missed."""
    directory = tmp_path / "host"
    directory.mkdir()
    with MovingHost(directory, program=program) as host:
        # Where the collector looks for it.
        made = (
            "cd /usr/local/sbin && mount -t tmpfs -o mode=755 tmpfs . && cd /usr/local/sbin"
            """ && printf '#!/bin/sh\\nexec "%s" "$@"\\n' "$1" >lockd && chmod 755 lockd"""
        )
        assert host.inside("sh", "-c", made, "sh", PROGRAM).returncode == 0
        client = host.client()
        client.register("web1", 1_000_000)
        client.acquire(host.lockspace, "disk")
        client.acquire(host.lockspace, "shared", AUTOCREATE | SHARED)
        disk = str(host.lockspace / "disk")
        tasks = [
            task("limits", "limits", **LIMITS),
            task("again", "limits", **LIMITS),
            task("wrong", "limits", max_clients=0, more={"ignore_errors": True}),
            task("locks", "locks", held=[disk]),
            task("missing", "locks", held=["/srv/no"], more={"ignore_errors": True}),
        ]
        checked = controller.play(tasks[:1], "--check", before=inside(host))
        assert checked["limits"]["kvm01"]["changed"], checked.output
        played = controller.play(tasks, before=inside(host))
    assert played.status == 0, played.output
    limits = played["limits"]["kvm01"]
    assert limits["changed"]
    assert limits["before"]["max_clients"] != 900
    assert LIMITS.items() <= limits["after"].items()
    assert not played["again"]["kvm01"]["changed"]
    assert played["wrong"]["kvm01"]["failed"]
    locks = played["locks"]["kvm01"]
    assert locks["daemon"] == ("virtlockd" if program == VIRTLOCKD else "lockd")
    assert {each["path"]: each["mode"] for each in locks["locks"]} == {
        disk: "exclusive",
        str(host.lockspace / "shared"): "shared",
    }
    if program == PROGRAM:
        assert {name for each in locks["locks"] for name in each["guests"]} == {"web1"}
    assert locks["problems"] == []
    assert "not locked: /srv/no" in played["missing"]["kvm01"]["msg"]


def test_without_a_daemon(controller: Controller) -> None:
    """No daemon answers: nothing looks as if it were held, or changed."""
    empty = 'mount -t tmpfs tmpfs /run && mkdir /run/libvirt && exec "$@"'
    before = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "sh", "-c", empty, "sh"]
    played = controller.play(
        [
            task("locks", "locks"),
            task("held", "locks", held=["/srv/a"], more={"ignore_errors": True}),
            task("limits", "limits", max_clients=5, more={"ignore_errors": True}),
            task("adopt", "adopt", lockd=str(PROGRAM), more={"ignore_errors": True}),
        ],
        before=before,
    )
    assert played.status == 0, played.output
    assert played["locks"]["kvm01"]["daemon"] is None
    assert played["locks"]["kvm01"]["locks"] == []
    assert "not locked" in played["held"]["kvm01"]["msg"]
    assert "virt-admin" in played["limits"]["kvm01"]["msg"]
    assert "lockd adopt" in played["adopt"]["kvm01"]["msg"]


def test_a_probe_by_the_role(controller: Controller, tmp_path: Path) -> None:
    """Two hosts that share a directory see each other's locks there, the scratch files are gone
    afterwards, and the audit takes it for evidence."""
    shared = tmp_path / "shared"
    shared.mkdir()
    role = {
        "name": "probe",
        "ansible.builtin.include_role": {"name": "lockcfg.lockcfg.probe"},
        "vars": {"probe_dest": "probed", "probe_directories": [str(shared)], "probe_seconds": 120},
    }
    hosts: dict[str, dict[str, str]] = {"kvm01": {}, "kvm02": {}}
    checked = controller.play([role], "--check", hosts=hosts)
    assert checked.status == 0, checked.output
    assert not (controller.directory / "probed").exists()
    played = controller.play(
        [role, task("audit", "audit", paths=["probed"], more={"run_once": True})], hosts=hosts
    )
    assert played.status == 0, played.output
    assert os.listdir(shared) == []
    (audit,) = played["audit"].values()
    (row,) = [each for each in audit["audit"]["probe"] if str(shared) in each["paths"]]
    assert row["seen"] == "yes"
    assert row["hosts"] == ["kvm01", "kvm02"]


def test_what_a_plan_says_of_mounts(controller: Controller) -> None:
    """The role mounts it for good. It hides nothing that is there."""
    paths = ("/srv/locks", "/srv/used", "/srv/mounted")
    step = {"action": "mount", "work": [plan_of(path) for path in paths]}
    role = {
        "name": "mount",
        "ansible.builtin.include_role": {"name": "lockcfg.lockcfg.mount"},
        "vars": {"mount_steps": [step]},
    }
    commands = ("cat /proc/self/mounts", "cat /etc/fstab", "ls /srv/used")
    looks = [
        {"name": each, "ansible.builtin.command": {"cmd": each}, "changed_when": False}
        for each in commands
    ]
    made = (
        "mount -t tmpfs tmpfs /srv && mkdir /srv/used /srv/mounted && touch /srv/used/lock"
        " && mount -t tmpfs tmpfs /srv/mounted"
        ' && touch /srv/fstab && mount --bind /srv/fstab /etc/fstab && exec "$@"'
    )
    before = ["unshare", "--mount", "--propagation", "private", "sh", "-c", made, "sh"]
    played = controller.play([{"block": [role], "rescue": looks}], before=before)
    assert played.status == 0, played.output
    task = "lockcfg.lockcfg.mount : Mount what has the lockspaces, for good"
    mounted, used, busy = played[task]["kvm01"]["results"]
    assert mounted["changed"]
    assert 'failed: test -z "$(ls -A /srv/used)"' in used["stderr"]
    assert "failed: ! mountpoint -q /srv/mounted" in busy["stderr"]
    mounts, fstab, files = (played[each]["kvm01"]["stdout"] for each in commands)
    found = [line.split()[1:4] for line in mounts.splitlines() if " /srv/" in line]
    (made_now,) = [each for each in found if each[0] == "/srv/locks"]
    assert made_now[1] == "tmpfs"
    assert "noexec" in made_now[2]
    assert len([each for each in found if each[0] == "/srv/mounted"]) == 1
    assert fstab == "tmpfs /srv/locks tmpfs noexec 0 0"
    assert files == "lock"


def test_the_files_of_xen(controller: Controller, tmp_path: Path) -> None:
    """A host that has only these gets what a plan says of them, once, the bytes that 'lockcfg set'
    writes; and what a rollback writes. No daemon of Xen runs here."""
    directory, theirs = tmp_path / "host", tmp_path / "theirs"
    directory.mkdir()
    (theirs / "etc/libvirt").mkdir(parents=True)
    changes = [
        {"file": "libxl.conf", "key": "lock_manager", "value": "lockd"},
        {"file": "libxl-lockd.conf", "key": "file_lockspace_dir", "value": "/srv/locks"},
    ]
    step = {"action": "write", "work": [{"do": "set", "hosts": ["kvm01"], "changes": changes}]}
    role = {
        "name": "configure",
        "ansible.builtin.include_role": {"name": "lockcfg.lockcfg.configure"},
        "vars": {"configure_steps": [step]},
    }
    back = task(
        "back",
        "settings",
        settings={"lock_manager": "nop"},
        file="libxl.conf",
        driver="libxl",
        unprotected=True,
        force=True,
    )
    write = "lockcfg.lockcfg.configure : Write the settings, in all files or in none"
    with MovingHost(directory) as host:
        for each in host.etc.glob("*.conf"):
            each.unlink()
        for each in SAMPLES.glob("libxl*.conf"):
            shutil.copy(each, host.etc)
            shutil.copy(each, theirs / "etc/libvirt")
        words = [word for each in changes for word in (each["key"], each["value"])]
        subprocess.run(
            [LOCKCFG, "set", "--root", theirs, "--driver", "libxl", *words],
            check=True,
            capture_output=True,
        )
        collect = task("collect", "collect", scratch=False)
        played = controller.play([role, collect], before=inside(host))
        assert played.status == 0, played.output
        assert played[write]["kvm01"]["changed"]
        facts = played["collect"]["kvm01"]["ansible_facts"]["lockcfg"]
        assert (facts["driver"], facts["lock_manager"]) == ("libxl", "lockd")
        for name in ("libxl.conf", "libxl-lockd.conf"):
            text = (host.etc / name).read_bytes()
            assert text == (theirs / "etc/libvirt" / name).read_bytes()
            assert text != (SAMPLES / name).read_bytes()
        assert not (host.etc / "qemu.conf").exists()
        again = controller.play([role, back, collect], before=inside(host))
    assert again.status == 0, again.output
    assert not again[write]["kvm01"]["changed"]
    assert again["back"]["kvm01"]["changed"]
    assert again["collect"]["kvm01"]["ansible_facts"]["lockcfg"]["lock_manager"] == "nop"


def plan_of(path: str) -> dict[str, Any]:
    """The work of a plan for a mount, as its JSON has it."""
    mounting = Mounting(
        path, "somewhere", point=path, source="tmpfs", type="tmpfs", options=["noexec"]
    )
    work = mounting.work(["kvm01"])
    return {"do": work.do, "hosts": work.hosts, "commands": work.commands, **work.data}
