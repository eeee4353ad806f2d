"""What an audit must know of a host besides its facts: that a daemon is absent, for example."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from lockcfg.fleet.model.facts import Facts
    from lockcfg.fleet.snapshots.reading import Own


#: How many of a host's guests are named.
_MOST_NAMED: Final = 10

#: What holds locks on behalf of guests, and who starts these.
LOCK_DAEMONS: Final = ("virtlockd", "lockd")

_HOST_NAME_ENDS: Final = frozenset(".-_@ ")


def circumstances_of(
    source: str,
    own: Own,
    facts: Facts,
    readers: Sequence[tuple[str, Sequence[str]]],
    *,
    runs: bool,
    first_start: int | None,
) -> list[str]:
    """The circumstances of a host, each as words with bars between them. ``own`` are the members
    that only this host has, ``readers`` the daemons that read each file, ``runs`` whether any
    guest runs, and ``first_start`` the earliest time that is known at which one was started."""
    found: list[str] = []
    daemons: dict[str, int] = {}
    for daemon in own.daemons:
        name, started = daemon["name"], daemon["started"]
        daemons[name] = max(started, daemons.get(name, 0))
    # What is in force is known where the daemon was asked: whatever the time of the file is.
    limits = [each["max_clients"] for each in own.daemons if "max_clients" in each]
    if limits and limits[0] != facts.settings["max_clients"]:
        found.append(f"limit|{limits[0]}")
    changed = own.changed
    # Most daemons are older than no file.
    young = max(changed.values(), default=0) <= min(daemons.values(), default=0)
    for file, its_readers in () if young else readers:
        when = changed.get(file)
        if when is None:
            continue
        found += [
            f"stale|{file}|{name}"
            for name in its_readers
            if daemons.get(name, when) < when and not (limits and name in LOCK_DAEMONS)
        ]
    if "lockd" in daemons and "virtlockd" not in daemons:
        found.append("runs|lockd")
    wanting = own.guests and sorted(  # a plain guest says nothing of it
        {
            f"{guest['name']} ({guest['on_lockfailure']})"
            for guest in own.guests
            if guest.get("on_lockfailure", "ignore") != "ignore" and "instance" not in guest
        }
    )
    if wanting:
        more = [f"and {len(wanting) - _MOST_NAMED} more"] if len(wanting) > _MOST_NAMED else []
        named = ", ".join(wanting[:_MOST_NAMED] + more)
        found.append(f"lockfailure|{named.replace('|', '?')}")
    if runs:
        if not any(name in daemons for _, its_readers in readers[:1] for name in its_readers):
            found.append("absent|libvirtd")
        if facts.settings["lock_manager"] == "lockd":
            started = [daemons[name] for name in LOCK_DAEMONS if name in daemons]
            if not started:
                found.append("absent|virtlockd")
            else:
                if first_start is not None and first_start < min(started):
                    found.append("late|virtlockd")
    elif (
        facts.settings["lock_manager"] == "lockd"
        and not any(name in daemons for name in LOCK_DAEMONS)
        and any(each.startswith("stale|") for each in found)
    ):
        # libvirt's daemon does without it, until it is restarted.
        found.append("asleep|virtlockd")
    stem = source[source.rfind("/") + 1 :]
    if stem.endswith(".json"):
        stem, name = stem[:-5], own.host["name"]
        if not _is_called(stem, name) and not _is_called(name, stem):
            found.append(f"named|{stem[:255]}")
    return found


def _is_called(stem: str, name: str) -> bool:
    """Whether a file of that stem is called after the host, perhaps with a date behind it."""
    return stem.startswith(name) and (len(stem) == len(name) or stem[len(name)] in _HOST_NAME_ENDS)
