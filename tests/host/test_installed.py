"""The release of libvirt that a file tree has."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lockcfg.host.installed import NEWEST, libvirt_release

if TYPE_CHECKING:
    from pathlib import Path


def test_it_is_what_libvirt_says_of_itself() -> None:
    """Of this machine's, by its own client."""
    said = subprocess.run(["virsh", "--version"], capture_output=True, text=True, check=True).stdout
    assert libvirt_release() == tuple(map(int, said.split(".")))


@pytest.mark.parametrize("directory", ["lib64", "lib/aarch64-linux-gnu", "lib", "local/lib"])
def test_wherever_the_library_is(directory: str, tmp_path: Path) -> None:
    """Distributions differ in that."""
    place = tmp_path / "usr" / directory
    place.mkdir(parents=True)
    (place / "libvirt.so.0").symlink_to("libvirt.so.0.10010.2")
    assert libvirt_release(str(tmp_path)) == (10, 10, 2)


@pytest.mark.parametrize("target", [None, "libvirt.so", "libvirt.so.0.x", "libvirt.so.0.1.2.3"])
def test_without_one_it_is_the_newest(target: str | None, tmp_path: Path) -> None:
    """It refuses most."""
    if target is not None:
        (tmp_path / "usr/lib64").mkdir(parents=True)
        (tmp_path / "usr/lib64/libvirt.so.0").symlink_to(target)
    assert libvirt_release(str(tmp_path)) == NEWEST
