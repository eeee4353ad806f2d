"""A fleet whose hosts do not exclude each other becomes safe by the steps of its plan, carried out
as its JSON gives them, and on the way nothing is called safe that another host can have."""

from __future__ import annotations

import itertools
import json
import shlex
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from tests.real.shared.daemons import LOCKD, VIRTLOCKD
from tests.real.shared.fleet_host import SHARED, FleetHost, disk_of
from tests.real.shared.gluster import gluster_network

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

    from tests.real.guest_host import Result

LOCKCFG: Final = Path(sys.executable).parent / "lockcfg"

_SPACE: Final = {"file_lockspace_dir": f"{SHARED}/locks"}

#: What each host begins with: its lock daemon, and libvirt's settings; None is a host that locks
#: nothing and runs no lock daemon.
HOSTS: Final[dict[str, tuple[Path, Mapping[str, str] | None]]] = {
    "h1": (VIRTLOCKD, _SPACE),
    "h2": (LOCKD, _SPACE),
    "h3": (VIRTLOCKD, None),
    "h4": (VIRTLOCKD, {}),
    "h5": (LOCKD, {"file_lockspace_dir": f"{SHARED}/other"}),
}


class Fleet:
    """The hosts, and what is said of them. ``directory`` takes snapshots and the policy."""

    def __init__(self, hosts: Mapping[str, FleetHost], directory: Path) -> None:
        self.hosts: Final = hosts
        self._snapshots: Final = directory / "snapshots"
        self.policy: Final = directory / "fleet.yaml"

    def collect(self) -> None:
        """Take a snapshot of each host, all at once."""
        self._snapshots.mkdir(exist_ok=True)
        with ThreadPoolExecutor() as pool:
            texts = pool.map(FleetHost.snapshot, self.hosts.values())
        for name, text in zip(self.hosts, texts, strict=True):
            (self._snapshots / f"{name}.json").write_text(text)

    def lockcfg(self, *arguments: str | Path) -> dict[str, Any]:
        """What a command says in JSON of the snapshots."""
        done = subprocess.run(
            [LOCKCFG, *arguments, "--format", "json", self._snapshots],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert done.returncode in (0, 1)
        return dict(json.loads(done.stdout))

    def audit(self) -> dict[str, Any]:
        """What the audit says of the hosts as they are."""
        self.collect()
        policy = ("--policy", self.policy) if self.policy.exists() else ()
        return self.lockcfg("audit", *policy)

    def write_policy(self) -> None:
        """The first policy, with more clients than there were."""
        subprocess.run(
            [LOCKCFG, "audit", "--write-policy", self.policy, self._snapshots], check=True
        )
        policy = yaml.safe_load(self.policy.read_text())
        (group,) = policy["groups"].values()
        assert group["settings"]["file_lockspace_dir"] == _SPACE["file_lockspace_dir"]
        group["settings"]["max_clients"] = 2048
        policy["groups"] = {"all": group}
        self.policy.write_text(yaml.safe_dump(policy))

    def safe_disks(self, audit: Mapping[str, Any]) -> list[str]:
        """The hosts whose guest's disk no other host gets, by the audit."""
        said = {disk["name"].rpartition("/")[2]: disk["safe"] for disk in audit["disks"]}
        assert set(said) == set(self.hosts)
        unheld = {
            host
            for finding in audit["findings"]
            if finding["code"] in ("LA101", "LA109", "LA110")
            for host in finding["hosts"]
        }
        return [host for host in self.hosts if said[host] == "yes" and host not in unheld]

    def thieves(self, disks: list[str]) -> Iterator[tuple[str, str, Result]]:
        """Each other host tries to have those disks: the thief, the disk, what came of it."""

        def tries(host: FleetHost) -> list[tuple[str, str, Result]]:
            return [(host.name, d, host.steal(d)) for d in disks if d != host.name]

        with ThreadPoolExecutor() as pool:
            yield from itertools.chain.from_iterable(pool.map(tries, self.hosts.values()))

    def guests(self) -> dict[str, tuple[str, ...]]:
        """The guests that run on each host."""
        return {name: host.state().guests for name, host in self.hosts.items()}


def test_a_mixed_fleet_becomes_safe_by_its_plan(tmp_path: Path) -> None:
    """With all guests running, and not one granted that is called safe."""
    with ExitStack() as stack:
        network = stack.enter_context(gluster_network(tmp_path, "plain"))
        hosts = {
            name: stack.enter_context(FleetHost(name, tmp_path / name, *HOSTS[name], HOSTS))
            for name in HOSTS
        }
        for host in hosts.values():
            host.join(network.server, tmp_path / "client.vol")
        hosts["h1"].sh(f"mkdir {SHARED}/images {SHARED}/locks {SHARED}/other")
        for name in HOSTS:
            hosts["h1"].sh(f"truncate -s 1M {shlex.quote(disk_of(name))}")
        with ThreadPoolExecutor() as pool:
            list(pool.map(FleetHost.start, hosts.values()))
        fleet = Fleet(hosts, tmp_path)
        running = {name: (f"guest-{name}",) for name in HOSTS}
        assert fleet.guests() == running

        audit = fleet.audit()
        assert audit["verdict"]["level"] == "unsafe", json.dumps(audit, indent=1)
        assert "h3" not in fleet.safe_disks(audit)
        # It is not too careful either: this is so.
        assert hosts["h4"].steal("h3").status == 0
        fleet.write_policy()
        fleet.collect()
        plan = fleet.lockcfg("plan", "--policy", fleet.policy)
        assert [each for each in plan["uncovered"] if each["severity"] != "info"] == []
        tried = 0
        for step in plan["steps"]:
            for work in step["work"]:
                for name in work["hosts"]:
                    hosts[name].sh("\n".join(work["commands"]))
            audit = fleet.audit()
            for thief, disk, result in fleet.thieves(fleet.safe_disks(audit)):
                assert result.status != 0, f"{step['action']}: {thief} has the disk of {disk}"
                assert "Lock" in result.said or "lock" in result.said, result.said
                tried += 1
            assert fleet.guests() == running
        assert audit["verdict"]["level"] == "safe", json.dumps(audit["findings"], indent=1)
        assert fleet.safe_disks(audit) == list(hosts)
        assert tried >= len(hosts) * (len(hosts) - 1)
        assert [step["action"] for step in plan["steps"]].count("limit") == 1
        assert fleet.lockcfg("plan", "--policy", fleet.policy)["steps"] == []
