"""What the history says of a host that has changed, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lockcfg.fleet.comparison.told import changes_of
from lockcfg.fleet.model.facts import Directory, Facts, Sanlock
from lockcfg.fleet.model.place import Location
from lockcfg.fleet.model.serialised import dumped

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final


def there(path: str, *, options: Sequence[str] = ()) -> Directory:
    """A directory on NFS."""
    nfs = Location("nfs01:/export", path, 5, "yes", "", kind="nfs", ids=("uuid:1",))
    return Directory(path, nfs, options=options)


PLAIN: Final = Facts("qemu", {"lock_manager": "lockd"})

#: Each kind of fact that consists of others.
RICH: Final = Facts(
    "qemu",
    {"lock_manager": "lockd"},
    refused=[("qemu.conf", "line 3 is no setting")],
    ignored=[("virtlockd.conf", "max_clients", "9.1.0")],
    spaces=[there("/locks", options=("rw", "nolock"))],
    incomplete=["guests"],
    others={"libxl": ({"lock_manager": "lockd"}, [there("/xen", options=("ro",))])},
    sanlock=Sanlock(auto=True, require=False, host_id=2, directory=there("/sanlock")),
)


def told(old: Facts, new: Facts) -> list[str]:
    """What has changed from one to the other."""
    return changes_of((dumped(old), "[]"), (dumped(new), "[]"))


def test_what_consists_of_parts_is_told_in_words() -> None:
    """Not as JSON, and what is empty is not told of a directory that has come or gone."""
    came = told(PLAIN, RICH)
    for text in (
        "refused: qemu.conf line 3 is no setting, was nothing",
        "ignored: virtlockd.conf max_clients 9.1.0, was nothing",
        "incomplete: guests, was nothing",
        "libxl lock_manager: lockd, was nothing",
        "libxl lockspace /xen options: ro, was nothing",
        "lockspace /locks options: rw, nolock, was nothing",
        "lockspace /locks is on: nfs01:/export, was nothing",
        "sanlock host_id: 2, was nothing",
        "sanlock directory /sanlock is on: nfs01:/export, was nothing",
    ):
        assert text in came, came
    gone = told(RICH, PLAIN)
    assert "lockspace /locks options: nothing, was rw, nolock" in gone
    for text in (*came, *gone):
        assert not set(text) & set('{}[]"'), text
        assert "nothing, was nothing" not in text
    assert len(came) == len(gone)
    assert told(RICH, RICH) == []
