"""The role ``engine`` with a wheel: lockd is installed where no package index is reached, and takes
virtlockd's place while a guest of the real libvirt runs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.ansible.playing import task
from tests.ansible.wheels import make_wheels
from tests.real.guest_host import DISKS, LOCKSPACE, Disk, GuestHost
from tests.real.moving_host import VIRTLOCKD

if TYPE_CHECKING:
    from typing import Any

    from tests.ansible.playing import Controller, Played


def by_wheel(wheels: Path) -> dict[str, Any]:
    """The role."""
    return {
        "name": "engine",
        "ansible.builtin.include_role": {"name": "lockcfg.lockcfg.engine"},
        "vars": {
            "engine_install": "wheel",
            "engine_wheels": str(wheels),
            "engine_python": f"{sys.base_prefix}/bin/python3",
        },
    }


def test_without_wheels_nothing_is_installed(controller: Controller) -> None:
    """The role says what it lacks."""
    role = by_wheel(Path())
    role["vars"] |= {"engine_wheels": "", "engine_directory": str(controller.directory / "lockd")}
    played = controller.play([role])
    assert played.status == 2, played.output
    assert "engine_wheels: it is required" in played.output
    assert not (controller.directory / "lockd").exists()


@pytest.mark.usefixtures("long_run")
def test_lockd_by_wheel(controller: Controller, tmp_path: Path) -> None:
    """The guest keeps its lock, and a second run changes nothing."""
    wheels = tmp_path / "wheels"
    make_wheels(wheels)
    with GuestHost(tmp_path / "host", Path(VIRTLOCKD), {"file_lockspace_dir": LOCKSPACE}) as host:
        for each in ("/etc/systemd", "/etc/init.d", "/usr/local", "/opt"):
            assert host.run("mount", "-t", "tmpfs", "-o", "mode=755", "tmpfs", each).status == 0
        assert host.run("mkdir", "/srv/tmp").status == 0
        # What belongs to this machine cannot be written there, except for what the play writes.
        here = str(controller.directory)
        for words in (("--bind", here, here), ("-o", "remount,bind,rw", here)):
            assert host.run("mount", *words).status == 0
        for started in (host.start_lock_daemon(), host.start_libvirtd()):
            assert started.status == 0, started.said
        host.define("web", (Disk(host.make_disk("a")),))
        host.define("thief", (Disk(f"{DISKS}/a"),))
        assert host.virsh("start web").status == 0
        before = host.state()
        (lock,) = before.locks

        def play() -> Played:
            return controller.play(
                [by_wheel(wheels), task("locks", "locks", held=[lock.file])],
                hosts={"kvm01": {"ansible_remote_tmp": "/srv/tmp"}},
                before=(*host.enter, "env", "TMPDIR=/srv/tmp"),
            )

        played = play()
        assert played.status == 0, played.output
        assert played["locks"]["kvm01"]["daemon"] == "lockd"
        assert host.state() == before
        assert "lock" in host.virsh("start thief").said
        where = host.run("readlink", "-f", "/usr/local/sbin/lockd")
        assert where.said == "/opt/lockcfg/bin/lockd"
        again = play()
        assert again.status == 0, again.output
        assert "changed=0 " in again.output
        assert host.state() == before
