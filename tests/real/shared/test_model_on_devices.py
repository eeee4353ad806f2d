"""What the audit says of two hosts with one disk (LVM, partitions, images in layers) is never that
they are safe where two real lock daemons let both guests have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing import Any

#: What is so: whether both guests can write the same bytes at once, for each pair of
#: :mod:`tests.real.shared.devices`.
BOTH_WRITE = {
    "a volume, by its id": False,
    "a volume by two names, by its id": False,
    "two volumes, by their ids": False,
    "a volume, by its path": False,
    "a volume by two names, by its path": True,
    "a volume, by its node": True,
    "a volume and the partition that it is on": True,
    "a volume and the disk that it is on": True,
    "two partitions": False,
    "a partition": True,
    "a partition and its disk": True,
    "an image": False,
    "an image and the one above it": True,
    "two images above one": False,
}

#: Those of which the hosts show enough for an answer.
KNOWN = {
    "a volume, by its id": "safe",
    "a volume by two names, by its id": "safe",
    "two volumes, by their ids": "safe",
    "a volume, by its path": "safe",
    "a volume by two names, by its path": "unsafe",
    "a volume, by its node": "unsafe",
    "an image": "safe",
    "an image and the one above it": "unsafe",
    "two images above one": "safe",
}


@pytest.mark.parametrize("pair", BOTH_WRITE)
def test_the_audit_is_what_two_lock_daemons_do(
    nfs_devices: list[dict[str, Any]], pair: str
) -> None:
    """What the daemons grant is the truth, with what is written by it; a loop device has no name
    that holds between hosts."""
    (seen,) = [each for each in nfs_devices if each["pair"] == pair]
    one_disk = pair not in ("two volumes, by their ids", "two partitions", "two images above one")
    same = pair != "an image and the one above it" and " and the " not in pair
    if one_disk and same and "and its disk" not in pair:
        assert seen["granted"] == BOTH_WRITE[pair], seen
    else:
        assert seen["granted"], seen
    if BOTH_WRITE[pair]:
        assert seen["level"] != "safe", seen
        assert seen["disk"] != "yes", seen
    else:
        assert seen["level"] != "unsafe", seen
    if pair in KNOWN:
        assert seen["level"] == KNOWN[pair], seen
