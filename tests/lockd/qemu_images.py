"""Images that QEMU makes."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


#: How large each image is, in bytes.
_SIZE = 1 << 20


def make_images(directory: Path) -> None:
    """qcow2 images: ``alone``, ``image``, whose data are in ``data``, and ``top``, which stands on
    ``base``, a file without a format."""
    backing = {"backing-file": str(directory / "base"), "backing-fmt": "raw"}
    jobs: list[dict[str, object]] = [
        {"driver": "qcow2", "file": "image", "data-file": "data"},
        {"driver": "qcow2", "file": "alone"},
        {"driver": "qcow2", "file": "top", **backing},
    ]
    _make(directory, ("data", "image", "alone", "top"), jobs)


def make_luks(directory: Path) -> None:
    """An image ``luks``, which is encrypted; the secret is ``data``. It takes a while."""
    _make(directory, ("luks",), [{"driver": "luks", "key-secret": "key", "iter-time": 10}])


def _make(directory: Path, names: Sequence[str], jobs: Sequence[Mapping[str, object]]) -> None:
    for name in names:
        (directory / name).touch()
    nodes = [
        {"driver": "file", "node-name": name, "filename": str(directory / name)} for name in names
    ]
    wanted = [{"file": names[0], "size": _SIZE, **job} for job in jobs]
    commands: list[dict[str, object]] = [{"execute": "qmp_capabilities"}]
    commands += [{"execute": "blockdev-add", "arguments": node} for node in nodes]
    commands += [
        {"execute": "blockdev-create", "arguments": {"job-id": f"job{index}", "options": options}}
        for index, options in enumerate(wanted)
    ]
    command = ["qemu-system-x86_64", "-nodefaults", "-display", "none", "-machine", "none"]
    command += ["-object", "secret,id=key,data=secret"]
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
