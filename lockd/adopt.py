"""``lockd adopt``: take the locks that are meant for guests that run without them.

A guest that was started before the lock manager was switched on holds no locks, and nothing says
so. libvirt's description of the guest and the configuration say which locks it should hold. The
running lockd takes them for it; the owner is the guest's process. A lock that another owner holds
is refused, and the holder is named: two guests use one disk at this moment.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time

import lockcfg
from lockd.kernel.process import start_time
from lockd.programs.inspect import ADOPT
from lockd.query import OtherDaemonError, QueryError, ask, call, show_table
from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

#: The outcomes that are negative answers.
_BAD: Final = ("refused", "unknown", "failed")

#: How often the guests that libvirt is starting are looked at, in seconds.
_PACE: Final = 0.1


def main(arguments: Sequence[str], address: str) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="lockd adopt",
        description="Take the locks that running guests should hold by the configuration but do"
        " not: those of guests that started while locking was off. Locks that are"
        " already held stay as they are, and so do paused guests, which write nothing: libvirt"
        " takes their locks when they resume. Exit status: 0 every guest that is not paused holds"
        " its locks now (with --dry-run: or could), 1 some do not: another guest holds one, and two"
        " guests may be writing one disk now, 2 wrong usage, 3 the command failed.",
        allow_abbrev=False,
    )
    parser.add_argument("guest", nargs="*", help="the guests, by name or UUID")
    parser.add_argument("--all", action="store_true", help="all guests that run")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be done")
    parser.add_argument(
        "--wait",
        type=_seconds,
        default=30,
        metavar="SECONDS",
        help="how long to wait for guests that libvirt is just starting (30)",
    )
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    parser.add_argument("--socket", default=address, help=f"the admin socket ({address})")
    options = parser.parse_args(arguments[1:])
    if bool(options.guest) == options.all:
        parser.error("name guests, or say --all")
    try:
        rows = _adopt(options)
    except OtherDaemonError:
        return _failed(f"{options.socket} is virtlockd's; 'lockd takeover' puts lockd in its place")
    except QueryError as error:
        return _failed(str(error))
    except lockcfg.LockcfgError as error:
        return _failed(f"{error.message}{f' ({error.help})' if error.help else ''}")
    if options.json:
        sys.stdout.write(json.dumps(rows, indent=2) + "\n")
    else:
        _show(rows)
    return int(any(row["outcome"] in _BAD for row in rows))


def _seconds(text: str) -> float:
    seconds = float(text) if text.replace(".", "", 1).isdecimal() else -1
    if not 0 <= seconds <= 3600:
        raise argparse.ArgumentTypeError(f"'{text}' is not a number of seconds from 0 to 3600")
    return seconds


def _failed(why: str) -> int:
    sys.stderr.write(f"lockd adopt: {why}\n")
    return 3


def _adopt(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What has become of each lock of each guest. Raises QueryError, LockcfgError."""
    session = os.geteuid() != 0
    configuration = lockcfg.load_host(lockcfg.Host(session=session))
    if configuration.lock_manager != "lockd":
        raise lockcfg.UsageError(
            f"lock_manager is {configuration.lock_manager}: no guest should hold a lock",
            help="say 'lockcfg enable', and restart libvirtd or virtqemud",
        )
    guests = _chosen(lockcfg.running_guests(session=session), options.guest)
    rows: dict[str, list[dict[str, Any]]] = {}
    starting: dict[str, lockcfg.RunningGuest] = {}
    for guest in guests:
        if guest.is_starting:
            starting[guest.uuid] = guest
        else:
            rows[guest.uuid] = _of_guest(configuration, guest, options)
    # Those that run come first, as they may be writing.
    for guest, is_there in _started(starting, options.wait, session=session):
        rows[guest.uuid] = _of_guest(configuration, guest, options, is_there=is_there)
    return [row for guest in guests for row in rows[guest.uuid]]


def _started(
    starting: dict[str, lockcfg.RunningGuest], patience: float, *, session: bool
) -> Iterator[tuple[lockcfg.RunningGuest, bool]]:
    """Each of the guests when libvirt has started it, and whether it is there: a start may fail.
    Those that libvirt starts for longer come as they are."""
    end = time.monotonic() + patience
    while starting and time.monotonic() < end:
        time.sleep(_PACE)
        looked = lockcfg.running_guests(session=session, ask_names=False)
        still = {each.uuid for each in looked if each.is_starting}
        if starting.keys() <= still:
            continue
        now = {each.uuid: each for each in lockcfg.running_guests(session=session)}
        for uuid in starting.keys() - still:
            last = starting.pop(uuid)
            yield now.get(uuid, last), uuid in now
    for guest in starting.values():
        yield guest, True


def _chosen(
    guests: Sequence[lockcfg.RunningGuest], names: Sequence[str]
) -> list[lockcfg.RunningGuest]:
    known = {guest.uuid: guest for guest in guests} | {guest.name: guest for guest in guests}
    missing = [name for name in names if name not in known]
    if missing:
        raise lockcfg.UsageError(f"no guest '{missing[0]}' runs on this host")
    return [known[name] for name in dict.fromkeys(names)] if names else [*guests]


def _of_guest(
    configuration: lockcfg.Configuration,
    guest: lockcfg.RunningGuest,
    options: argparse.Namespace,
    *,
    is_there: bool = True,
) -> list[dict[str, Any]]:
    meant = lockcfg.locks_meant(configuration, guest)
    rows = [_row(guest, each) for each in meant]
    asked = [row for row in rows if row["outcome"] == ""]
    started = start_time(guest.pid) if guest.pid and is_there else 0
    if not started:
        return _all(rows, asked, "ended", "the guest has ended")
    if guest.is_starting:
        why = "libvirt is still starting the guest, and takes it when its processors start"
        return _all(rows, asked, "paused", why)
    if guest.is_paused:
        return _all(rows, asked, "paused", "libvirt takes it when the guest resumes")
    question = {
        "guest": {
            "name": guest.name,
            "uuid": guest.uuid,
            "id": guest.id,
            "pid": guest.pid,
            "started": started,
        },
        "locks": [
            {
                "space": each.lock.space,
                "name": each.lock.name,
                "shared": each.lock.shared,
                "create": each.lock.create,
            }
            for each in meant
            if each.lock is not None
        ],
        # Those that libvirt makes when it starts.
        "spaces": sorted({*configuration.lockspaces.values()}),
        "dry": options.dry_run,
    }
    payload = pack_string(json.dumps(question))
    try:
        answer = ask(options.socket, lambda connection: call(connection, ADOPT, payload))
    except QueryError:
        if start_time(guest.pid) == started:
            raise
        return _all(rows, asked, "ended", "the guest has ended")
    for row, outcome in zip(asked, answer["outcomes"], strict=True):
        row.update(outcome)
    return rows


def _all(
    rows: list[dict[str, Any]], asked: Sequence[dict[str, Any]], outcome: str, reason: str
) -> list[dict[str, Any]]:
    for row in asked:
        row["outcome"], row["reason"] = outcome, reason
    return rows


def _row(guest: lockcfg.RunningGuest, meant: lockcfg.Meant) -> dict[str, Any]:
    lock = meant.lock
    row: dict[str, Any] = {
        "guest": guest.name,
        "uuid": guest.uuid,
        "pid": guest.pid,
        "disk": meant.what,
        "lockspace": lock.space if lock is not None else "",
        "resource": lock.name if lock is not None else "",
        "mode": ("shared" if lock.shared else "exclusive") if lock is not None else "",
        "outcome": "",
        "reason": "",
    }
    if lock is None:
        row["outcome"], row["reason"] = ("unknown" if meant.unknown else "none"), meant.why
    return row


_WORDS: Final = {
    "held": "is held",
    "taken": "taken",
    "would": "would be taken",
    "none": "no lock is needed",
    "paused": "the guest is paused",
    "ended": "the guest has ended",
    "refused": "REFUSED",
    "unknown": "UNKNOWN",
}


def _show(rows: Sequence[dict[str, Any]]) -> None:
    show_table(
        [
            ("GUEST", "DISK", "LOCK", ""),
            *(
                (
                    row["guest"],
                    row["disk"],
                    _WORDS.get(row["outcome"], row["outcome"]),
                    row["reason"],
                )
                for row in rows
            ),
        ]
    )
