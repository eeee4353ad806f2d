"""New file systems give their first directories the same numbers: none of these is evidence."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lockcfg.fleet.model.place import is_telling

if TYPE_CHECKING:
    from pathlib import Path

#: What a server of locks and images is likely to be given first.
NAMES = ("vms", "locks", "locks/files", "srv", "srv/vms")


def numbers_of_new(kind: str, directory: Path) -> list[int]:
    """The inode numbers of the first directories of a new file system."""
    directory.mkdir()
    image, point = directory / "image", directory / "point"
    with image.open("wb") as stream:
        stream.truncate(8 << 30)
    point.mkdir()
    subprocess.run([f"mkfs.{kind}", "-q", image], check=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        for name in NAMES:
            (point / name).mkdir(parents=True)
        return [(point / name).stat().st_ino for name in ("", *NAMES)]
    finally:
        subprocess.run(["umount", point], check=True)


@pytest.mark.parametrize("kind", ["xfs", "ext4"])
def test_the_numbers_of_a_new_file_system_show_nothing(tmp_path: Path, kind: str) -> None:
    """Two of XFS have the same ones, and two of ext4 may have."""
    one, other = (numbers_of_new(kind, tmp_path / name) for name in ("one", "other"))
    assert [number for number in one + other if is_telling(number)] == []
    assert kind != "xfs" or one == other
