"""The plays of the guide do what it says, on the real virtlockd."""

from __future__ import annotations

import re
import shutil
import sys
from typing import TYPE_CHECKING

import yaml

from tests.ansible.playing import PROJECT
from tests.conftest import SAMPLES
from tests.real.moving_host import MovingHost

if TYPE_CHECKING:
    from pathlib import Path

    from tests.ansible.playing import Controller

GUIDE = PROJECT / "docs/guides/ansible.md"


def test_the_plays_of_the_guide(controller: Controller, tmp_path: Path) -> None:
    """Each block is played under its name, in their order, on a host in namespaces."""
    blocks = dict(
        re.findall(r"^```yaml\n# (\S+)\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    )
    assert list(blocks) == [
        *("fleet.yaml", "audit.yml", "settings.yml", "plan.yml", "running.yml", "probe.yml")
    ]
    for name, text in blocks.items():
        (controller.directory / name).write_text(text)
    # This machine is one of the hosts.
    policy = yaml.safe_load(blocks["fleet.yaml"])
    policy["groups"]["kvm"]["hosts"] = ["kvm01"]
    (controller.directory / "fleet.yaml").write_text(yaml.safe_dump(policy))
    directory = tmp_path / "host"
    directory.mkdir()
    enabled = {"ANSIBLE_INVENTORY_ENABLED": "lockcfg.lockcfg.fleet"}
    local = ("-c", "local", "-e", f"ansible_python_interpreter={sys.executable}")
    with MovingHost(directory) as host:
        for each in SAMPLES.glob("*.conf"):
            shutil.copy(each, host.etc)
        before = ["nsenter", "--target", str(host.process.pid), "--mount"]
        said = {}
        for name in list(blocks)[1:]:
            words = ("-i", "fleet.yaml", name, *local)
            ran = controller.run("ansible-playbook", *words, before=before, **enabled)
            assert ran.returncode == 0, ran.stdout + ran.stderr
            said[name] = ran.stdout
        assert 'lock_manager = "lockd"\n' in (host.etc / "qemu.conf").read_text()
    assert "Not safe" in said["audit.yml"]
    assert "Never restart virtlockd" in said["settings.yml"]
    assert "changed=1" in said["running.yml"]
    assert (controller.directory / "snapshots/kvm01.json.gz").exists()
