"""What is done inside the virtual machine: contests on kernel NFS.

    python -m tests.real.shared.in_machine HAMMER SECONDS MIXED_SECONDS [VERSION...]

It prints one JSON document: for each version of NFS what its rounds gave. Those with virtlockd
last MIXED_SECONDS and are held on each VERSION that is named.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.real.shared.contest import ring
from tests.real.shared.daemons import LOCKD, VIRTLOCKD
from tests.real.shared.kept_lock import transcript
from tests.real.shared.nfs import MOUNTS, nfs_network

if TYPE_CHECKING:
    from typing import Any

    from tests.real.shared.hosts import Network


def rounds(
    hosts: Network, mount: str, hammer: Path, seconds: int, mixed_seconds: int
) -> dict[str, Any]:
    """All rounds on one mount; those with virtlockd only if they last for a while."""
    lockspace = f"{mount}/lockspace"
    said: dict[str, Any] = {"kept": transcript(hosts, f"{mount}/kept")}
    with ring(hosts, (LOCKD, LOCKD), lockspace, hammer) as ours:
        said["ours"] = ours.fight(seconds=seconds)
        said["hand-over"] = ours.hand_over(hold=1.5)
    if mixed_seconds:
        for name, daemon in (("virtlockd", VIRTLOCKD), ("mixed", LOCKD)):
            with ring(hosts, (daemon, VIRTLOCKD), lockspace, hammer) as mixed:
                said[name] = mixed.fight(seconds=mixed_seconds)
    return said


def main(hammer: str, seconds: str, mixed_seconds: str, *mixed_versions: str) -> None:
    """Hold the contests and print what came of them."""
    with nfs_network() as hosts:
        report = {
            version: rounds(
                hosts,
                mount,
                Path(hammer),
                int(seconds),
                int(mixed_seconds) if version in mixed_versions else 0,
            )
            for version, mount in MOUNTS.items()
        }
    json.dump(report, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
