"""A fleet that Ansible reaches by ssh: hosts with an sshd of their own, real libvirtds and lock
daemons, guests that run, and a GlusterFS volume that all have; gone when the block is left."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

import yaml

from tests.ansible.playing import PROGRAMS
from tests.real.guest_host import Disk
from tests.real.shared.daemons import LOCKD, VIRTLOCKD
from tests.real.shared.fleet_host import SHARED, FleetHost, address_of, disk_of
from tests.real.shared.gluster import gluster_network, serve_second_volume

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path
    from typing import Any, Final, Self

    from tests.real.shared.hosts import Network

#: What modules run with on the hosts.
PYTHON: Final = str(PROGRAMS / "python")

SPACE: Final = {"file_lockspace_dir": f"{SHARED}/locks"}


class Kind(NamedTuple):
    """What a host begins with. ``settings`` None: it locks nothing and runs no lock daemon."""

    daemon: Path
    settings: Mapping[str, str] | None
    guest: bool = True
    #: Of the guest's disk.
    mode: str = ""
    #: Another disk of the guest, by its name, which guests of several hosts have.
    shares: str = ""
    #: The text of qemu-sanlock.conf: the host has sanlock for its lock manager.
    sanlock: str = ""
    #: Its libvirt is modular.
    modular: bool = False
    #: More files in /etc/libvirt, such as those of another driver, and their texts.
    files: Mapping[str, str] = {}


class Shape(NamedTuple):
    """What a fleet consists of, and what its policy says: the settings of each group, and its
    hosts. ``called`` are the names by which Ansible and the policy know hosts, if those are others
    than their own. Ansible logs in as ``user``, and becomes root if it is not. The hosts ``apart``
    have a volume of their own. ``reached`` is what the inventory says of hosts besides:
    ``ansible_host``, also with an address of IPv6, and ``ansible_port``. With ``children`` the
    inventory has the groups of the policy below another one, ``kvm``, beside a host that is none of
    theirs and does not answer."""

    kinds: Mapping[str, Kind]
    groups: Mapping[str, tuple[Mapping[str, Any], tuple[str, ...]]]
    called: Mapping[str, str] = {}
    user: str = "root"
    apart: tuple[str, ...] = ()
    reached: Mapping[str, Mapping[str, Any]] = {}
    children: bool = False

    def group_of(self, name: str) -> tuple[str, ...]:
        """The hosts of the group that a host is in."""
        return next(hosts for _, hosts in self.groups.values() if name in hosts)


#: Eight hosts of which hardly two are alike.
FLEET: Final[dict[str, Kind]] = {
    "h1": Kind(VIRTLOCKD, SPACE),
    "h2": Kind(LOCKD, SPACE),
    "h3": Kind(VIRTLOCKD, None),
    "h4": Kind(VIRTLOCKD, {}),
    "h5": Kind(LOCKD, {"file_lockspace_dir": f"{SHARED}/other"}),
    "h6": Kind(VIRTLOCKD, SPACE),
    "h7": Kind(VIRTLOCKD, SPACE, guest=False),
    "h8": Kind(VIRTLOCKD, None, guest=False),
}

WANTED: Final[Mapping[str, Any]] = {
    **SPACE,
    "lock_manager": "lockd",
    "auto_disk_leases": 1,
    "max_clients": 2048,
}

#: All of them in one group, which lock in the shared lockspace, and have more clients than there
#: were.
EIGHT: Final = Shape(FLEET, {"all": (WANTED, tuple(FLEET))})

#: Who is not root, and may become it.
USER: Final = "deploy"

#: Where a host looks for programs: its own come first.
_PATH: Final = f"{LOCKD.parent}:/srv/programs:{os.defpath}:/usr/sbin:/sbin"

#: Has a host know the user. sudo would forbid core files to the libvirtd that it starts, and then
#: libvirt 11.3 starts no guest.
_USER: Final = f"""
for name in passwd group shadow sudoers; do
    cp /etc/$name /srv/$name
    mount --bind /srv/$name /etc/$name
done
echo '{USER}:x:4711:4711::/srv/deploy:/bin/sh' >>/etc/passwd
echo '{USER}:x:4711:' >>/etc/group
echo '{USER}:*:20000::::::' >>/etc/shadow
echo '{USER} ALL=(ALL:ALL) NOPASSWD: ALL' >>/etc/sudoers
echo 'Defaults secure_path="{_PATH}"' >>/etc/sudoers
echo 'Defaults rlimit_core=default' >>/etc/sudoers
mkdir -m 755 /srv/deploy
chown 4711:4711 /srv/deploy
"""

#: What a rollback writes where nothing was set.
_DEFAULTS: Final = (
    'lock_manager = "nop"',
    "auto_disk_leases = 1",
    "max_clients = 1024",
    "require_lease_for_disks = 0",
)

#: In front of what a program of a host does: at one command it does it, says so, and waits until
#: it may go on.
_PAUSE: Final = """#!/bin/sh
case " $* " in
*{command}*)
    {program} "$@" || exit
    touch /srv/reached
    until [ -e /srv/go ]; do sleep 0.05; done
    exit;;
esac
exec {program} "$@"
"""

_SSHD: Final = """
mkdir -p /run/sshd
case $2 in
*:*) ip address replace "$2/64" dev lan nodad;;
esac
exec /usr/sbin/sshd -f /srv/ssh/sshd_config -E /srv/sshd.log -p "$3" -o ListenAddress="$2"
"""
_SSHD_CONFIG: Final = """\
HostKey /srv/ssh/host
AuthorizedKeysFile /srv/ssh/user.pub
PidFile /run/sshd.pid
StrictModes no
UsePAM no
PermitRootLogin yes
MaxStartups 100:30:200
AcceptEnv none
SetEnv PATH={path}
"""


class Fleet:
    """The hosts, and a directory for what Ansible needs of them. A context manager."""

    def __init__(self, directory: Path, collections: Path, shape: Shape = EIGHT) -> None:
        self.directory: Final = directory
        self.policy: Final = directory / "fleet.yaml"
        self.inventory: Final = directory / "hosts.yaml"
        self._collections: Final = collections
        self.shape: Final = shape
        self.kinds: Mapping[str, Kind] = shape.kinds
        self._stack: Final = ExitStack()
        self.hosts: dict[str, FleetHost] = {}

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            self._network: Network = stack.enter_context(gluster_network(self.directory, "plain"))
            graph = second = self.directory / "client.vol"
            if self.shape.apart:
                second = serve_second_volume(self._network, self.directory, "plain")
            self._network.server.sh("ip address add fd00:99::1/64 dev switch nodad")
            self.hosts = {
                name: stack.enter_context(
                    FleetHost(
                        name,
                        self.directory / name,
                        kind.daemon,
                        kind.settings,
                        self.shape.group_of(name),
                        mode=kind.mode,
                        more=(Disk(disk_of(kind.shares), "shareable"),) if kind.shares else (),
                        modular=kind.modular,
                    )
                )
                for name, kind in self.kinds.items()
            }
            self._make_keys()
            for name, host in self.hosts.items():
                own = name in self.shape.apart
                host.join(self._network.server, second if own else graph)
                host.path("/srv/ssh").mkdir()
                for file in ("host", "user.pub", "sshd_config"):
                    shutil.copy(self.directory / file, host.path("/srv/ssh"))
                if self.shape.user == USER:
                    host.sh(_USER)
                self.start_sshd(name)
            for part in ({*self.hosts} - {*self.shape.apart}, {*self.shape.apart}):
                if part:
                    self._make_disks(sorted(part))
            with ThreadPoolExecutor(4) as pool:
                list(pool.map(self._start, self.hosts))
            self._write_inventory()
            stack.callback(self._end_masters)
            self._stack.push(stack.pop_all())
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.__exit__(None, None, None)

    def _make_disks(self, names: Sequence[str]) -> None:
        """On the volume that these hosts have."""
        first = self.hosts[names[0]]
        first.sh(f"mkdir {SHARED}/images {SHARED}/locks {SHARED}/other")
        for name in {*names, *(self.kinds[name].shares for name in names)} - {""}:
            first.sh(f"truncate -s 1M {shlex.quote(disk_of(name))}")

    def _start(self, name: str) -> None:
        host, kind = self.hosts[name], self.kinds[name]
        for file, text in kind.files.items():
            host.path(f"/etc/libvirt/{file}").write_text(text)
        if kind.sanlock:
            qemu = host.path("/etc/libvirt/qemu.conf")
            qemu.write_text(qemu.read_text().replace('"lockd"', '"sanlock"'))
            host.path("/etc/libvirt/qemu-sanlock.conf").write_text(kind.sanlock)
        if kind.guest:
            host.start()
        else:
            host.start_daemons()
            host.define_thieves()

    def _make_keys(self) -> None:
        for name in ("host", "user"):
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", self.directory / name],
                check=True,
            )
        (self.directory / "sshd_config").write_text(_SSHD_CONFIG.format(path=_PATH))

    def start_sshd(self, name: str) -> None:
        """Have a host answer."""
        reached = self.shape.reached.get(name, {})
        address = reached.get("ansible_host", address_of(name))
        self.hosts[name].sh(_SSHD, address, str(reached.get("ansible_port", 22)))

    def stop_sshd(self, name: str) -> None:
        """Have a host answer no more: neither new connections nor those that there are."""
        for process in list(self.hosts[name].processes()):
            if "sshd" in process.arguments[0]:
                os.kill(process.pid, 9)

    def cut_off(self, name: str) -> None:
        """Cut the power of a host, which has no guests: nothing runs there from now on, and what
        it has on disk stays."""
        host = self.hosts[name]
        for process in list(host.processes()):
            # The first process is the host itself, and ends with what it reads from.
            if process.inner_pid != 1 and process.arguments[0] not in ("glusterfs", "cat"):
                with suppress(ProcessLookupError):
                    os.kill(process.pid, signal.SIGKILL)

    def bring_back(self, name: str) -> None:
        """Have a host start again."""
        host = self.hosts[name]
        host.sh("rm -f /run/*.pid")
        for started in (host.start_lock_daemon(), host.start_libvirtd()):
            assert started.status == 0, started.said
        self.start_sshd(name)

    def end_waiting(self, name: str) -> None:
        """End the command of a host that waits, and what would go on after it."""
        host = self.hosts[name]
        for process in list(host.processes()):
            if "/srv/programs/virsh" in process.arguments or "managedsave" in "".join(
                process.arguments
            ):
                os.kill(process.pid, signal.SIGKILL)

    def settle(self) -> None:
        """Wait until no host does anything more for a run that was killed."""
        for name in self.kinds:
            while any(each.arguments[0] == PYTHON for each in self.hosts[name].processes()):
                time.sleep(0.1)

    @contextmanager
    def paused(self, name: str, program: str, command: str) -> Iterator[None]:
        """Have a host wait, once ``program`` has done what has ``command`` in its words, until the
        block is left. The host has reached that when :meth:`reached` returns."""
        host = self.hosts[name]
        path = host.path(f"/srv/programs/{program}")
        real = f"/usr/bin/{program}"
        if path.exists():
            real = f"/srv/programs/real-{program}"
            path.rename(host.path(real))
        for file in ("reached", "go"):
            host.path(f"/srv/{file}").unlink(missing_ok=True)
        draft = host.path("/srv/draft")
        draft.write_text(_PAUSE.format(program=real, command=command.replace(" ", "\\ ")))
        draft.chmod(0o755)
        draft.rename(path)
        try:
            yield
        finally:
            host.path("/srv/go").touch()
            if real.startswith("/srv"):
                host.path(real).rename(path)
            else:
                path.unlink()

    def reached(self, name: str, run: subprocess.Popen[str]) -> None:
        """Wait until a host waits; the run must not end before."""
        while not self.hosts[name].path("/srv/reached").exists():
            assert run.poll() is None, run.communicate()[0]
            time.sleep(0.05)

    def only(self, *names: str) -> None:
        """Have a part of the fleet be all that Ansible and the policy know from now on."""
        self.kinds = {name: self.kinds[name] for name in names}
        self._write_inventory()
        self.write_policy()

    def called(self, name: str) -> str:
        """What Ansible and the policy call a host."""
        return self.shape.called.get(name, name)

    def _write_inventory(self) -> None:
        hosts = {
            self.called(name): {
                "ansible_host": address_of(name),
                **self.shape.reached.get(name, {}),
            }
            for name in self.kinds
        }
        common = {
            "ansible_user": self.shape.user,
            **({} if self.shape.user == "root" else {"ansible_become": True}),
            "ansible_ssh_private_key_file": str(self.directory / "user"),
            "ansible_ssh_common_args": (
                "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null"
                " -o ConnectTimeout=5 -o ServerAliveInterval=2 -o ServerAliveCountMax=2"
            ),
            "ansible_remote_tmp": "/tmp/ansible",
            "ansible_python_interpreter": PYTHON,
        }
        groups: dict[str, Any] = {"all": {"hosts": hosts, "vars": common}}
        if self.shape.children:
            below = {
                group: {"hosts": {self.called(name): hosts[self.called(name)] for name in names}}
                for group, (_, names) in self.shape.groups.items()
            }
            aside = {"hosts": {"storage-1": {"ansible_host": address_of("h99")}}}
            groups["all"] = {
                "children": {"kvm": {"children": below}, "storage": aside},
                "vars": common,
            }
        self.inventory.write_text(yaml.safe_dump(groups))

    # What is done from the controller.

    def popen(self, program: str, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """Start a program of Ansible's, where the hosts can be reached."""
        environment = {
            **os.environ,
            "ANSIBLE_HOME": str(self.directory / "home"),
            "ANSIBLE_COLLECTIONS_PATH": str(self._collections),
            "ANSIBLE_SSH_CONTROL_PATH_DIR": str(self.directory / "cp"),
            "ANSIBLE_PIPELINING": "true",
            "ANSIBLE_NOCOLOR": "true",
            "ANSIBLE_DEPRECATION_WARNINGS": "false",
            "LC_ALL": "C.UTF-8",
        }
        enter = ("nsenter", "--target", str(self._network.server.pid), "--net", "--")
        return subprocess.Popen(
            [*enter, PROGRAMS / program, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            **options,
        )

    def play(self, playbook: str, *arguments: str) -> tuple[int, str]:
        """Run a playbook of the collection, or of a path; its exit status, and what it said."""
        with self.play_beside(playbook, *arguments) as process:
            said, _ = process.communicate(timeout=1800)
        return process.returncode, said

    def play_beside(self, playbook: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start a playbook of the collection."""
        return self.popen(
            "ansible-playbook",
            *("--inventory", self.inventory, "--extra-vars", f"lockcfg_policy={self.policy}"),
            *(("--extra-vars", "lockcfg_hosts=kvm") if self.shape.children else ()),
            *(playbook if "/" in playbook else f"lockcfg.lockcfg.{playbook}", *arguments),
            **options,
        )

    def _end_masters(self) -> None:
        """End the connections that ssh keeps for later."""
        for socket in (self.directory / "cp").glob("*"):
            subprocess.run(
                ["ssh", "-o", f"ControlPath={socket}", "-O", "exit", "host"], capture_output=True
            )

    # What is looked at from outside.

    def guests(self) -> dict[str, tuple[str, ...]]:
        """The guests that run on each host."""
        return {name: self.hosts[name].state().guests for name in self.kinds}

    def settings(self) -> dict[str, list[str]]:
        """What is set on each host to another value than its default."""
        return {
            name: sorted(
                line
                for file in ("qemu.conf", "qemu-lockd.conf", "virtlockd.conf")
                if (path := host.path(f"/etc/libvirt/{file}")).exists()
                for line in path.read_text().splitlines()
                if line.strip() and not line.startswith("#") and line not in _DEFAULTS
            )
            for name, host in self.hosts.items()
        }

    def held(self) -> set[str]:
        """The hosts with a hook of ours."""
        return {
            name
            for name in self.kinds
            if (hook := self.hosts[name].path("/etc/libvirt/hooks/qemu")).exists()
            and "lockcfg-hold" in hook.read_text()
        }

    def write_policy(self) -> None:
        """The policy, of the hosts that there are."""
        groups = {
            group: {
                "hosts": [self.called(name) for name in hosts if name in self.kinds],
                "settings": dict(settings),
            }
            for group, (settings, hosts) in self.shape.groups.items()
        }
        self.policy.write_text(yaml.safe_dump({"groups": groups}, allow_unicode=True))

    def lockcfg(self, *arguments: str | Path) -> dict[str, Any]:
        """What a command says in JSON."""
        done = subprocess.run(
            [PROGRAMS / "lockcfg", *arguments, "--format", "json"],
            stdout=subprocess.PIPE,
            text=True,
        )
        return dict(json.loads(done.stdout))
