"""The cost of one ``ansible-playbook`` run that collects from many hosts and audits them.

The hosts are directories on this machine, each the root of a host, and the connection is local. So
the figures hold the work of the hosts as well: their collectors run here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import lockcfg

PLAY = """\
- name: Which hosts exclude each other?
  hosts: all
  gather_facts: false
  tasks:
    - name: Collect a snapshot of each host
      lockcfg.lockcfg.collect:
        dest: snapshots
        root: "{{ host_root }}"
        scratch: false
    - name: Audit the fleet
      lockcfg.lockcfg.audit:
        paths: [snapshots]
      run_once: true
      register: fleet
"""


def run(directory: str, hosts: int, forks: int = 4) -> None:
    """Make the hosts and the play, run it once, and print a table."""
    top = Path(directory) / "controller"
    names = [f"kvm{number:05}" for number in range(hosts)]
    for name in names:
        etc = top / "hosts" / name / "etc/libvirt"
        etc.mkdir(parents=True)
        (etc / "qemu.conf").write_text('lock_manager = "lockd"\n')
        (etc / "qemu-lockd.conf").write_text('file_lockspace_dir = "/srv/locks"\n')
    place = top / "collections/ansible_collections/lockcfg"
    place.mkdir(parents=True)
    (place / "lockcfg").symlink_to(Path(lockcfg.__file__).parent.parent / "ansible")
    shared = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    told = {name: {"host_root": str(top / "hosts" / name)} for name in names}
    (top / "inventory.json").write_text(json.dumps({"all": {"hosts": told, "vars": shared}}))
    (top / "play.yml").write_text(PLAY)
    (top / "ansible.cfg").touch()
    programs = os.path.dirname(sys.executable)
    environment = {
        "PATH": f"{programs}:{os.defpath}",
        "HOME": str(top),
        "LC_ALL": "C.UTF-8",
        "ANSIBLE_COLLECTIONS_PATH": str(top / "collections"),
        "ANSIBLE_CONFIG": str(top / "ansible.cfg"),
        "ANSIBLE_FORKS": str(forks),
    }
    words = [os.path.join(programs, "ansible-playbook"), "-i", "inventory.json", "play.yml"]
    begun = time.monotonic()
    most = 0
    with open(top / "output", "w", encoding="utf-8") as output:
        process = subprocess.Popen(
            words, cwd=top, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        pid = 0
        while not pid:
            time.sleep(1)
            most = max(most, _shares(process.pid))
            pid, status, usage = os.wait4(process.pid, os.WNOHANG)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit((top / "output").read_text(encoding="utf-8")[-2000:])
    found = len(list((top / "snapshots").iterdir()))
    if found != hosts:
        raise SystemExit(f"{found} snapshots of {hosts} hosts")
    elapsed = time.monotonic() - begun
    print(f"| one run, {hosts} hosts, {forks} forks | measured |")
    print("|---|---|")
    print(f"| processor time, with the collectors | {usage.ru_utime + usage.ru_stime:.0f} s |")
    print(f"| elapsed, on a machine that does other work | {elapsed:.0f} s |")
    print(f"| memory of the largest process | {usage.ru_maxrss / 1024:.0f} MiB |")
    print(f"| memory of all processes together (PSS) | {most / 1024:.0f} MiB |")


def _shares(pid: int) -> int:
    """The memory in KiB that a process and those below it have, what they share counted once."""
    total = 0
    pending = [pid]
    while pending:
        one = pending.pop()
        with suppress(OSError):
            for line in Path(f"/proc/{one}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
        with suppress(OSError):
            pending += map(int, Path(f"/proc/{one}/task/{one}/children").read_text().split())
    return total
