"""The examination of this host: evidence is gathered, and judged."""

from __future__ import annotations

import os

from lockcfg.conf.files import LOCKD
from lockcfg.doctor.diagnosis import Diagnosis, diagnose_disk
from lockcfg.doctor.evidence import Evidence, daemons_of, file_at, image_locks
from lockcfg.doctor.host_problems import problems_of
from lockcfg.fleet.snapshots.collector import FILES, Collector
from lockcfg.host.host import Host, load_host
from lockcfg.running.guests import descriptions, running_guests
from lockcfg.running.meant import locks_meant


def admin_socket(*, session: bool) -> str:
    """The admin socket of the lock daemon; of this user's ``session``."""
    if not session:
        return "/run/libvirt/virtlockd-admin-sock"
    above = os.path.dirname(os.path.dirname(descriptions(session=True)))
    return os.path.join(above, "virtlockd-admin-sock")


def examine(*, session: bool, probe: bool = True) -> Diagnosis:
    """The diagnosis of this host; with ``probe`` a scratch lock is taken in each lockspace.

    Raises :class:`ReadError` if the running guests are unknown, and as load_host does.
    """
    configuration = load_host(Host(session=session))
    # libvirtd removes the description of a guest that has ended; where it runs.
    guests = [
        guest
        for guest in running_guests(session=session)
        if not guest.pid or os.path.exists(f"/proc/{guest.pid}")
    ]
    found = Collector.daemons_running()
    address = admin_socket(session=session)
    evidence = Evidence(address, daemons_of(found, address))
    collector = Collector(etc=Host(session=session).directory, probe=probe)
    files = (*FILES, LOCKD.name)
    changed = {base: when for base in files if (when := collector.file(base)[1]) is not None}
    directories, _ = collector.directories([])
    disks = []
    for guest in guests:
        own = image_locks(guest.pid)
        for meant in locks_meant(configuration, guest):
            disks.append(
                diagnose_disk(
                    guest,
                    meant,
                    evidence,
                    manager=configuration.lock_manager,
                    file_at=file_at,
                    image_locks=own,
                )
            )
    problems = problems_of(configuration, evidence, found, changed, directories, guests=len(guests))
    return Diagnosis(
        configuration.lock_manager, evidence.in_charge, disks, [*problems], len(guests)
    )
