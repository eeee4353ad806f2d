"""The collector, on this very host and on hosts in namespaces."""

from __future__ import annotations

import ast
import fcntl
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

import pytest

from lockcfg.fleet.snapshots import collector
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.store import Store
from lockcfg.host.installed import libvirt_release
from lockcfg.yamlschema import load_schema, violations
from tests.real.lock_hosts import LockHost, disk_xml, guest_xml

if TYPE_CHECKING:
    from collections.abc import Iterator

PROGRAM = Path(str(collector.__file__))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LockHost]:
    """A host with a lock daemon, directories, and libvirt's files in a directory of its own."""
    top = tmp_path_factory.mktemp("host")
    for name in ("locks", "images"):
        (top / name).mkdir()
    (top / "images/disk").write_bytes(b"\0")
    (top / "images/link").symlink_to("disk")
    host = LockHost(top, {"/mnt/locks": top / "locks", "/mnt/images": top / "images"})
    try:
        (host.etc / "qemu.conf").write_text('lock_manager = "lockd"\nvnc_password = "hidden"\n')
        (host.etc / "qemu-lockd.conf").write_text(
            'file_lockspace_dir = "/mnt/locks"\nlvm_lockspace_dir = "/mnt/absent"\n'
        )
        yield host
    finally:
        host.stop()


@pytest.fixture(scope="module")
def snapshot(host: LockHost) -> dict[str, Any]:
    """A snapshot of it, with a guest."""
    servers = "<host name='Mon1' port='6789'/><host transport='unix' socket='/run/x'/>"
    disks = [
        disk_xml("/mnt/images/disk", shareable=True),
        disk_xml("/mnt/images/link"),
        disk_xml("/mnt/images/gone", readonly=True),
        f"<disk type='network'><source protocol='rbd' name='pool/image'>{servers}</source></disk>",
        "<disk type='file' device='cdrom'/>",
    ]
    lease = "<lease><lockspace>space</lockspace><key>key</key><target path='/mnt/locks'/></lease>"
    (host.etc / "qemu/guest.xml").write_text(guest_xml("guest", disks, lease=lease))
    return host.collect("kvm01")


def guests_of(snapshot: dict[str, Any]) -> list[dict[str, Any]]:
    """The guests of libvirt in a snapshot; other QEMU processes of this machine are in it too."""
    return [guest for guest in snapshot["guests"] if guest.get("instance") != "process"]


def directory_of(snapshot: dict[str, Any], path: str) -> dict[str, Any]:
    """What a snapshot says of a directory."""
    found: dict[str, Any] = next(d for d in snapshot["directories"] if d["path"] == path)
    return found


def test_a_snapshot_is_what_the_schema_says(snapshot: dict[str, Any]) -> None:
    """And the reader takes it."""
    assert violations(snapshot, load_schema("snapshot")) == []
    Ingester(Store.create()).snapshot("kvm01.json", collector.render(snapshot).encode())


def test_each_member_is_on_a_line_of_its_own(snapshot: dict[str, Any]) -> None:
    """So that what hosts have in common is the same bytes."""
    lines = collector.render(snapshot).splitlines()
    assert (lines[0], lines[-1]) == ("{", "}")
    assert [json.loads(f"{{{line.rstrip(',')}}}").popitem()[0] for line in lines[1:-1]] == list(
        snapshot
    )


def test_the_files_are_there_without_passwords(snapshot: dict[str, Any], host: LockHost) -> None:
    """Their text, and a digest that tells nothing of what was removed."""
    file = snapshot["qemu.conf"]
    assert file["text"] == 'lock_manager = "lockd"\nvnc_password = "removed"\n'
    assert file["removed"] == 1
    assert (file["owner"], file["mode"]) == ("root", "0644")
    assert "hidden" not in json.dumps(snapshot)
    assert snapshot["changed"]["qemu.conf"] == int((host.etc / "qemu.conf").stat().st_mtime)
    assert snapshot["virtlockd.conf"] == {"path": str(host.etc / "virtlockd.conf")}


def test_the_lockspaces_are_looked_at(snapshot: dict[str, Any], host: LockHost) -> None:
    """With the mount, and what a lock did; and nothing is left there."""
    locks = directory_of(snapshot, "/mnt/locks")
    assert locks["holds"] == ["lockspace"]
    assert locks["probe"] == {"outcome": "excludes"}
    assert locks["mount"]["point"] == "/mnt/locks"
    assert locks["mount"]["root"].endswith("/locks")
    assert directory_of(snapshot, "/mnt/absent")["missing"] is True
    inode = int(host.inside("stat", "--format=%i", "/mnt/locks"))
    assert snapshot["identities"]["/mnt/locks"][1] == inode
    assert host.inside("ls", "--almost-all", "/mnt/locks") == ""


def test_the_guests_are_there(snapshot: dict[str, Any]) -> None:
    """With their disks, as the guest names them and as they are."""
    (guest,) = guests_of(snapshot)
    shared, linked, gone, network, empty = guest["disks"]
    assert shared["shareable"] is True
    assert linked["resolved"] == "/mnt/images/disk"
    assert linked["inode"] == shared["inode"]
    assert gone["readonly"] is True
    assert gone["error"] == "No such file or directory"
    assert network == {
        "type": "network",
        "path": "rbd:pool/image",
        "servers": ["mon1:6789", "unix:/run/x"],
    }
    assert empty == {"type": "file", "readonly": True}
    assert guest["leases"] == [{"lockspace": "space", "key": "key", "target": "/mnt/locks"}]
    assert "running" not in guest


def test_the_daemons_that_run_are_there(snapshot: dict[str, Any], host: LockHost) -> None:
    """With their start, from the kernel."""
    pid = host.pid
    (daemon,) = [each for each in snapshot["daemons"] if each["pid"] == pid]
    assert daemon["name"] == "virtlockd"
    age = float(host.inside("ps", "-o", "etimes=", "-p", str(pid)))
    assert abs(snapshot["host"]["taken"] - daemon["started"] - age) < 30


def test_a_running_guest_is_told_by_its_status(host: LockHost) -> None:
    """libvirt writes one for each guest, with the process id."""
    status = host.run / "libvirt/qemu"
    status.mkdir()
    text = guest_xml("guest", [disk_xml("/mnt/images/disk")])
    (status / "guest.xml").write_text(
        f"<domstatus state='running' pid='{os.getpid()}'>{text}</domstatus>"
    )
    try:
        (guest,) = guests_of(host.collect("kvm01"))
        assert guest["running"] is True
        assert guest["started"] > 1_000_000_000
        assert len(guest["disks"]) == 1, "what runs counts"
    finally:
        (status / "guest.xml").unlink()


def test_a_process_starts_in_no_second_before_its_own() -> None:
    """Else a file that was written just before would be newer than the process that has read it.
    The times are those of ten parts of a second."""
    for part in range(10):
        time.sleep((part / 10 - time.time()) % 1)
        before = int(time.time())
        with subprocess.Popen(["cat"], stdin=subprocess.PIPE) as process:
            started = collector._started(process.pid)
        assert started is not None
        assert before <= started <= int(time.time()) + 1


def test_without_a_probe_nothing_is_touched(host: LockHost) -> None:
    """Not for a moment: the directory has its old time of change."""
    before = host.inside("stat", "--format=%z", "/mnt/locks")
    snapshot = host.collect("kvm01", "--no-probe")
    assert "probe" not in directory_of(snapshot, "/mnt/locks")
    assert snapshot["collector"]["probe"] is False
    assert host.inside("stat", "--format=%z", "/mnt/locks") == before


def test_a_read_only_lockspace_is_told(tmp_path: Path) -> None:
    """A lock there fails, and the step says where."""
    result = collector.probe("/proc/sys")
    assert result["outcome"] == "fails"
    assert result["step"] == "create"
    assert collector.probe(str(tmp_path)) == {"outcome": "excludes"}
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_keeps_nobody_out_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The check is made by another process: with locks off it is granted the lock as well."""
    monkeypatch.setattr(fcntl, "lockf", lambda *_: None)
    assert collector.probe(str(tmp_path)) == {"outcome": "grants"}
    assert list(tmp_path.iterdir()) == []


def test_what_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A file system whose server is gone answers nothing, and the rest goes on."""
    import time

    monkeypatch.setattr(collector, "PATIENCE", 0.2)
    (tmp_path / "qemu-lockd.conf").write_text('file_lockspace_dir = "/hangs"\n')
    monkeypatch.setattr(collector, "probe", lambda _: time.sleep(600))
    (tmp_path / "qemu-lockd.conf").write_text(f'file_lockspace_dir = "{tmp_path}"\n')
    start = time.monotonic()
    taken = collector.Collector(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    assert time.monotonic() - start < 10
    assert directory_of(taken, str(tmp_path))["error"] == "no answer"


def define(etc: Path, *disks: str) -> None:
    """A guest with these disks, below the directory of libvirt's files."""
    (etc / "qemu").mkdir()
    (etc / "qemu/guest.xml").write_text(guest_xml("guest", list(disks)))


def test_a_program_that_hangs_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And what holds its output open too; the lockspaces have been looked at by then, and the
    program is not asked again."""
    import time

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/lvs").write_text("#!/bin/sh\nsleep 30 &\nwait\n")
    (tmp_path / "bin/lvs").chmod(0o755)
    monkeypatch.setattr(collector, "PROGRAMS", (f"{tmp_path}/bin",))
    monkeypatch.setattr(collector, "PATIENCE", 0.5)
    (tmp_path / "qemu-lockd.conf").write_text(f'file_lockspace_dir = "{tmp_path}"\n')
    define(
        tmp_path,
        *(f"<disk type='block'><source dev='/dev/none{n}'/></disk>" for n in range(40)),
    )
    start = time.monotonic()
    taken = collector.Collector(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    assert time.monotonic() - start < 8
    assert directory_of(taken, str(tmp_path))["probe"] == {"outcome": "excludes"}
    assert len([each for each in taken["collector"]["incomplete"] if "/dev/none" in each]) == 40


@pytest.mark.parametrize("behaviour", ["exec yes", "env; exec sleep 9"])
def test_a_program_has_no_environment_and_a_limit(
    behaviour: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """One that prints without end is stopped, and what it is told is nothing of ours."""
    monkeypatch.setenv("PLANTED", "1")
    (tmp_path / "lvs").write_text(
        f'#!/bin/sh\necho "$PLANTED$HOME" >{tmp_path}/told\n{behaviour}\n'
    )
    (tmp_path / "lvs").chmod(0o755)
    monkeypatch.setattr(collector, "PROGRAMS", (str(tmp_path),))
    monkeypatch.setattr(collector, "PATIENCE", 1.0)
    define(tmp_path, "<disk type='block'><source dev='/dev/none'/></disk>")
    taken = collector.Collector(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    assert "lvm_uuid" not in guests_of(taken)[0]["disks"][0]
    assert [each for each in taken["collector"]["incomplete"] if "/dev/none" in each]
    assert (tmp_path / "told").read_text() == "\n"


@pytest.mark.parametrize("planted", ["in PATH", "in the current directory", "in what others write"])
def test_a_planted_program_is_not_run(
    planted: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Programs come from the system's directories, and root runs what root alone may change."""
    places = tmp_path / "bin"
    places.mkdir()
    for name in ("lvs", "scsi_id", "libvirtd", "virtqemud", "virtlockd", "qemu-system-x86_64"):
        (places / name).write_text(f"#!/bin/sh\n: >{tmp_path}/run\necho 1.2.3\n")
        (places / name).chmod(0o755)
    define(tmp_path, "<disk type='block'><source dev='/dev/none'/></disk>")
    if planted == "in what others write":
        places.chmod(0o777)
        monkeypatch.setattr(collector, "PROGRAMS", (str(places),))
        collector.Collector(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    else:
        subprocess.run(
            ["/usr/bin/python3", "-I", str(PROGRAM), "--etc", str(tmp_path)],
            env={"PATH": str(places) if planted == "in PATH" else f".::{os.environ['PATH']}"},
            cwd=places,
            check=True,
            capture_output=True,
        )
    assert not (tmp_path / "run").exists()


def test_a_pipe_among_the_guests_is_not_waited_for(tmp_path: Path) -> None:
    """It is told, and the rest is collected."""
    define(tmp_path, "<disk type='file'><source file='/srv/a'/></disk>")
    os.mkfifo(tmp_path / "qemu/pipe.xml")
    (tmp_path / "qemu/zero.xml").symlink_to("/dev/zero")
    taken = collector.Collector(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    assert len(guests_of(taken)) == 1
    assert len([each for each in taken["collector"]["incomplete"] if "/qemu/" in each]) == 2


def test_a_guest_that_ends_meanwhile(tmp_path: Path) -> None:
    """Its description is gone before the collector reads it: all is known all the same. A name in
    the directory that leads nowhere is unknown."""
    define(tmp_path, "<disk type='file'><source file='/srv/a'/></disk>")

    class Ending(collector.Collector):
        """A guest more is in each list of descriptions, and has ended."""

        def _descriptions(self, directory: str) -> list[str]:
            return [*super()._descriptions(directory), f"{directory}/ended.xml"]

    taken = Ending(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    assert len(guests_of(taken)) == 1
    assert not [each for each in taken["collector"]["incomplete"] if "/qemu/" in each]
    (tmp_path / "qemu/ended.xml").symlink_to("nowhere")
    taken = collector.Collector(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    assert [each for each in taken["collector"]["incomplete"] if "/qemu/ended.xml" in each]


@pytest.mark.parametrize("end", ["gz", "xz", "bz2"])
def test_a_snapshot_is_compressed_as_its_name_says(lockcfg: Any, tmp_path: Path, end: str) -> None:
    """And the audit reads it."""
    path = tmp_path / f"kvm01.json.{end}"
    assert lockcfg("collect", "--name", "kvm01", "--output", path).returncode == 0
    assert path.read_bytes()[:2] in (b"\x1f\x8b", b"\xfd7", b"BZ")
    report = json.loads(lockcfg("audit", "--json", path).stdout)
    assert report["summary"]["hosts"] == 1
    assert report["unreadable"] == []
    assert lockcfg("collect", "--output", tmp_path / "kvm01.json.zst").returncode == 3


def test_a_lockspace_is_found_wherever_its_statement_is(tmp_path: Path) -> None:
    """Statements are separated by line ends or semicolons."""
    (tmp_path / "a").mkdir()
    (tmp_path / "qemu-lockd.conf").write_text(
        f'auto_disk_leases=1; file_lockspace_dir="{tmp_path}/a"\n#;lvm_lockspace_dir="/no"\n'
    )
    taken = collector.Collector(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    assert directory_of(taken, f"{tmp_path}/a")["holds"] == ["lockspace"]


def test_a_volume_of_a_pool_is_the_file_that_libvirt_finds(tmp_path: Path) -> None:
    """Where the pool says where it is; else it stays a volume, of which nothing is known."""
    (tmp_path / "storage").mkdir()
    pool = "<pool type='{}'><name>p</name><target><path>{}</path></target></pool>"
    (tmp_path / "storage/images.xml").write_text(pool.format("netfs", tmp_path))
    (tmp_path / "storage/vg0.xml").write_text(pool.format("logical", "/dev/vg0"))
    (tmp_path / "storage/san.xml").write_text(pool.format("iscsi", "/dev/disk/by-path"))
    (tmp_path / "storage/broken.xml").write_text("<pool")
    (tmp_path / "disk.qcow2").write_text("")
    pools = [("images", "disk.qcow2"), ("vg0", "lv1"), ("san", "unit:0:0:1"), ("broken", "x")]
    define(
        tmp_path,
        *(
            f"<disk type='volume'><source pool='{pool}' volume='{volume}'/></disk>"
            for pool, volume in [*pools, ("gone", "x"), ("../storage/images", "x")]
        ),
    )
    taken = collector.Collector(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    image, volume, *others = guests_of(taken)[0]["disks"]
    assert (image["type"], image["path"]) == ("file", f"{tmp_path}/disk.qcow2")
    assert image["inode"] == (tmp_path / "disk.qcow2").stat().st_ino
    assert (volume["type"], volume["path"]) == ("block", "/dev/vg0/lv1")
    assert [disk["type"] for disk in others] == ["volume"] * 4
    assert violations(taken, load_schema("snapshot")) == []


def test_a_device_is_called_as_the_kernel_calls_it_wherever_the_link_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether or not the path begins with /dev."""
    device = next(path for path in Path("/dev").iterdir() if path.is_block_device())
    (tmp_path / "link").symlink_to(device)
    names = {f"/sys/class/block/{device.name}/wwid": "naa.5000"}
    monkeypatch.setattr(collector, "_line", lambda path: names.get(path, ""))
    define(tmp_path, f"<disk type='block'><source dev='{tmp_path}/link'/></disk>")
    taken = collector.Collector(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    (disk,) = guests_of(taken)[0]["disks"]
    assert disk["resolved"] == str(device)
    assert disk["wwid"] == "naa.5000"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('vnc_password = "x"\na = 1', 'vnc_password = "removed"\na = 1'),
        ('spice_password="""a\nb"""\nz = 1', 'spice_password="removed"\n\nz = 1'),
        ('spice_password="""a\nb"""; y = 2\nz = 1', 'spice_password="removed"; y = 2\n\nz = 1'),
        ("a=1; vnc_password='k'", 'a=1; vnc_password="removed"'),
        ('#vnc_password = "q"\n', "#\n"),
        ('vnc_pasword [ "a",\n "b" ]\nl=1', 'vnc_pasword "removed"\n\nl=1'),
        ("a = 1 # spice_password: x", 'a = 1 # spice_password"removed"'),
        ('acl = ["/dev/pass", "a"]\n', 'acl = ["/dev/pass", "a"]\n'),
        ('x = "#1"  # plain\n', 'x = "#1"  # plain\n'),
    ],
)
def test_secrets_are_removed_and_nothing_else(tmp_path: Path, text: str, told: str) -> None:
    """Whatever is around them; what is left still parses."""
    (tmp_path / "qemu.conf").write_text(text)
    taken = collector.Collector(str(tmp_path), str(tmp_path)).snapshot("kvm01")
    assert taken["qemu.conf"]["text"] == told


def test_an_unprivileged_user_can_run_it() -> None:
    """It says what it could not see."""
    # pytest's own directories are closed to other users.
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        top.chmod(0o755)
        (top / "qemu.conf").write_text("")
        (top / "qemu.conf").chmod(0)
        program = top / "collect.py"
        program.write_bytes(PROGRAM.read_bytes())
        result = subprocess.run(
            [
                *("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"),
                *("/usr/bin/python3", "-I", str(program), "--etc", folder),
            ],
            check=True,
            capture_output=True,
            text=True,
        )
    taken = json.loads(result.stdout)
    assert taken["collector"]["privileged"] is False
    assert taken["qemu.conf"]["error"] == "Permission denied"


def test_it_stands_alone() -> None:
    """One file, the standard library, the syntax of Python 3.6."""
    tree = ast.parse(PROGRAM.read_text(), feature_version=(3, 6))
    imported: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert imported <= sys.stdlib_module_names
    text = PROGRAM.read_text()
    for later in ("capture_output", "strict=", "removeprefix", "removesuffix", "from __future__"):
        assert later not in text, f"{later} came after Python 3.6"


def test_the_command_prints_it(lockcfg: Any) -> None:
    """For hosts that have no lockcfg."""
    result = lockcfg("collect", "--print-collector")
    assert result.stdout == PROGRAM.read_text()


def test_the_command_writes_a_snapshot(lockcfg: Any, tmp_path: Path) -> None:
    """Of this very host, in seconds; whole or not at all."""
    result = lockcfg("collect", "--output", tmp_path / "here.json", "--name", "here")
    assert result.returncode == 0, result.stderr
    taken = json.loads((tmp_path / "here.json").read_text())
    assert violations(taken, load_schema("snapshot")) == []
    assert taken["host"]["name"] == "here"
    assert taken["versions"]["libvirt"] == ".".join(map(str, libvirt_release()))
    assert lockcfg("collect", "--output", tmp_path / "no/where.json").returncode == 3


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('# words "of\n  # more\nkey = 1 # kept\n', "#\n  #\nkey = 1 # kept\n"),
        ("key = [\n# no comment\n1 ]\n", "key = [\n#\n1 ]\n"),
        ("a = 'x\n# in it'\n", "a = 'x\n# in it'\n"),
        ("a = [\"'\", '\"\n# in it' ]\n", "a = [\"'\", '\"\n# in it' ]\n"),
        ('a = """\n# in it\n"""\n', 'a = """\n# in it\n"""\n'),
        ("# a\rkey = 1\n", "#\rkey = 1\n"),
    ],
)
def test_comments_do_not_travel(text: str, told: str, tmp_path: Path) -> None:
    """But each line stays where it is, and what only looks like a comment stays what it is."""
    (tmp_path / "qemu.conf").write_bytes(text.encode())
    found, _ = collector.Collector(etc=str(tmp_path), run=str(tmp_path)).file("qemu.conf")
    assert found["text"] == told


def test_a_packaged_host_has_a_small_snapshot(tmp_path: Path) -> None:
    """Of the files that libvirt's packages have, with all their comments."""
    samples = Path("/etc/libvirt")
    size = 0
    for name in collector.FILES:
        if (samples / name).exists():
            (tmp_path / name).write_bytes((samples / name).read_bytes())
            size += (samples / name).stat().st_size
    assert size > 30_000
    made = collector.Collector(etc=str(tmp_path), run=str(tmp_path), probe=False).snapshot("kvm")
    made["guests"] = []
    assert len(collector.render(made)) < 8_000


HOST_DEVICES: dict[str, dict[str, Any] | None] = {
    "type='scsi'><source><adapter name='scsi_host0'/></source><readonly/>": {
        "type": "hostdev",
        "readonly": True,
    },
    "type='scsi_host'><source protocol='vhost' wwpn='naa.5001'/>": {"type": "hostdev"},
    "type='scsi'><source protocol='iscsi' name='iqn.a:t/1'><host name='S'/></source><shareable/>": {
        "type": "network",
        "path": "iscsi:iqn.a:t/1",
        "servers": ["s"],
        "shareable": True,
    },
    "type='usb'><source><vendor id='0x1'/></source>": None,
}


@pytest.mark.parametrize(("device", "disk"), HOST_DEVICES.items())
def test_a_device_of_the_host_is_a_disk(device: str, disk: dict[str, Any] | None) -> None:
    """If it is storage."""
    element = ElementTree.fromstring(f"<hostdev mode='subsystem' {device}</hostdev>")
    assert collector._passed_on(element) == disk


@pytest.mark.parametrize(
    ("number", "is_disk"),
    [("0x010802", True), ("0x0c0400", True), ("", True), ("0x020000", False), ("0x030000", False)],
)
def test_a_controller_of_storage_is_a_disk(
    number: str, is_disk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the class of the PCI device, which need not be there."""
    asked: list[str] = []

    def line(path: str) -> str:
        asked.append(path)
        return number

    monkeypatch.setattr(collector, "_line", line)
    source = "<source><address domain='0x0000' bus='0x3b' slot='0x00' function='0x1'/></source>"
    element = ElementTree.fromstring(f"<hostdev mode='subsystem' type='pci'>{source}</hostdev>")
    assert collector._passed_on(element) == ({"type": "hostdev"} if is_disk else None)
    assert asked == ["/sys/bus/pci/devices/0000:3b:00.1/class"]


#: What ``drbdsetup show`` of DRBD 8.4 prints of one resource, and that of 9 of another.
DRBD_8 = """\
resource r0 {
    options {
    }
    net {
        allow-two-primaries\tyes;
    }
    _remote_host {
        address\t\t\tipv4 10.7.7.2:7788;
    }
    _this_host {
        address\t\t\tipv4 10.7.7.1:7788;
        volume 3 {
            device\t\t\tminor 1;
            disk\t\t\t"/dev/loop1";
            meta-disk\t\t\tinternal;
            disk {
            }
        }
    }
}
"""
DRBD_9 = """\
resource "vm-1" {
    _this_host {
        node-id\t\t\t0;
        volume 0 {
            device\t\t\tminor 1000;
            disk\t\t\t"/dev/vg/vm-1";
            meta-disk\t\t\tinternal;
        }
        volume 1 {
            device\t\t\tminor 1001;
            disk\t\t\tnone;
        }
    }
    connection {
        _peer_node_id 1;
        path {
            _this_host ipv4 10.7.7.1:7000;
            _remote_host ipv4 10.7.7.2:7000;
        }
        path {
            _this_host ipv6 [fd00::1]:7000;
            _remote_host ipv6 [fd00::2]:7000;
        }
        net {
            _name\t\t\t"kvm02";
        }
    }
    connection {
        _peer_node_id 2;
        path {
            _this_host ipv4 10.7.7.1:7000;
            _remote_host ipv4 10.7.7.3:7000;
        }
        _is_standalone;
        net {
            _name\t\t\t"kvm03";
        }
    }
}
"""


def test_what_drbdsetup_tells() -> None:
    """Of both versions of DRBD; text that is cut off or none of its own is no reason to fail."""
    volumes, links = collector.resources_in(DRBD_8 + DRBD_9)
    assert volumes == {"1": ("r0", "3"), "1000": ("vm-1", "0"), "1001": ("vm-1", "1")}
    assert links == {
        "r0": ["10.7.7.1:7788 10.7.7.2:7788"],
        "vm-1": [
            "10.7.7.1:7000 10.7.7.2:7000",
            "[fd00::1]:7000 [fd00::2]:7000",
            "10.7.7.1:7000 10.7.7.3:7000",
        ],
    }
    both = DRBD_8 + DRBD_9
    for at in range(len(both)):
        collector.resources_in(both[:at])
        collector.resources_in(both[at:])
    for text in ("}", "{ { } } ; }", "a { ; }", "{ address x; _this_host ipv4 y; }"):
        assert collector.resources_in(text) == ({}, {})


@pytest.mark.parametrize("appears", [True, False])
def test_a_scratch_file_whose_name_is_cached(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, appears: bool
) -> None:
    """Another host has made it, and this one does not see it yet. Or that of an earlier probe is
    gone, and this host still has its name."""
    tries: list[int] = []
    real = os.open

    def opened(name: str, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
        if name != "scratch":
            return real(name, flags, mode, dir_fd=dir_fd)
        tries.append(flags & os.O_EXCL)
        if len(tries) <= 4:
            raise FileExistsError if flags & os.O_EXCL else FileNotFoundError
        return real(name, flags, mode, dir_fd=dir_fd)

    place = real(tmp_path, os.O_PATH)
    if appears:
        (tmp_path / "scratch").write_text("of another host")
    monkeypatch.setattr(os, "open", opened)
    os.close(collector._made("scratch", place, os.O_RDWR))
    monkeypatch.undo()
    os.close(place)
    assert tries == [os.O_EXCL, 0] * 2 + [os.O_EXCL] + ([0] if appears else [])
    text = (tmp_path / "scratch").read_text()
    assert text == "of another host" if appears else len(text) == collector.NONCE
