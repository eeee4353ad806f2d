"""A host is dead and its locks are not: ``lockcfg release`` on a real NFS server."""

from __future__ import annotations

from typing import Any

from tests.real.shared.dead_host import Death


def test_a_dead_host_on_nfs(nfs_dead: list[Any]) -> None:
    """Its guest starts elsewhere within five seconds of the command; a living one's never does."""
    death = Death(*nfs_dead)
    for proof, (status, said) in death.living.items():
        assert status == 1, (proof, said)
        assert "lives" in said or "a word alone is not enough" in said, (proof, said)
    assert death.kept
    assert not death.before
    assert death.said["freed"] == [text for text in death.said["freed"] if "NFSv4 client" in text]
    assert len(death.said["freed"]) == 1, death.said
    assert " one'" in death.said["freed"][0]
    assert death.status == 0
    assert death.took < 5, death
    assert death.files
    whole = [line["what"] for line in death.record]
    assert whole == ["release", "released"]
    assert all(line["host"] == "one" for line in death.record)
    assert death.record[0]["proof"]["kind"] == "fence"
