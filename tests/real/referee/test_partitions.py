"""Hosts whose lockspace is on GlusterFS lose the network for longer than the server keeps their
locks: no two guests write one disk in turns. With virtlockd they do."""

from __future__ import annotations

import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import PROGRAM
from tests.real.guest_host import LOCKSPACE
from tests.real.referee.contest import contest
from tests.real.shared.daemons import VIRTLOCKD
from tests.real.shared.fleet_host import address_of
from tests.real.shared.gluster import CLIENT_GRAPHS, gluster_network
from tests.real.shared.hosts import join

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from tests.real.guest_host import GuestHost

#: How long a host is without its network, in seconds: the server drops its locks after 42.
_APART: Final = 60.0

_MOUNT: Final = f"""
ip address add "$1/24" dev lan
ip link set lan up
mkdir -p /run/gluster {LOCKSPACE}
mount -t tmpfs tmpfs /tmp  # where GlusterFS writes, of all places
glusterfs --volfile="$2" --volfile-id=/vm --log-file=/srv/gluster.log \\
    --entry-timeout=0 --attribute-timeout=0 {LOCKSPACE}
"""


@contextmanager
def gluster_lockspace(directory: Path) -> Iterator[Callable[[GuestHost, int], None]]:
    """A volume, and what mounts it on a host of that number."""
    (directory / "gluster").mkdir(parents=True)
    graph = CLIENT_GRAPHS["plain"]
    with gluster_network(directory / "gluster", "plain") as network:

        def mount(host: GuestHost, number: int) -> None:
            name = f"h{number}"
            join(network.server, name, host.pid)
            host.path("/srv/client.vol").write_text(graph)
            done = host.run("sh", "-euc", _MOUNT, "sh", address_of(name), "/srv/client.vol")
            assert done.status == 0, done.said
            host.path("/etc/libvirt/lockd.conf").write_text('on_lockfailure = "pause"\n')

        yield mount


def cut_off(host: GuestHost) -> None:
    """The host is without its network for a while."""
    host.run("ip", "link", "set", "lan", "down")
    time.sleep(_APART)
    host.run("ip", "link", "set", "lan", "up")
    time.sleep(5)


@pytest.mark.usefixtures("long_run")
@pytest.mark.parametrize("daemon", [Path(PROGRAM), VIRTLOCKD], ids=["lockd", "virtlockd"])
def test_hosts_without_their_network(
    daemon: Path, tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    """Their guests pause before another host gets the lock; virtlockd lets them write on."""
    seed = pytestconfig.getoption("seed")
    with gluster_lockspace(tmp_path) as lockspace:
        outcome = contest(
            tmp_path,
            daemon,
            {"cut off": cut_off},
            seed=seed,
            life=240.0,
            seconds=600,
            to_the_end=daemon != VIRTLOCKD,
            lockspace=lockspace,
        )
    verdict = outcome.verdict
    print(f"seed {seed}: {verdict.writes} writes, {verdict.hand_overs} hand-overs, {outcome}")
    assert outcome.faults["cut off"] >= 1, outcome
    if daemon == VIRTLOCKD:
        assert verdict.interleaved, outcome
    else:
        assert verdict.interleaved == [], outcome
        assert verdict.hand_overs >= 1, outcome
