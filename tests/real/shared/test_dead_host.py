"""A host is dead and its locks are not: ``lockcfg release`` on a real NFS server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.real.shared.dead_host import Death, a_host_dies
from tests.real.shared.gluster import CLIENT_PID_FILE, MOUNT, gluster_network
from tests.real.shared.nfs import MOUNTS

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("version", MOUNTS)
def test_a_dead_host_on_nfs(nfs_dead: dict[str, Any], version: str) -> None:
    """Its guest starts elsewhere within five seconds of the command; a living one's never does."""
    death = Death(*nfs_dead[version])
    for proof, (status, said) in death.living.items():
        assert status == 1, (proof, said)
        assert "lives" in said or "a word alone is not enough" in said, (proof, said)
    assert death.kept
    holders = [(each["host"], each["life"]["verdict"]) for each in death.asked["holders"]]
    assert holders
    assert set(holders) == {("one", "live")}, death.asked
    if version != "3":
        assert "nfs" in [each["source"] for each in death.asked["holders"]]
    assert not death.before
    # The host has mounted by both versions.
    assert any(f"NFSv{version[0]} client" in text for text in death.said["freed"]), death.said
    assert all("one'" in text or "10.99.0.2" in text for text in death.said["freed"]), death.said
    assert death.status == 0
    assert death.took < 9, death  # less than the lease; the machine is emulated
    assert death.files
    whole = [line["what"] for line in death.record]
    assert whole == ["release", "released"]
    assert all(line["host"] == "one" for line in death.record)
    assert death.record[0]["proof"]["kind"] == "fence"


def test_a_dead_host_on_glusterfs(tmp_path: Path) -> None:
    """The same where a brick is: its client is stopped, as if the host were. The server has the
    volume mounted, too, and clears the locks that are the dead host's alone."""
    with gluster_network(tmp_path) as hosts:
        one, _ = hosts.clients
        graph, log = tmp_path / "client.vol", tmp_path / "server-client.log"
        hosts.server.sh(
            f'mkdir {MOUNT}; glusterfs --volfile="$1" --log-file="$2" {MOUNT}', graph, log
        )

        def signal_client(name: str) -> None:
            one.sh(f'kill -"$1" "$(cat {CLIENT_PID_FILE})"', name)

        death = a_host_dies(
            hosts,
            f"{MOUNT}/dead",
            f"{MOUNT}/dead",
            cut=lambda: signal_client("STOP"),
            mend=lambda: signal_client("CONT"),
        )
    assert all(status == 1 for status, _ in death.living.values()), death.living
    assert death.kept
    assert {each["host"] for each in death.asked["holders"]} == {"one"}, death.asked
    assert not death.before
    assert (death.status, len(death.said["freed"])) == (0, 1), death.said
    assert "cleared the locks of one on /dead/disk" in death.said["freed"][0]
    assert death.took < 5, death
    assert death.files
