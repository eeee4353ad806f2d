"""What the model is held against on hosts of this package: their mounts and their snapshots."""

from __future__ import annotations

import json
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lockcfg.fleet.snapshots import collector
from tests.real.model import Side, cases, make_shared, outcomes, write_configuration
from tests.real.shared.daemons import VIRTLOCKD, lock_daemons

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

    from tests.real.shared.hosts import Host, Network

# The names of tests.real.model, of what is below $1. /mnt is a file system of the host's own.
_BIND: Final = """
mkdir -p /mnt/own
for name in locks images; do
    for point in /mnt/$name /mnt/$name-again; do
        ! mountpoint -q $point || umount --lazy $point
        mkdir -p $point
        mount --bind "$1/$name" $point
    done
done
"""


def make_sides(
    hosts: tuple[Host, Host], mounts: tuple[str, str], etc: Path, *, made: bool = False
) -> tuple[Side, Side]:
    """The two hosts, each with what is shared at one of ``mounts``, and their snapshots; ``etc``
    takes their configuration. ``made``: what is shared is there already."""
    write_configuration(etc)
    if not made:
        make_shared(hosts[0].path(mounts[0]))
    # Both at once: on an emulated processor it takes seconds.
    with ThreadPoolExecutor() as pool:
        one, two = pool.map(lambda host, mount: _side(host, mount, etc), hosts, mounts)
    return one, two


def _side(host: Host, mount: str, etc: Path) -> Side:
    host.sh(_BIND, mount)
    text = host.run(
        *(sys.executable, "-I", str(collector.__file__), "--name", host.name, "--etc", etc)
    )
    return Side(host.path("/run"), json.loads(text))


def assert_the_model_is_right(
    hosts: Network, sides: tuple[Side, Side], programs: tuple[Path, Path], seed: int
) -> None:
    """What the model says is what two lock daemons do, for every generated pair; and pairs of both
    outcomes are among them."""
    seen: Counter[bool] = Counter()
    with lock_daemons(hosts.clients, programs):
        for outcome in outcomes(*sides, cases(seed), stale=VIRTLOCKD in programs):
            assert outcome.agrees, outcome
            seen[outcome.granted] += 1
    print(seen)
    assert seen[True] > 20
    assert seen[False] > 20
