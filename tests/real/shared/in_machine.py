"""What is done inside the virtual machine, on kernel NFS.

    python -m tests.real.shared.in_machine PLAN

PLAN is a JSON object: what to do (a key of :data:`PARTS`) and the arguments of that. It
prints one JSON object: what came of each, and under ``took`` how long each took, in seconds.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from tests.real.shared import devices, failing, losses, model_on_nfs, probe_on_nfs
from tests.real.shared.contest import ring
from tests.real.shared.daemons import LOCKD, VIRTLOCKD, lock_daemons
from tests.real.shared.dead_host import a_host_dies
from tests.real.shared.kept_lock import transcript
from tests.real.shared.kills import fight
from tests.real.shared.nfs import EXPORT, MOUNTS, cut_off, forget_locks, nfs_network, plug_in
from tests.real.shared.silence import (
    AT_ONCE_EMULATED,
    a_guest_ends,
    cut_in_the_middle,
    others_go_on,
    the_next_process,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from tests.real.shared.hosts import Network


def contests(
    hosts: Network, hammer: str, seconds: int, mixed_seconds: int, mixed_versions: list[str]
) -> dict[str, Any]:
    """For each version of NFS what its rounds gave."""
    return {
        version: _rounds(
            hosts,
            mount,
            Path(hammer),
            seconds,
            mixed_seconds if version in mixed_versions else 0,
        )
        for version, mount in MOUNTS.items()
    }


def _rounds(
    hosts: Network, mount: str, hammer: Path, seconds: int, mixed_seconds: int
) -> dict[str, Any]:
    """All rounds on one mount; those with virtlockd only if they last for a while."""
    lockspace = f"{mount}/lockspace"
    said: dict[str, Any] = {"kept": transcript(hosts, f"{mount}/kept")}
    with ring(hosts, (LOCKD, LOCKD), lockspace, hammer) as ours:
        # Enough for a contest, also if the machine is slow.
        said["ours"] = ours.fight(seconds=6 * seconds, grants=3 * seconds)
        said["hand-over"] = ours.hand_over(hold=1.5)
    if mixed_seconds:
        with ring(hosts, (VIRTLOCKD, VIRTLOCKD), lockspace, hammer) as theirs:
            for _ in range(4):  # until there is something to compare with
                said["virtlockd"] = theirs.fight(seconds=mixed_seconds)
                if said["virtlockd"].double_owners > 3:
                    break
        with ring(hosts, (LOCKD, VIRTLOCKD), lockspace, hammer) as mixed:
            said["mixed"] = mixed.fight(seconds=mixed_seconds)
            # virtlockd may leave lockd nothing while it tries, so it ends here.
            said["mixed, in the end"] = mixed.fight(seconds=30, grants=5)
    return said


def kills(hosts: Network, count: int) -> dict[str, Any]:
    """For each version of NFS what came of a fight in which an engine is killed."""
    return {
        version: fight(hosts, f"{mount}/killed", kills=count) for version, mount in MOUNTS.items()
    }


def model(hosts: Network, seed: int, pairs: int) -> dict[str, Any]:
    """What the model says, and what is so."""
    return {
        "mounts": model_on_nfs.report(hosts, seed, pairs=pairs),
        "read-only": model_on_nfs.read_only(hosts),
    }


def without_locks(hosts: Network) -> dict[str, Any]:
    """What a probe shows of mounts that keep locks on the host."""
    return probe_on_nfs.report(hosts)


def of_devices(hosts: Network) -> list[dict[str, Any]]:
    """What the audit says of disks that both hosts have, and what is so."""
    return devices.report(hosts)


def lost(hosts: Network) -> tuple[list[str], bool]:
    """What the test saw of a lock that the server forgot and no other host took."""
    forget = partial(forget_locks, hosts, "4.2")
    return losses.with_nobody(hosts, f"{MOUNTS['4.2']}/lost", forget=forget)


def failures(hosts: Network) -> dict[str, Any]:
    """What became of guests on NFSv4.2 whose server was away, for longer than the lease and for
    less."""
    mount = MOUNTS["4.2"]
    cut, mend = partial(cut_off, hosts), partial(plug_in, hosts)
    return {
        "nobody": failing.with_nobody(hosts, f"{mount}/silent", cut=cut, mend=mend, deadline=3),
        "rival": failing.with_a_rival(hosts, f"{mount}/cut", cut=cut, mend=mend),
    }


def rivals(hosts: Network) -> dict[str, Any]:
    """For each version of NFS what was seen of a lock that another host took."""
    return {
        version: losses.with_a_rival(
            hosts,
            f"{mount}/rival",
            cut=partial(cut_off, hosts),
            forget=partial(forget_locks, hosts, version),
            mend=partial(plug_in, hosts),
        )
        for version, mount in MOUNTS.items()
    }


def silent(hosts: Network) -> dict[str, Any]:
    """For each version of NFS what was seen while the server was away."""
    cut, mend = partial(cut_off, hosts), partial(plug_in, hosts)
    host, _ = hosts.clients
    with lock_daemons([host], [LOCKD], "--check-interval=0"):
        return {
            version: {
                "others": others_go_on(host, f"{mount}/others", cut=cut, mend=mend),
                "ended": a_guest_ends(
                    host,
                    f"{mount}/ended",
                    cut=cut,
                    mend=mend,
                    upgrade=True,
                    at_once=AT_ONCE_EMULATED,
                ),
                "next": [
                    the_next_process(
                        host,
                        f"{mount}/next",
                        how=how,
                        cut=cut,
                        mend=mend,
                        at_once=AT_ONCE_EMULATED,
                    )
                    for how in ("crash", "upgrade")
                ],
            }
            for version, mount in MOUNTS.items()
        }


def cuts(hosts: Network, seed: int, count: int) -> dict[str, Any]:
    """For each version of NFS what was seen when the server went away in the middle of calls."""
    random = Random(seed)
    cut, mend = partial(cut_off, hosts), partial(plug_in, hosts)
    host, _ = hosts.clients
    with lock_daemons([host], [LOCKD], "--check-interval=0"):
        return {
            version: [
                cut_in_the_middle(
                    host, f"{mount}/cuts", cut=cut, mend=mend, moment=0.2 * random.random()
                )
                for _ in range(count)
            ]
            for version, mount in MOUNTS.items()
        }


def dead(hosts: Network) -> Any:
    """For each version of NFS what was seen of a host that died."""
    address = hosts.clients[0].address
    return {
        version: a_host_dies(
            hosts,
            f"{mount}/dead{version}",
            f"{EXPORT}/dead{version}",
            cut=partial(cut_off, hosts),
            mend=partial(plug_in, hosts),
            more=("--address", address) if version == "3" else (),
        )
        for version, mount in MOUNTS.items()
    }


#: What can be done, by name.
PARTS: Final[dict[str, Callable[..., Any]]] = {
    "contests": contests,
    "cuts": cuts,
    "dead": dead,
    "devices": of_devices,
    "failures": failures,
    "kills": kills,
    "lost": lost,
    "model": model,
    "probe": without_locks,
    "rivals": rivals,
    "silent": silent,
}


def main(plan: str) -> None:
    """Do what is planned, and print what came of it."""
    done: dict[str, Any] = {}
    took: dict[str, float] = {}
    begun = time.monotonic()
    with nfs_network() as hosts:
        took["hosts"] = time.monotonic() - begun
        for name, how in json.loads(plan).items():
            begun = time.monotonic()
            done[name] = PARTS[name](hosts, **how)
            took[name] = time.monotonic() - begun
    json.dump({**done, "took": took}, sys.stdout)


if __name__ == "__main__":
    main(*sys.argv[1:])
