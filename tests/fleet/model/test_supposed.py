"""Where two disks are compared on the supposition that they are one, so are their servers."""

from __future__ import annotations

from lockcfg.fleet.model.place import Location, relation


def _place(system: str) -> Location:
    return Location(system, "/locks", None, "yes", "")


def test_two_addresses_of_nfs_are_one_server() -> None:
    """Which is what the supposition says: an address is one server."""
    one, other = _place("nfs://10.0.0.5"), _place("nfs://10.0.1.5")
    supposed = {frozenset((one.system, other.system))}
    assert relation(one, other) == "unknown"
    assert relation(one, other, taken_for_one=supposed) == "same"


def test_a_name_of_a_glusterfs_volume_is_any_volume_called_so() -> None:
    """Of two disks the names may be of one volume, and of two locks of another."""
    one, other = _place("glusterfs://vms"), _place("glusterfs://g1/vms")
    supposed = {frozenset((one.system, other.system))}
    assert relation(one, other, taken_for_one=supposed) == "unknown"
