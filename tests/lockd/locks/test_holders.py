"""Who holds a lock, by libvirt's descriptions of guests and by the note in the file."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lockd.locks.holders import Holders
from lockd.locks.space import Owner

if TYPE_CHECKING:
    from pathlib import Path

UUIDS = [f"00000000-0000-0000-0000-00000000000{number}" for number in (1, 2)]


def describe(directory: Path, name: str, pid: int, uuid: str, action: str) -> None:
    """A guest that runs, as libvirt describes it."""
    (directory / f"{name}.xml").write_text(
        f"<domstatus pid='{pid}'><domain id='4'><name>{name}</name><uuid>{uuid}</uuid>"
        f"<on_lockfailure>{action}</on_lockfailure></domain></domstatus>"
    )


def test_a_description_is_that_of_one_process(tmp_path: Path) -> None:
    """An earlier guest of that name may have had it."""
    for name, pid, uuid in (("one", 71, UUIDS[0]), ("two", 72, UUIDS[1])):
        describe(tmp_path, name, pid, uuid, "pause")
    holders = Holders("host", [str(tmp_path)])
    for pid, name, uuid in ((71, "one", UUIDS[0]), (72, "two", UUIDS[1])):
        found = holders.owner(pid)
        assert (found.name, found.shown_uuid, found.id, found.pid) == (name, uuid, 4, pid)
        for who, action in ((pid, "pause"), (70, "")):
            owner = Owner(name, bytes(16), 4, who)
            assert holders.on_lockfailure(owner, lambda _: None) == action
    assert holders.owner(1 << 23).name == "unknown"


def test_where_a_holder_is() -> None:
    """The note tells which host it is on."""
    note = json.dumps({"lockd": 1, "host": "one", "guest": "vm", "pid": 7}).encode()
    where = {
        name: Holders(name, []).held_elsewhere(note, 0).partition("(pid 7) ")[2]
        for name in ("one", "two")
    }
    assert where == {"one": "on this host", "two": "on host 'one'"}
