"""A real guest whose lock is lost: what its ``<on_lockfailure>`` says is done, and libvirt goes on
with it."""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lockd.engine import PROGRAM
from tests.real.guest_host import LOCKSPACE, Disk, GuestHost

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture
def host(tmp_path: Path) -> Iterator[GuestHost]:
    """A host with lockd and libvirtd."""
    with GuestHost(tmp_path / "host", Path(PROGRAM), {"file_lockspace_dir": LOCKSPACE}) as host:
        for result in (host.start_lock_daemon(), host.start_libvirtd()):
            assert result.status == 0, result.said
        yield host


def virsh(host: GuestHost, command: str) -> str:
    """Run a command of virsh, which has to do."""
    result = host.virsh(command)
    assert result.status == 0, f"{command}: {result.said}"
    return result.said


def start(host: GuestHost, name: str, on_lockfailure: str) -> Path:
    """Start a guest; the lock file of its disk, as it is seen from here."""
    disk = host.make_disk(name)
    host.define(name, (Disk(disk),), on_lockfailure=on_lockfailure)
    virsh(host, f"start {name}")
    return host.path(f"{LOCKSPACE}/{hashlib.sha256(disk.encode()).hexdigest()}")


def wait(host: GuestHost, condition: Callable[[], bool]) -> bool:
    """Wait for what lockd finds, or tells libvirt, in its time."""
    return host.wait(condition, 30)


def lose(file: Path) -> None:
    """Have a FIFO in the place of a lock file."""
    file.unlink()
    os.mkfifo(file)


def said(host: GuestHost) -> str:
    """What ``lockd status`` says."""
    return host.run(str(PROGRAM), "status").said


def runs(host: GuestHost, name: str) -> bool:
    """Whether a guest runs, by libvirt."""
    return host.virsh(f"domstate {name}").said.strip() == "running"


def test_it_is_paused_and_libvirt_is_told(host: GuestHost) -> None:
    """Until a person has it go on; another guest goes on all the time."""
    file = start(host, "one", "pause")
    start(host, "other", "")
    lose(file)
    assert wait(host, lambda: "it is paused" in said(host))
    metadata = "metadata one --uri urn:lockcfg:lockd"
    assert wait(host, lambda: "its file was replaced" in host.virsh(metadata).said)
    assert "<paused " in host.virsh(metadata).said
    # A person who asks is told, and virtlockd, which knows nothing of it, does not take it over.
    who = host.run(str(PROGRAM.parent / "lockcfg"), "who", "one")
    assert re.search(r"^next: guest 'one' \(pid \d+\) of this host: it is paused: ", who.said, re.M)
    for words in (("handback", "--dry-run"), ("handback",)):
        refused = host.run(str(PROGRAM), *words)
        assert refused.status == 1, words
        assert "it is paused: " in refused.said
    # It stands still, and libvirt's monitor with it; what needs none of it works.
    assert runs(host, "one")
    assert virsh(host, "domstate one --reason").strip() == "running (booted)"
    assert host.run(str(PROGRAM), "resume", "one").status == 1
    file.unlink()
    assert wait(host, lambda: "lockd resume" in said(host))
    result = host.run(str(PROGRAM), "resume", "one")
    assert result.status == 0, result.said
    # virsh of 9.0 fails if there is no metadata, and that of 11.3 says nothing.
    assert wait(host, lambda: "paused" not in host.virsh(metadata).said)
    virsh(host, "suspend one")
    virsh(host, "resume one")
    assert runs(host, "other")


def test_one_that_is_paused_can_be_destroyed(host: GuestHost) -> None:
    file = start(host, "one", "pause")
    lose(file)
    assert wait(host, lambda: "it is paused" in said(host))
    virsh(host, "destroy one")
    assert wait(host, lambda: "paused" not in said(host))
    file.unlink()
    virsh(host, "start one")


def test_it_is_killed(host: GuestHost) -> None:
    lose(start(host, "one", "poweroff"))
    assert wait(host, lambda: host.virsh("domstate one").said.strip() == "shut off")
    # It is asked to end first, which libvirt takes for an end of its own; then it is killed.
    reason = virsh(host, "domstate one --reason").strip()
    assert reason in ("shut off (shutdown)", "shut off (crashed)")


def test_the_linter_reads_what_libvirt_keeps_of_it(host: GuestHost) -> None:
    """Beside libvirt's own files; of a host that has a file of lockd it is obeyed."""
    disk = host.make_disk("one")
    host.define("one", (Disk(disk),), on_lockfailure="poweroff")
    lint = str(Path(PROGRAM).parent / "lockcfg"), "lint", "--select=LK215", "/etc/libvirt"
    result = host.run(*lint)
    assert result.status == 1, result.said
    assert "etc/libvirt/qemu/one.xml:" in result.said
    assert "'poweroff' has no effect for the guest 'one' with virtlockd" in result.said
    host.path("/etc/libvirt/lockd.conf").touch()
    result = host.run(*lint)
    assert result.status == 0, result.said


def test_it_is_started_again(host: GuestHost) -> None:
    """As soon as it gets its locks."""
    file = start(host, "one", "restart")
    before = host.state().guests
    lose(file)
    assert wait(host, lambda: host.virsh("domstate one").said.strip() == "shut off")
    file.unlink(missing_ok=True)
    assert wait(host, lambda: runs(host, "one"))
    assert len(before) == len(host.state().guests) == 1
