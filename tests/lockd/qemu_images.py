"""Images that QEMU makes."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def make_images(directory: Path) -> None:
    """Two qcow2 images: ``alone``, and ``image``, whose data are in ``data``."""
    size = 1 << 20
    for name in ("data", "image", "alone"):
        (directory / name).touch()
    nodes = [
        {"driver": "file", "node-name": name, "filename": str(directory / name)}
        for name in ("data", "image", "alone")
    ]
    external = {"driver": "qcow2", "file": "image", "size": size, "data-file": "data"}
    jobs = [external, {"driver": "qcow2", "file": "alone", "size": size}]
    commands: list[dict[str, object]] = [{"execute": "qmp_capabilities"}]
    commands += [{"execute": "blockdev-add", "arguments": node} for node in nodes]
    commands += [
        {"execute": "blockdev-create", "arguments": {"job-id": f"job{index}", "options": options}}
        for index, options in enumerate(jobs)
    ]
    command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "none"]
    with subprocess.Popen(
        [*command, "-qmp", "stdio"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as qemu:
        assert qemu.stdin is not None
        assert qemu.stdout is not None
        for each in commands:
            qemu.stdin.write(json.dumps(each))
        qemu.stdin.flush()
        concluded = 0
        while concluded < len(jobs):
            said = json.loads(qemu.stdout.readline())
            assert "error" not in said
            concluded += said.get("data", {}).get("status") == "concluded"
        qemu.stdin.write('{"execute": "quit"}')
        qemu.stdin.close()
