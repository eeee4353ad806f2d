"""What the collector tells of DRBD, bcache and device-mapper is what the kernel has."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.real.shared.beside import UNPACKED
from tests.real.shared.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

#: What makes such devices.
PACKAGES = ("drbd-utils", "bcache-tools")


def below(disk: dict[str, Any]) -> list[str]:
    """The devices that one is on."""
    return [each["path"] for each in disk["chain"] if each["type"] == "block"]


@pytest.mark.usefixtures("takes_a_minute")
def test_the_collector_tells_what_they_are(tmp_path: Path) -> None:
    """And what they are on."""
    packages, programs = tmp_path / "packages", tmp_path / "programs"
    packages.mkdir()
    # The user of apt may not write here, which it says.
    subprocess.run(["apt-get", "download", "-qq", *PACKAGES], cwd=packages, check=True)
    for package in packages.glob("*.deb"):
        subprocess.run(["dpkg-deb", "--extract", package, programs], check=True)
    boot = tmp_path / "boot"
    boot.mkdir()
    command = (sys.executable, "-m", "tests.real.shared.upon", programs)
    disks = json.loads(Machine(UNPACKED).run(boot, *command, timeout=1800))
    drbd = disks["drbd"]
    assert (drbd["identity"], below(drbd)) == ("drbd:r0/3", ["/dev/loop0"])
    assert drbd["drbd"]["links"] == ["10.7.7.1:7788 10.7.7.2:7788"]
    (generation,) = drbd["drbd"]["generations"]
    assert re.fullmatch("[0-9a-f]{16}", generation)
    bcache = disks["bcache"]
    assert re.fullmatch("bcache:[0-9a-f-]{36}", bcache["identity"])
    assert sorted(below(bcache)) == ["/dev/loop1", "/dev/loop2"]  # the device, and its cache
    (loop,) = [each["device"] for each in disks["linear"]["chain"] if "loop" in each["path"]]
    assert {name: disks[name]["table"] for name in ("linear", "striped", "crypt", "upper")} == {
        "linear": [f"0 2048 linear {loop} 0"],
        "striped": [f"0 4096 striped 2 8 {loop} 8192 {loop} 16384"],
        "crypt": [f"0 2048 crypt {loop} 4096"],
        "upper": [f"0 1024 linear {disks['linear']['device']} 512"],
    }
    upper = disks["upper"]["chain"]
    assert [each.get("above") for each in upper[:2]] == [
        disks["upper"]["device"],
        disks["linear"]["device"],
    ]
    assert upper[0]["table"] == disks["linear"]["table"]
