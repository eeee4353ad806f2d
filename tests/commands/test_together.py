"""Several writers at once: each change is there in the end, and none is lost."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from lockcfg import ChangedError, Host, Transaction
from tests.conftest import LOCKCFG

if TYPE_CHECKING:
    from pathlib import Path

#: How many writers there are, and how many changes each of them makes.
WRITERS, CHANGES = 8, 9


def test_eight_writers_of_one_file_lose_nothing(host_root: Path) -> None:
    """Each sets a setting of its own, again and again, and all of them succeed."""
    text = (host_root / "etc/libvirt/qemu.conf").read_text()
    keys = re.findall(r"^#(\w+) = [01]$", text, re.MULTILINE)[:WRITERS]
    assert len(keys) == WRITERS
    loop = 'key=$1 root=$2 set=$3 count=$4; n=0; while [ $n -lt "$count" ]; do n=$((n + 1));'
    loop += ' "$set" set "$key" $((n % 2)) --root "$root" || exit 1; done'
    writers = [
        subprocess.Popen(
            ["sh", "-c", loop, "sh", key, str(host_root), str(LOCKCFG), str(CHANGES)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for key in keys
    ]
    told = [writer.communicate() for writer in writers]
    assert [writer.returncode for writer in writers] == [0] * WRITERS, told
    for output, _ in told:
        assert output.count("changed ") == CHANGES
    after = (host_root / "etc/libvirt/qemu.conf").read_text()
    for key in keys:
        assert re.findall(rf"^{key} = (.)$", after, re.MULTILINE) == [str(CHANGES % 2)]
    assert len(after.splitlines()) == len(text.splitlines()) + WRITERS


def test_a_change_of_the_same_setting_is_not_written_over(host_root: Path) -> None:
    """Another process has decided otherwise; its other changes stay."""
    first, second = Transaction(Host(str(host_root))), Transaction(Host(str(host_root)))
    first.set("max_files", 1)
    second.set("max_files", 2)
    third = Transaction(Host(str(host_root)))
    third.set("max_processes", 3)
    first.commit()
    with pytest.raises(ChangedError, match="'max_files' was changed by another program"):
        second.commit()
    third.commit()
    text = (host_root / "etc/libvirt/qemu.conf").read_text()
    assert "\nmax_files = 1\n" in text
    assert "\nmax_processes = 3\n" in text
