"""Sums up one snapshot, for a program that has just collected it."""

from __future__ import annotations

from lockcfg.fleet.model.facts import document_of, driver_of
from lockcfg.fleet.snapshots.format import check_header, check_member
from lockcfg.fleet.snapshots.reading import member, pieces_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lockcfg.conf.document import Document


def summary_of(snapshot: bytes) -> dict[str, Any]:
    """The members ``name``, ``taken`` (in seconds since the epoch), ``driver`` (``qemu`` or
    ``libxl``), ``lock_manager`` (as the file of the driver names it, ``unknown`` if libvirt would
    not start with that file), ``daemons`` and ``guests`` (the names of the running ones, None if
    the collector was not root), and ``incomplete`` (what it could not find out). Raises
    :class:`LockcfgError` if it is not a snapshot."""
    members: dict[str, Any] = {}
    for piece in pieces_of(snapshot):
        members.update(member(piece))
    check_header(members)
    for name, value in members.items():
        if name not in ("format", "version"):
            check_member(name, value)
    documents: dict[str, Document] = {}
    refused: dict[str, str] = {}
    for name in ("qemu.conf", "libxl.conf"):
        documents[name], refused[name] = document_of(name, members[name])
    driver = driver_of(documents)
    file = f"{driver}.conf"
    entry = documents[file].get("lock_manager")
    manager = "nop" if entry is None else str(entry.value)
    privileged = members["collector"]["privileged"]
    return {
        "name": members["host"]["name"],
        "taken": members["host"]["taken"],
        "driver": driver,
        "lock_manager": "unknown" if refused[file] else manager,
        "daemons": sorted({each["name"] for each in members["daemons"]}),
        "guests": sorted(each["name"] for each in members["guests"] if each.get("running"))
        if privileged
        else None,
        "incomplete": list(members["collector"]["incomplete"]),
    }
