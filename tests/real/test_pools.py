"""A disk that is a volume of a storage pool: libvirt locks the path that the collector finds."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

from lockcfg.fleet.snapshots import collector
from tests.real.guest_host import DISKS, LOCKSPACE, Disk, GuestHost

POOL = f"<pool type='dir'><name>p</name><target><path>{DISKS}</path></target></pool>"
STORAGE_DRIVER = "/usr/lib/x86_64-linux-gnu/libvirt/connection-driver/libvirt_driver_storage.so"


class PoolHost(GuestHost):
    """A host whose guests name their disks by a pool."""

    def _domain(self, *arguments: object) -> str:
        xml = super()._domain(*arguments)  # type: ignore[arg-type]
        return xml.replace("type='file'", "type='volume'").replace(
            f"file='{DISKS}/", "pool='p' volume='"
        )


def test_a_volume_is_locked_by_the_path_that_the_collector_tells(tmp_path: Path) -> None:
    """Before the guest runs and while it does."""
    virtlockd = Path(shutil.which("virtlockd") or "/usr/sbin/virtlockd")
    with PoolHost(tmp_path / "host", virtlockd, {"file_lockspace_dir": LOCKSPACE}) as host:
        assert host.run("ln", "-s", STORAGE_DRIVER, "/run/modules/").status == 0
        assert host.start_lock_daemon().status == 0
        assert host.start_libvirtd().status == 0
        host.path("/srv/pool.xml").write_text(POOL)
        assert host.virsh("pool-define /srv/pool.xml; pool-start p").status == 0
        host.define("one", (Disk(host.make_disk("a")),))

        def disk_told() -> dict[str, object]:
            program = str(collector.__file__)
            told = json.loads(host.run(sys.executable, "-I", program, "--no-probe").said)
            (guest,) = told["guests"]
            (disk,) = guest["disks"]
            return {**disk, "running": guest.get("running", False)}

        before = disk_told()
        assert (before["type"], before["path"]) == ("file", f"{DISKS}/a")
        assert not before["running"]
        assert host.virsh("pool-refresh p; start one").status == 0
        now = disk_told()
        assert (now["type"], now["path"]) == ("file", f"{DISKS}/a")
        assert now["running"]
        (lock,) = host.state().locks
        name = hashlib.sha256(str(now["path"]).encode()).hexdigest()
        assert lock.file == f"{LOCKSPACE}/{name}"
        assert host.virsh("destroy one").status == 0
