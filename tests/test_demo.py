"""``make demo`` shows what it says."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def test_two_hosts_fight_for_one_disk() -> None:
    """One wins, the other is told the holder, and each host shows it; nothing stays behind."""
    done = subprocess.run(
        ["packaging/demo"],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout
    _, _, fight = done.stdout.partition("Two hosts")
    first, _, rest = fight.partition("And by mistake")
    refused, _, rest = rest.partition("Who holds what")
    shown, _, last = rest.partition("ends. Now")
    assert "Domain 'web' started" in first
    assert "is locked by guest 'web'" in refused
    assert "on host 'kvm1' since " in refused
    assert "for the disk /srv/images/web.qcow2" in refused
    assert "lockd" in shown
    assert "POSIX WRITE /var/lib/libvirt/lockd/files/" in shown
    assert "Domain 'web' started" in last
    _, _, moved = last.partition("A host, kvm3")
    before, _, rest = moved.partition("takes virtlockd's place")
    lockd, _, virtlockd = rest.partition("And back to virtlockd")
    assert re.search(r"old  .* NOT LOCKED", before)
    assert "took over 1 lock of virtlockd" in lockd
    assert re.search(r"old  .* taken", lockd)
    assert "every disk that is meant to be locked is locked" in lockd
    assert "handed back 2 locks of lockd" in virtlockd
    assert "every disk that is meant to be locked is locked" in virtlockd
    page = (PROJECT / ".demo/fleet.html").read_text()
    assert "Not safe: 5 hosts of 12" in page
    assert f"It is in {PROJECT}/.demo/fleet.html" in last
