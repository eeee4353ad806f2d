"""Puts the question of ``lockcfg who`` to this host and to snapshots."""

from __future__ import annotations

import os
import threading
from functools import partial

from lockcfg.doctor.examine import admin_socket
from lockcfg.errors import LockcfgError
from lockcfg.host.host import Host, load_host
from lockcfg.who.answer import User, answer_of
from lockcfg.who.clues import Reading
from lockcfg.who.evidence import Evidence
from lockcfg.who.heartbeat import Life, best_of, life_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Final

    from lockcfg.who.answer import Answer

#: How long this host and its file systems may take to answer, in seconds.
PATIENCE: Final = 5.0


def ask(
    text: str,
    *,
    session: bool = False,
    lockspaces: Sequence[str] = (),
    snapshots: Sequence[str] = (),
    patience: float = PATIENCE,
) -> Answer:
    """The answer for the clues that a person has. Raises ReadError if ``snapshots`` or stores
    cannot be read."""
    reading = Reading(text)
    me = os.uname().nodename
    evidence = Evidence()
    spaces = [*dict.fromkeys([*lockspaces, *_configured(session, evidence)])]
    evidence.sees_locks |= bool(spaces)
    work = threading.Thread(
        target=partial(
            evidence.gather,
            reading.clues,
            spaces,
            session=session,
            etc=Host(session=session).directory,
            address=admin_socket(session=session),
        ),
        daemon=True,
    )
    work.start()
    work.join(patience)
    if work.is_alive():
        evidence.unknown.append(
            f"a file system has not answered for {patience:g} s: its contents are unknown"
        )
    elsewhere = _elsewhere(reading, evidence, snapshots) if snapshots else []
    lives: dict[tuple[str, str], Life] = {}

    def life(host: str, space: str) -> Life:
        key = host, space
        if key not in lives:
            found = [life_of(host, each, me=me) for each in ([space] if space else spaces)]
            lives[key] = best_of(found, host)
        return lives[key]

    tells = _nobody_can_tell if work.is_alive() else life
    return answer_of(reading, evidence, elsewhere, me=me, life_of=tells)


def _nobody_can_tell(host: str, space: str) -> Life:  # noqa: ARG001 - as one who could
    return Life(host, "unknown", "the file system with its heartbeat does not answer")


def _configured(session: bool, evidence: Evidence) -> list[str]:
    """The lockspaces of this host's configuration; there may be none."""
    try:
        configuration = load_host(Host(session=session))
    except LockcfgError as error:
        evidence.unknown.append(f"cannot find the lockspaces of this host: {error.message}")
        return []
    evidence.sees_locks = configuration.lock_manager == "lockd"
    keys = ("file_lockspace_dir", "lvm_lockspace_dir", "scsi_lockspace_dir")
    found = [configuration.lockspace(key) for key in keys]
    return [*dict.fromkeys(each for each in found if each and each.startswith("/"))]


def _elsewhere(reading: Reading, evidence: Evidence, paths: Sequence[str]) -> list[User]:
    """The guests that have the disk on other hosts, as their snapshots show."""
    from lockcfg.fleet.store.opening import opened

    words = {clue.value for clue in reading.clues} | {*evidence.disks}
    words |= {os.path.basename(word) for word in words if _is_in_space(word, evidence)}
    with opened(paths) as store:
        return [
            User(row.host, row.guest, row.uuid, row.path, row.taken, runs=row.runs)
            for row in store.find_disks(words)
        ]


def _is_in_space(word: str, evidence: Evidence) -> bool:
    return any(lock.space and lock.path == word for lock in evidence.locks)
