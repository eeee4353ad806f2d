"""What the real libvirtd says when a lock is refused is pasted into ``lockcfg who``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import PROGRAM
from tests.real.guest_host import LOCKSPACE, Disk, GuestHost
from tests.real.test_adoption import start, virsh

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

VIRTLOCKD: Final = Path("/usr/sbin/virtlockd")


@pytest.mark.parametrize("command", ["who", "explain"])
@pytest.mark.parametrize("daemon", [VIRTLOCKD, Path(PROGRAM)], ids=["virtlockd", "lockd"])
@pytest.mark.parametrize(
    "settings", [{"file_lockspace_dir": LOCKSPACE}, {}], ids=["indirect", "direct"]
)
def test_a_refusal(
    tmp_path: Path, daemon: Path, settings: Mapping[str, int | str], command: str
) -> None:
    """The disk, its holder, and what to do, whichever lock daemon refused."""
    with GuestHost(tmp_path / "host", daemon, settings) as host:
        start(host, "lock daemon", "libvirtd")
        disk = host.make_disk("a")
        for name in ("one", "two"):
            host.define(name, (Disk(disk),))
        virsh(host, "start one")
        refused = host.virsh("start two")
        assert refused.status == 1
        host.path("/srv/said").write_text(refused.said)
        lockcfg = PROGRAM.with_name("lockcfg")
        result = host.run("sh", "-c", f"{lockcfg} {command} --json - </srv/said")
        assert result.status == 0, result.said
        answer = json.loads(result.said)
        assert "lock-daemon" in [each["layer"] for each in answer["texts"]]
        assert disk in answer["disks"]
        # Of virtlockd the kernel tells the process alone.
        guests = {each["guest"] for each in answer["holders"]}
        assert {"one"} <= guests <= {"one", None}
        knows = daemon != VIRTLOCKD
        assert ("guest one" if knows else "'lockcfg doctor' tells for which guest") in (
            answer["steps"][0].replace("'", "") if knows else answer["steps"][0]
        )
