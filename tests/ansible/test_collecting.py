"""Snapshots by Ansible, what the controller makes of them, and inventories and policies."""

from __future__ import annotations

import ast
import gzip
import json
import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import yaml

import lockcfg
from tests.ansible.playing import COLLECTION, task
from tests.conftest import LOCKCFG, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ansible.playing import Controller

#: What runs on hosts.
ON_HOSTS = [
    path
    for where in ("modules", "module_utils")
    for path in sorted((COLLECTION / "plugins" / where).glob("*.py"))
]


def roots(tmp_path: Path, *names: str) -> dict[str, dict[str, str]]:
    """Hosts that are directories here, with libvirt's own files."""
    found = {}
    for name in names:
        root = tmp_path / "hosts" / name
        (root / "etc").mkdir(parents=True)
        shutil.copytree(SAMPLES, root / "etc/libvirt")
        found[name] = {"at": str(root)}
    return found


def test_a_snapshot_of_this_host(controller: Controller) -> None:
    """It is what the collector says, small, fetched or pushed, and nothing is touched where it is
    only checked."""
    spool = controller.directory / "spool"
    spool.mkdir()
    tasks = [
        task("fetched", "collect", dest="snapshots"),
        task("pushed", "collect", path=str(spool / "kvm01.json.xz"), scratch=False),
        task("returned", "collect", name="kvm07"),
    ]
    checked = controller.play(tasks, "--check")
    assert checked.status == 0, checked.output
    assert not (controller.directory / "snapshots").exists()
    assert not os.listdir(spool)
    played = controller.play(tasks)
    assert played.status == 0, played.output
    fetched = played["fetched"]["kvm01"]
    assert not fetched["changed"]
    assert fetched["dest"] == "snapshots/kvm01.json.gz"
    data = (controller.directory / fetched["dest"]).read_bytes()
    assert len(data) == fetched["size"] < 8192
    summary = lockcfg.summary_of(gzip.decompress(data))
    assert fetched["ansible_facts"]["lockcfg"] == summary
    assert summary["name"] == "kvm01"
    assert summary["driver"] == "qemu"
    assert played["pushed"]["kvm01"]["path"] == str(spool / "kvm01.json.xz")
    assert os.listdir(spool) == ["kvm01.json.xz"]
    assert played["returned"]["kvm01"]["ansible_facts"]["lockcfg"]["name"] == "kvm07"
    audited = subprocess.run(
        [LOCKCFG, "audit", "--json", controller.directory / "snapshots", spool],
        capture_output=True,
        text=True,
    )
    assert json.loads(audited.stdout)["summary"]["hosts"] == 1


@pytest.mark.parametrize("path", ON_HOSTS, ids=lambda path: path.name)
def test_the_oldest_python_reads_what_runs_on_hosts(path: Path) -> None:
    """The code for hosts has nothing that Python 3.6 has not."""
    ast.parse(path.read_text(), feature_version=(3, 6))


def test_audit_and_plan_by_the_inventory(controller: Controller, tmp_path: Path) -> None:
    """The groups of the inventory are those of the policy. A host that cannot be reached is
    missing, and what is not known is not safe."""
    hosts: dict[str, dict[str, str]] = roots(tmp_path, "kvm01", "kvm02")
    nowhere = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": "1"}
    hosts["kvm03"] = {"at": "/nowhere", **nowhere}
    policy = "{{ groups | lockcfg.lockcfg.fleet_policy(only=['kvm'], policy=wanted) }}"
    wanted = {"wanted": {"groups": {"kvm": {"settings": {"lock_manager": "lockd"}}}}}
    once = {"run_once": True, "vars": wanted}
    played = controller.play(
        [
            task("collect", "collect", dest="snapshots", root="{{ at }}"),
            task("audit", "audit", paths=["snapshots"], policy=policy, more=once),
            task("plan", "plan", paths="snapshots", policy=policy, more=once),
            task(
                "gate",
                "audit",
                paths=["snapshots"],
                policy=policy,
                fail_level="warning",
                more={**once, "ignore_errors": True},
            ),
            task(
                "unknown option",
                "audit",
                paths=["snapshots"],
                polic="fleet.yaml",
                more={**once, "ignore_errors": True},
            ),
            task(
                "no such snapshots",
                "plan",
                paths=["nowhere"],
                policy=policy,
                more={**once, "ignore_errors": True},
            ),
        ],
        hosts=hosts,
    )
    assert played["collect"]["kvm03"]["unreachable"]
    (audit,) = played["audit"].values()
    assert audit["missing"] == ["kvm03"]
    assert audit["level"] != "safe"
    group = next(each for each in audit["audit"]["groups"] if each["name"] == "kvm")
    assert group["hosts"] == ["kvm01", "kvm02"]
    groups = {"kvm": {"settings": {"lock_manager": "lockd"}, "hosts": ["kvm[01-03]"]}}
    (controller.directory / "fleet.yaml").write_text(yaml.safe_dump({"groups": groups}))
    asked = [str(LOCKCFG), "plan", "--json", "--policy", "fleet.yaml", "snapshots"]
    theirs = subprocess.run(asked, cwd=controller.directory, capture_output=True, text=True)
    (plan,) = played["plan"].values()
    assert plan["plan"] == json.loads(theirs.stdout)
    assert plan["todo"]
    (gate,) = played["gate"].values()
    assert gate["failed"]
    assert "LA" in gate["msg"]
    (refused,) = played["unknown option"].values()
    assert "polic" in refused["msg"]
    (nothing,) = played["no such snapshots"].values()
    assert "there is no such file" in nothing["msg"]


def test_the_inventory_of_a_policy(controller: Controller) -> None:
    """Groups and hosts, ranges told one by one; a host is in the first group that names it, and of
    a glob it is said that its hosts are not there."""
    (controller.directory / "fleet.yaml").write_text(
        "groups:\n"
        "  rack-a:\n    hosts: ['kvm[01-03]', 'edge*']\n"
        "  rack_b:\n    hosts: [kvm03, kvm10]\n"
    )
    (controller.directory / "my.lockcfg.yml").write_text(
        "plugin: lockcfg.lockcfg.fleet\npolicy: fleet.yaml\n"
    )
    enabled = {"ANSIBLE_INVENTORY_ENABLED": "lockcfg.lockcfg.fleet"}
    graphs = []
    for source in ("fleet.yaml", "my.lockcfg.yml"):
        ran = controller.run("ansible-inventory", "-i", source, "--list", **enabled)
        assert ran.returncode == 0, ran.stderr
        assert "edge*" in ran.stderr
        graphs.append(json.loads(ran.stdout))
    assert graphs[0] == graphs[1]
    found = graphs[0]
    assert found["rack_a"]["hosts"] == ["kvm01", "kvm02", "kvm03"]
    assert found["rack_b"]["hosts"] == ["kvm10"]
    group = found["_meta"]["hostvars"]["kvm02"]["lockcfg_group"]
    assert group in ("rack-a", {"__ansible_unsafe": "rack-a"})
    (controller.directory / "fleet.yaml").write_text("groups:\n  a:\n    host: [kvm01]\n")
    ran = controller.run("ansible-inventory", "-i", "fleet.yaml", "--list", **enabled)
    assert "did you mean 'hosts'" in " ".join(ran.stderr.split())


def test_without_lockcfg_it_says_so(controller: Controller, tmp_path: Path) -> None:
    """On a controller where lockcfg is not installed for the Python that runs Ansible."""
    (tmp_path / "lockcfg.py").write_text("raise ImportError('there is none')\n")
    ran = controller.run(
        *("ansible", "localhost", "-m", "lockcfg.lockcfg.audit", "-a", "paths=."),
        PYTHONPATH=str(tmp_path),
    )
    assert ran.returncode == 2
    assert f"lockcfg cannot be imported by {sys.executable}" in " ".join(ran.stdout.split())
