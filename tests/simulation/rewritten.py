"""A journal can be rewritten after any turn of the loop, also while work is parted from it. The
next process has to find the same in the new journal as in the old one."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from lockd.survival.records import SUBJECTS, JournalState
from tests.lockd.taken import taken

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

    from lockd.daemon.daemon import Daemon

#: The classes of the records, by subject.
_RECORDS: Final = {
    name: import_module(f"lockd.survival.records.{name}").Records for name in SUBJECTS
}


def journals(daemon: Daemon) -> tuple[bytes, bytes]:
    """The journal that there is, and a new one."""
    lines = [*daemon._records(), *(line for part in daemon._parts() for line in part.records())]
    return b"".join(daemon.journal.read()), "".join(f"{line}\n" for line in lines).encode("ascii")


def difference(old: bytes, new: bytes) -> str:
    """In what a new journal differs from the old one; empty if it does not."""
    before, after = _told(JournalState([old])), _told(JournalState([new]))
    for what in before:
        if before[what] != after[what]:
            return f"{what}: {before[what]} would become {after[what]}"
    return ""


def _told(state: JournalState) -> dict[str, Any]:
    """What matters of it, by subject."""
    found = {name: _plain(vars(state.of(records))) for name, records in _RECORDS.items()}
    locks: Any = state.of(_RECORDS["locks"])
    resources = {held.number: _slots(held._asdict()) for held in taken(locks)}
    for held in resources.values():
        if not held["is_held"]:
            held["owners"] = []
    found["locks"] = {"spaces": [*locks.spaces], "resources": resources}
    owned = [
        (held["directory"], held["name"], owner)
        for held in resources.values()
        for owner in held["owners"]
    ]
    # What is released already is not released again.
    for left in found["guests"]["dying"].values():
        left[:] = [each for each in left if tuple(each) in owned]
    # Old processes stay in a journal: their locks are what counts.
    pids = {owner[2] for _, _, owner in owned}
    started = found["processes"]["started"]
    found["processes"] = {pid: when for pid, when in started.items() if pid in pids}
    # The ids of clients that could not be served are in no record.
    del found["clients"]["next_ids"]
    return found


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: _slots(value) for name, value in fields.items() if name != "replays"}


def _slots(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _slots(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_slots(each) for each in value]
    names: Iterable[str] = getattr(value, "__slots__", ())
    return {name: _slots(getattr(value, name)) for name in names} if names else value
