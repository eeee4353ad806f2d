"""``make demo`` shows what it says."""

from __future__ import annotations

import subprocess
from pathlib import Path

PROJECT = Path(__file__).parent.parent


def test_two_hosts_fight_for_one_disk() -> None:
    """One wins, the other is told who has it, and everybody can see it; nothing stays behind."""
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
