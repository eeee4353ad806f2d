"""What the audit says of two hosts with one disk (LVM, partitions, images in layers) is never that
they are safe where two real lock daemons let both guests have it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from typing import Any

#: What is so, for each pair of :mod:`tests.real.shared.devices`: whether both guests can write the
#: same bytes at once, and what is said of the disk that both have. That is empty if the audit knows
#: of none: a loop device has no name that holds between hosts, and of two disks nothing is said.
TRUTH = {
    "a volume, by its id": (False, "yes"),
    "a volume by two names, by its id": (False, "yes"),
    "two volumes, by their ids": (False, ""),
    "a volume, by its path": (False, "yes"),
    "a volume by two names, by its path": (True, "no"),
    "a volume, by its node": (True, "no"),
    "a volume and the partition that it is on": (True, ""),
    "a volume and the disk that it is on": (True, ""),
    "two partitions": (False, ""),
    "a partition": (True, ""),
    "a partition and its disk": (True, ""),
    "an image": (False, "yes"),
    "an image and the one above it": (True, "no"),
    "two images above one": (False, ""),
}

#: Of these the two guests have disks of their own: both are granted them, and nothing is wrong.
TWO = ("two volumes, by their ids", "two partitions", "two images above one")


@pytest.mark.parametrize("pair", TRUTH)
def test_the_audit_is_what_two_lock_daemons_do(
    nfs_devices: list[dict[str, Any]], pair: str
) -> None:
    """A disk that both are granted is never safe, one that one of them is refused is never unsafe,
    and the fleet is not safe while it is unknown which devices are one."""
    (seen,) = [each for each in nfs_devices if each["pair"] == pair]
    both_write, said = TRUTH[pair]
    assert seen["granted"] == (both_write or pair in TWO), seen
    assert seen["disk"] == said, seen
    assert (seen["level"] == "unsafe") == (said == "no"), seen
    if both_write:
        assert seen["level"] != "safe", seen
    if "partition" in pair or "volume" in pair:
        assert "LA310" in seen["codes"], seen
