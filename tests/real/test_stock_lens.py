"""LK110 says what the lens that comes with libvirt really cannot read."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from lockcfg.conf.files import KINDS
from lockcfg.conf.load import parse
from lockcfg.rules import rule_module
from lockcfg.rules.rule import FileSubject, Options

if TYPE_CHECKING:
    from pathlib import Path

RULE = rule_module("lk110_stock_lens")


def stock_lens_reads(root: Path, text: str) -> bool:
    """Whether augtool, with nothing but libvirt's own lens, can read a qemu.conf."""
    path = root / "etc/libvirt/qemu.conf"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    result = subprocess.run(
        ["augtool", "-r", root, "-A", "-t", "Libvirtd_qemu.lns incl /etc/libvirt/qemu.conf"],
        input="match /augeas//error\nmatch /files/etc/libvirt/qemu.conf/*\n",
        capture_output=True,
        text=True,
        check=True,
    )
    assert result.stderr == ""
    return "/error" not in result.stdout and "qemu.conf/" in result.stdout


@pytest.mark.parametrize(
    "line",
    [
        'lock_manager = "lockd"',
        'lock_manager="lockd"',
        '  lock_manager = "lockd"  ',
        "lock_manager = 'lockd'",
        'lock_manager = """lockd"""',
        'lock_manager = "lockd" # why',
        'lock_manager = "lockd";',
        'lock_manager = "lockd" ; max_files = 5',
        "max_files = 5",
        "max_files = +5",
        "keepalive_interval = -1",
        'max_core = "unlimited"',
        "mac_filter = 1",
        'security_driver = "none"',
        'security_driver = [ "none" ]',
        'security_driver = [ "selinux", "dac" ]',
        'hugetlbfs_mount = [ "/a", "/b" ]',
        'namespaces = [ "mount" ]',
        'namespaces = [ "mount", ]',
        "namespaces = [ 'mount' ]",
        'cgroup_controllers = [ "cpu",\n  "memory" ]',
        'cgroup_controllers = [ "cpu",\n  "memory",\n]',
        "cgroup_controllers = [ ]",
    ],
)
def test_the_rule_and_the_lens_are_of_one_mind(line: str, tmp_path: Path) -> None:
    """And a fix makes the lens read the file."""
    text = f"# a comment\n{line}\n"
    document = parse(text.encode(), KINDS["qemu.conf"], "qemu.conf")
    found = list(RULE.check(FileSubject(document), Options()))
    assert bool(found) != stock_lens_reads(tmp_path, text)
    for each in found:
        if each.fix is None:
            continue
        data = text.encode()
        for edit in reversed(each.fix.replacements):
            data = data[: edit.span.start] + edit.text.encode() + data[edit.span.end :]
        assert stock_lens_reads(tmp_path, data.decode())
