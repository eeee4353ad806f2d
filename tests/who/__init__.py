"""Who holds a lock."""

from __future__ import annotations

import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def refused_by_qemu(image: Path) -> Iterator[str]:
    """What a QEMU says that finds an image open, while another QEMU has it open."""
    image.write_bytes(bytes(1 << 20))
    qemu = [
        *("qemu-system-x86_64", "-S", "-nodefaults", "-display", "none", "-qmp", "stdio"),
        *("-drive", f"file={image},format=raw,if=virtio"),
    ]
    with subprocess.Popen(qemu, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        try:
            assert holder.stdout is not None
            assert b"QMP" in holder.stdout.readline()
            second = subprocess.run(
                qemu, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
            )
            assert second.returncode
            yield second.stderr
        finally:
            holder.kill()
