"""The role ``engine`` with the Debian packages: lockd comes from a repository onto a host with a
systemd of its own, and takes virtlockd's place while a guest runs and a process tries all the time
to get its lock."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.ansible.playing import task
from tests.debian_root import packages, this_release

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.ansible.playing import Controller

#: In the place of ssh: its last word is a command, which a host does in its namespaces.
SSH = """#!/bin/sh
for word; do command=$word; done
exec {enter} sh -c "$command"
"""

#: A repository with one directory of packages, which is newer than what apt knows.
REPOSITORY = """
cd /made
dpkg-scanpackages --multiversion . >Packages 2>/dev/null
echo 'deb [trusted=yes] file:/made ./' >/etc/apt/sources.list.d/made.list
apt-get -qq update -o Dir::Etc::sourcelist=sources.list.d/made.list -o Dir::Etc::sourceparts=- \\
    -o APT::Get::List-Cleanup=0
"""

ROLE = {"name": "engine", "ansible.builtin.include_role": {"name": "lockcfg.lockcfg.engine"}}


@pytest.mark.usefixtures("long_run")
def test_lockd_by_package(controller: Controller, tmp_path: Path) -> None:
    """In check mode nothing happens. Then the guest keeps its lock, which is never free, and a
    second run changes nothing. A host whose repository lacks the package says so."""
    module = packages()
    _, full = module.prepare(this_release())
    made = module.build(full)
    with module.layer(full) as root:
        module.in_root(root, "packaging/install-packages python3-apt dpkg-dev")
        with module.Host(root) as host:
            ssh = tmp_path / "ssh"
            ssh.write_text(SSH.format(enter=shlex.join(host.command("")[:-3])))
            ssh.chmod(0o755)
            there = {
                "ansible_connection": "ssh",
                "ansible_ssh_executable": str(ssh),
                "ansible_ssh_transfer_method": "piped",
                "ansible_python_interpreter": "/usr/bin/python3",
            }

            def play(*options: str, **variables: str) -> Any:
                role = {**ROLE, "vars": variables}
                last = task("locks", "locks", held=["/var/lib/libvirt/images/disk"])
                return controller.play([role, last], *options, hosts={"kvm01": there})

            host("mkdir -p /var/lib/libvirt/images")
            host("cat >>/etc/libvirt/qemu.conf", stdin='lock_manager = "lockd"\nuser = "root"\n')
            host("systemctl start virtlockd.socket virtlockd-admin.socket virtlogd.socket libvirtd")
            for name in ("guest", "rival"):
                host(f"cat >/root/{name}", stdin=module.GUEST.format(name=name, disk="disk"))
                host(f"virsh -q define /root/{name}")
            host("truncate -s 1M /var/lib/libvirt/images/disk; virsh -q start guest")
            pid = host.daemon()[1]
            with subprocess.Popen(
                host.command(f"exec python3 -c {shlex.quote(module.THIEF)}"),
                stdout=subprocess.PIPE,
                text=True,
            ) as thief:
                assert thief.stdout is not None
                assert thief.stdout.readline() == "trying\n"

                def is_well(daemon: str) -> None:
                    assert host.daemon() == (daemon, pid)
                    assert host("virsh domstate guest").strip() == "running"
                    assert "lock" in host("virsh start rival", status=1)
                    assert thief.poll() is None, "the lock was free"

                missing = play()
                assert missing.status == 2, missing.output
                assert "lockd" in missing.output
                is_well("virtlockd")

                shutil.copytree(made, root / "made")
                host(REPOSITORY)
                before = host("dpkg-query --show; find /etc -newer /made/Packages -type f")
                checked = play("--check")
                assert checked.status == 0, checked.output
                assert "changed=0 " not in checked.output
                assert host("dpkg-query --show; find /etc -newer /made/Packages -type f") == before
                is_well("virtlockd")

                played = play()
                assert played.status == 0, played.output
                assert played["locks"]["kvm01"]["daemon"] == "lockd"
                is_well("lockd")
                for options in (("--check",), ()):
                    again = play(*options)
                    assert again.status == 0, again.output
                    assert "changed=0 " in again.output, again.output
                    is_well("lockd")
                thief.kill()
