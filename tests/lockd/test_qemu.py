"""The disks that are found in a command line of QEMU."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from lockd import qemu
from lockd.qemu import CommandError, QemuCommand

if TYPE_CHECKING:
    from collections.abc import Mapping

FORMAT = {"driver": "qcow2", "node-name": "top", "read-only": False, "file": "storage"}
FILE = {"driver": "file", "filename": "/d", "node-name": "storage"}


def found(*arguments: str) -> dict[str, str]:
    """The disks by their paths, and how each is used."""
    return {
        each.path: "r" if each.readonly else "s" if each.shareable else "w"
        for each in QemuCommand(arguments).disks
    }


@pytest.mark.parametrize(
    ("command", "hiding"),
    [
        ("-set drive.x.file=/other -hda /d", ["-set drive.x.file=/other"]),
        ("-set device.x.share-rw=on", ["-set device.x.share-rw=on"]),
        ("-set device.net.mac=52:54:00:00:00:01 -set machine..usb=on", []),
        ("-readconfig /file", ["-readconfig"]),
    ],
)
def test_what_hides_disks(command: str, hiding: list[str]) -> None:
    assert QemuCommand(command.split(" ")).hiding == hiding


def nodes(*nodes: Mapping[str, object]) -> list[str]:
    """Block nodes as options."""
    return [word for node in nodes for word in ("-blockdev", json.dumps(node))]


@pytest.mark.parametrize(
    ("command", "disks"),
    [
        ("-m 1G -hda /d -hdb /e", {"/d": "w", "/e": "w"}),
        ("--hda /d", {"/d": "w"}),
        ("-cdrom /iso -hda /d", {"/d": "w"}),
        ("/d", {"/d": "w"}),
        ("-nographic /d", {"/d": "w"}),
        ("-S -unknown-of-another-release -hda /d", {"/d": "w"}),
        ("-hda /d -snapshot", {"/d": "r"}),
        ("-drive file=/d,if=virtio", {"/d": "w"}),
        ("-drive /d", {"/d": "w"}),
        ("-drive file=/a,,b,format=raw", {"/a,b": "w"}),
        ("-drive file=/d,readonly=on", {"/d": "r"}),
        ("-drive file=/d,media=cdrom", {"/d": "r"}),
        ("-drive file=/d,snapshot=on", {"/d": "r"}),
        ("-drive file=file:/d", {"/d": "w"}),
        ("-drive file=nbd://host/x", {}),
        ("-drive file=rbd:pool/image", {}),
        ("-drive file.filename=/d,file.driver=file,driver=qcow2", {"/d": "w"}),
        ("-drive driver=qcow2,file.driver=host_device,file.filename=/dev/x", {"/dev/x": "w"}),
        ("-drive file=/d,if=none,id=x -device virtio-blk,drive=x,share-rw=on", {"/d": "s"}),
        ('-drive file=json:{"file":{"filename":"/d"}}', {"/d": "w"}),
        ("-hda /d -drive file=/d,readonly=on", {"/d": "w"}),
        ("-blockdev driver=file,node-name=x,filename=/d", {"/d": "w"}),
        ("-blockdev driver=qcow2,node-name=x,file.driver=file,file.filename=/d", {"/d": "w"}),
        ("-blockdev driver=raw,node-name=x,read-only=on,file.driver=file,file.filename=/d",
         {"/d": "r"}),
        ("-pflash /vars -fda /f", {"/vars": "w", "/f": "w"}),
        ("-kernel /vmlinuz -append -hda", {}),
        ("-hda blkdebug:/rules:/d -hdb blkdebug::/e", {"/d": "w", "/e": "w"}),
        ("-drive file=blkverify:/raw:/d", {"/raw": "w", "/d": "w"}),
        ("-blockdev driver=io_uring,node-name=x,filename=/dev/x", {"/dev/x": "w"}),
        ("-blockdev driver=nvme-io_uring,node-name=x,path=/dev/ng0n1", {"/dev/ng0n1": "w"}),
    ],
)  # fmt: skip
def test_what_is_found(command: str, disks: dict[str, str]) -> None:
    assert found(*command.split(" ")) == disks


def test_nodes_that_stand_on_each_other() -> None:
    assert found(*nodes(FILE, FORMAT)) == {"/d": "w"}
    assert found(*nodes(FILE, {**FORMAT, "read-only": True})) == {"/d": "r"}
    base = {"driver": "file", "filename": "/base", "node-name": "base"}
    assert found(*nodes(base, FILE, {**FORMAT, "backing": "base"})) == {"/d": "w"}
    inline = {**FORMAT, "backing": {"driver": "file", "filename": "/base"}}
    assert found(*nodes(FILE, inline)) == {"/d": "w"}
    children = [{"driver": "file", "filename": f"/{each}"} for each in "abc"]
    quorum = {"driver": "quorum", "node-name": "q", "children": children}
    assert found(*nodes(quorum)) == {"/a": "w", "/b": "w", "/c": "w"}
    shared = ["-device", json.dumps({"driver": "scsi-hd", "drive": "top", "share-rw": True})]
    assert found(*nodes(FILE, FORMAT), *shared) == {"/d": "s"}


def test_a_guest_has_a_name() -> None:
    command = QemuCommand(["-name", "guest=web,debug-threads=on", "-uuid", "u", "-hda", "/d"])
    assert (command.name, command.uuid) == ("web", "u")
    assert QemuCommand(["-name", "web"]).name == "web"


@pytest.mark.parametrize(
    "command",
    [
        ["-drive"],
        ["-blockdev", "{"],
        ["-blockdev", "[]"],
        ["-blockdev", "driver=file,filename=/d"],
        ["-blockdev", "{" * 100_000],
        nodes({**FORMAT, "file": "top"}, {**FORMAT, "node-name": "other", "file": "top"}),
    ],
)
def test_what_cannot_be_understood(command: list[str]) -> None:
    with pytest.raises(CommandError):
        QemuCommand(command)


def test_the_options_that_stand_alone() -> None:
    """As the QEMU that is installed tells of them."""
    text = subprocess.run(
        ["qemu-system-x86_64", "--help"], capture_output=True, text=True, check=True
    ).stdout
    alone = {
        option
        for line in text.splitlines()
        if (match := re.match(r"(-{1,2}[\w-]+)( or -[\w-]+)?(\s{2,}|\t|$)", line))
        for option in re.findall(r"-{1,2}([\w-]+)", match[0])
    }
    # Their words stand in the next line, or behind more blanks.
    followed = {"dtb", "chardev", "fw_cfg", "echr", "M"}
    assert alone - followed <= qemu._ALONE
