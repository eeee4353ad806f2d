"""The disks that are found in a command line of QEMU."""

from __future__ import annotations

import json
import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from lockd import qemu
from lockd.qemu import HEAD, CommandError, QemuCommand, data_file
from tests.lockd.qemu_images import make_images

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FORMAT = {"driver": "qcow2", "node-name": "top", "read-only": False, "file": "storage"}
FILE = {"driver": "file", "filename": "/d", "node-name": "storage"}
MEMORY = '{"qom-type":"memory-backend-file","id":"m","mem-path":"/d","share":true}'


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
        ("-drive file.filename=/d", {"/d": "w"}),
        ("-drive file.filename=/d,backing.file.filename=/base,readonly=on", {"/d": "r"}),
        ("-drive file=/d,data-file.driver=file,data-file.filename=/data",
         {"/d": "w", "/data": "w"}),
        ("-object memory-backend-file,id=m,share=on,mem-path=/d,size=1M -device nvdimm,memdev=m",
         {"/d": "w"}),
        ("-device nvdimm,memdev=m -object memory-backend-file,id=m,mem-path=/d", {"/d": "r"}),
        (f"-object {MEMORY[:-1]},\"readonly\":true}} -device nvdimm,memdev=m", {"/d": "r"}),
        ("-object memory-backend-file,id=m,share=on,mem-path=/d -device nvdimm,unarmed=on,memdev=m",
         {"/d": "r"}),
        (f"-device virtio-pmem-pci,memdev=m -object {MEMORY}", {"/d": "w"}),
        (f'-object {MEMORY} -device {{"driver":"nvdimm","memdev":"m"}}', {"/d": "w"}),
        ("-object memory-backend-file,id=m,share=on,mem-path=/dev/shm/x -numa node,memdev=m", {}),
        ("-object iothread,id=m -device nvdimm,memdev=m", {}),
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
    deep = {"driver": "qcow2", "file": "base", "backing": {"driver": "raw", "file": "base"}}
    assert found(*nodes(FILE, base, {**FORMAT, "backing": deep})) == {"/d": "w"}
    assert found(*nodes(FILE, {**FORMAT, "backing": None})) == {"/d": "w"}
    data = {"driver": "file", "filename": "/data", "node-name": "data"}
    assert found(*nodes(FILE, data, {**FORMAT, "data-file": "data"})) == {"/d": "w", "/data": "w"}
    children = [{"driver": "file", "filename": f"/{each}"} for each in "abc"]
    quorum = {"driver": "quorum", "node-name": "q", "children": children}
    assert found(*nodes(quorum)) == {"/a": "w", "/b": "w", "/c": "w"}
    shared = ["-device", json.dumps({"driver": "scsi-hd", "drive": "top", "share-rw": True})]
    assert found(*nodes(FILE, {**FORMAT, "driver": "raw"}), *shared) == {"/d": "s"}
    assert found(*nodes(FILE, FORMAT), *shared) == {"/d": "w"}  # QEMU shares no qcow2


@pytest.mark.parametrize(
    ("command", "may_be"),
    [
        (["-hda", "/d"], True),
        (["-drive", "file=/d,format=raw"], False),
        (["-drive", "driver=raw,file.filename=/d"], False),
        (["-drive", "file=/d,format=qcow2"], True),
        (["-drive", "file=/d,data-file.filename=/data,data-file.driver=file"], False),
        (["-drive", 'file=json:{"driver":"qcow2",,"file":{"filename":"/d"}}'], True),
        (["-drive", "file=blkdebug::/d"], True),
        (["-drive", "driver=qcow2,file.driver=blkdebug,file.image.filename=/d"], True),
        (nodes(FILE, FORMAT), True),
        (nodes(FILE, {**FORMAT, "driver": "raw"}), False),
        (nodes(FILE, {**FORMAT, "data-file": "data"}), False),
        (nodes({"driver": "raw", "node-name": "r", "file": {**FILE, "node-name": "x"}}), False),
        (nodes(FILE), False),
    ],
)
def test_a_disk_that_may_have_its_data_elsewhere(command: list[str], may_be: bool) -> None:
    """If QEMU takes it for qcow2 and the command line does not say where they are: else who wrote
    the disk could name any file."""
    (disk,) = (each for each in QemuCommand(command).disks if each.path == "/d")
    assert disk.may_be_qcow2 == may_be


def test_a_disk_that_a_cd_and_another_device_have() -> None:
    """What one of them writes is written, whatever the other does."""
    words = ["-drive", "file=/d,format=raw,if=none,id=x", "-device", "ide-cd,drive=x"]
    assert found(*words) == {"/d": "r"}
    assert found(*words, "-device", "ide-hd,drive=x") == {"/d": "w"}


def test_a_node_that_a_device_has_and_another_node_stands_on() -> None:
    upper = {"driver": "qcow2", "node-name": "upper", "file": "other", "backing": "storage"}
    other = {**FILE, "filename": "/e", "node-name": "other"}
    assert found(*nodes(FILE, other, upper)) == {"/e": "w"}
    device = ["-device", "virtio-blk,drive=storage"]
    assert found(*nodes(FILE, other, upper), *device) == {"/d": "w", "/e": "w"}


def test_json_in_the_quotes_that_qemu_takes() -> None:
    text = """{'driver': 'file', "node-name": 'it\\'s', 'filename': '/"d"'}"""
    assert found("-blockdev", text) == {'/"d"': "w"}


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


def test_the_name_of_the_data_in_an_image_of_qemu(tmp_path: Path) -> None:
    """An image that QEMU has made, with data of its own and in another file."""
    make_images(tmp_path)
    assert data_file((tmp_path / "alone").read_bytes()[:HEAD]) == ""
    head = (tmp_path / "image").read_bytes()[:HEAD]
    assert data_file(head) == str(tmp_path / "data")
    assert data_file(bytes(HEAD)) == data_file(b"") == ""
    with pytest.raises(CommandError, match="does not name it"):
        data_file(head[:104])


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
