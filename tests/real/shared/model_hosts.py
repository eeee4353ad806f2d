"""What the model is held against on hosts of this package: their mounts and their snapshots."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from lockcfg.fleet.snapshots import collector
from tests.real.model import Side, make_shared, write_configuration

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

    from tests.real.shared.hosts import Host

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
