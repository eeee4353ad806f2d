"""A probe of mounts of NFS that keep locks on the host shows that; and where the snapshots did not
tell it, the audit says that the two disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.real.shared.probe_on_nfs import LOCKSPACES, MOUNTS

if TYPE_CHECKING:
    from typing import Any


@pytest.mark.parametrize("point", MOUNTS)
def test_the_probe_shows_who_sees_whose_locks(nfs_probe: dict[str, Any], point: str) -> None:
    """Version 3 with an option that keeps locks on the host: no host. Version 4 has none."""
    apart = MOUNTS[point] not in ("vers=3", "vers=4.2,nolock")
    assert nfs_probe[point]["seen"] == [[["one", "two"], "no" if apart else "yes"]]
    for told in (nfs_probe, nfs_probe["silent"]):
        errors = {code for code, severity in told[point]["codes"] if severity == "error"}
        if point in LOCKSPACES.values():
            # One of the two mounts, at least, would carry locks by all that is known of it.
            assert ("LA214" in errors) == apart, told[point]
        if point == LOCKSPACES["file"]:
            assert "LA213" in errors, told[point]
