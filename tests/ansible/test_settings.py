"""The module ``settings`` writes what ``lockcfg set`` writes, and says what it does."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.ansible.playing import PROJECT, task
from tests.conftest import LOCKCFG, SAMPLES

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.ansible.playing import Controller

WANTED = {"lock_manager": "lockd", "file_lockspace_dir": "/srv/locks", "max_clients": 4096}


def root_of(tmp_path: Path, name: str) -> Path:
    """The root of a host with libvirt's own files."""
    root = tmp_path / name
    (root / "etc").mkdir(parents=True)
    shutil.copytree(SAMPLES, root / "etc/libvirt", ignore=lambda _, n: {x for x in n if "nwf" in x})
    return root


def conf(root: Path, name: str) -> Path:
    return root / "etc/libvirt" / name


def files(root: Path) -> dict[str, bytes]:
    """The configuration files below a root."""
    return {path.name: path.read_bytes() for path in (root / "etc/libvirt").glob("*.conf")}


def test_it_does_what_set_does(controller: Controller, tmp_path: Path) -> None:
    """Checked, shown, written, written again, refused; and the same bytes as by the command."""
    theirs, ours = root_of(tmp_path, "theirs"), root_of(tmp_path, "ours")
    untouched = files(ours)
    conf(ours, "qemu.conf").chmod(0o640)
    words = [word for pair in WANTED.items() for word in map(str, pair)]
    subprocess.run([LOCKCFG, "set", "--root", theirs, *words], check=True, capture_output=True)
    at = str(ours)
    checked = controller.play([task("set", "settings", root=at, settings=WANTED)], "-CD")
    assert checked.status == 0, checked.output
    result = checked["set"]["kvm01"]
    assert result["changed"]
    assert files(ours) == untouched
    diff = "".join(each["prepared"] for each in result["diff"])
    assert '+lock_manager = "lockd"' in diff
    assert f"+++ {ours}/etc/libvirt/qemu.conf" in diff
    played = controller.play(
        [
            task("set", "settings", root=at, settings=WANTED),
            task("again", "settings", root=at, settings={**WANTED, "max_clients": "4096"}),
            task(
                "wrong",
                "settings",
                root=at,
                settings={"file_lockspace_dir": "/x", "lock_manager": "lockdd"},
                more={"ignore_errors": True},
            ),
            task(
                "off",
                "settings",
                root=at,
                settings={"lock_manager": None},
                more={"ignore_errors": True},
            ),
        ]
    )
    assert played.status == 0, played.output
    written = played["set"]["kvm01"]
    assert written["changed"]
    assert written["files"][-1] == f"{ours}/etc/libvirt/qemu.conf"
    assert written["restart"] == ["libvirtd", "virtqemud"]
    assert any("Never restart virtlockd" in each for each in written["advice"])
    assert written["protection"]["level"] == "unknown"
    assert not played["again"]["kvm01"]["changed"]
    wrong = played["wrong"]["kvm01"]
    assert wrong["failed"]
    assert "did you mean 'lockd'?" in wrong["msg"]
    assert str(controller.directory) not in json.dumps(wrong["findings"])
    assert "lockcfg disable" in played["off"]["kvm01"]["msg"]
    assert files(ours) == files(theirs) != untouched
    assert stat.S_IMODE(conf(ours, "qemu.conf").stat().st_mode) == 0o640
    assert not [each for each in os.listdir(ours / "etc/libvirt") if "lockcfg" in each]


def test_it_does_not_write_what_has_no_reader(controller: Controller, tmp_path: Path) -> None:
    """A file that cannot be parsed, one that is a directory, a lock manager that is not installed,
    and a host without libvirt: nothing is written, and it is said why."""
    roots = {name: root_of(tmp_path, name) for name in ("syntax", "directory", "parts", "none")}
    conf(roots["syntax"], "qemu-lockd.conf").write_text("a = [\n")
    conf(roots["directory"], "qemu.conf").unlink()
    conf(roots["directory"], "qemu.conf").mkdir()
    (roots["parts"] / "usr/sbin").mkdir(parents=True)
    (roots["parts"] / "usr/sbin/libvirtd").touch()
    shutil.rmtree(roots["none"] / "etc/libvirt")
    before = {name: sorted(map(str, root.rglob("*"))) for name, root in roots.items()}
    played = controller.play(
        [task("set", "settings", root="{{ at }}", settings=WANTED)],
        hosts={name: {"at": str(root)} for name, root in roots.items()},
    )
    assert played.status == 2
    said = {name: result["msg"] for name, result in played["set"].items()}
    assert f"{roots['syntax']}/etc/libvirt/qemu-lockd.conf:2:1: list" in said["syntax"]
    assert "is not a regular file" in said["directory"]
    assert "lock-driver/lockd.so) is not installed" in said["parts"]
    assert "is libvirt installed?" in said["none"]
    assert {name: sorted(map(str, root.rglob("*"))) for name, root in roots.items()} == before


def test_no_password_is_shown(controller: Controller, tmp_path: Path) -> None:
    """In the difference, in the result, in what is printed with -vvv."""
    root = root_of(tmp_path, "host")
    conf(root, "qemu.conf").write_text('vnc_password = "Xyzzy17"\nspice_tls = 1\n')
    played = controller.play(
        [task("set", "settings", root=str(root), settings={"lock_manager": "lockd"})], "-D", "-vvv"
    )
    assert played.status == 0, played.output
    assert "+lock_manager" in played["set"]["kvm01"]["diff"][0]["prepared"]
    assert "Xyzzy17" not in played.output
    assert 'vnc_password = "Xyzzy17"' in conf(root, "qemu.conf").read_text()


#: Edits generated files as the action plugin and the module do, and as 'lockcfg set' does.
SAME = """
import base64, contextlib, io, json, os, random, shutil, sys, tempfile
collections, count, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
sys.path.insert(0, collections)
import lockcfg
from ansible.errors import AnsibleActionFail
from ansible_collections.lockcfg.lockcfg.plugins.action.settings import Edit
from ansible_collections.lockcfg.lockcfg.plugins.module_utils import files
from ansible_collections.lockcfg.lockcfg.plugins.modules import settings as module
from lockcfg.main import main
from tests.real.generate import Generator

draw = random.Random(seed)
made = Generator(draw)
EDITS = (
    {"lock_manager": "lockd"}, {"file_lockspace_dir": "/srv/locks"}, {"max_clients": "4096"},
    {"lock_manager": "lockd", "file_lockspace_dir": "/srv/locks", "auto_disk_leases": "1"},
    {"require_lease_for_disks": "0", "lock_manager": "lockd"}, {"lock_manager": "nop"},
    {"cgroup_controllers": '[ "cpu", "memory" ]', "max_core": "unlimited"},
    {"log_filters": "1:qemu 3:security"}, {"no_such_setting": "1"}, {"auto_disk_leases": "no"},
)
tally = {"changed": 0, "same": 0, "refused": 0}
top = tempfile.mkdtemp()
for number in range(count):
    roots = []
    texts = {name: made.text() if draw.random() < 0.2 else made.well_formed().replace(b"\\0", b"")
             for name in ("qemu.conf", "qemu-lockd.conf", "virtlockd.conf")
             if draw.random() < 0.7}
    for name in ("ours", "theirs"):
        root = os.path.join(top, f"{number}-{name}")
        os.makedirs(root + "/etc/libvirt")
        for base, text in texts.items():
            with open(f"{root}/etc/libvirt/{base}", "wb") as stream:
                stream.write(text)
        roots.append(root)
    ours, theirs = roots
    edit = draw.choice(EDITS)
    words = [word for pair in edit.items() for word in pair]
    def command():
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            try:
                return main(["set", "--root", theirs, *words])
            except SystemExit as end:
                return end.code
    status = command()
    def apply():
        told = {"read": module.contents(ours, lockcfg.COPIED_FILES),
                "present": module.present(ours, lockcfg.LOOKED_AT), "directory": True,
                "writable": True}
        with tempfile.TemporaryDirectory() as directory:
            try:
                each = Edit(lockcfg, {"settings": edit, "root": ours}, told, directory)
                result, writes = each.result(diff=True)
                assert result["changed"] == bool(writes)
                files.write(ours, list(module.to_write(writes)))
                return "changed" if writes else "same"
            except (lockcfg.LockcfgError, AnsibleActionFail):
                return "refused"
    done = apply()
    def content(root):
        return {name: open(f"{root}/etc/libvirt/{name}", "rb").read()
                for name in sorted(os.listdir(root + "/etc/libvirt"))}
    assert (status == 0) == (done != "refused"), (texts, edit, status, done)
    assert content(ours) == content(theirs), (texts, edit, content(ours), content(theirs))
    assert (content(ours) != texts) == (done == "changed"), (texts, edit)
    if done == "changed":
        # A second time, nothing changes, even where the command refuses what is left of the errors.
        assert (again := apply()) == ("refused" if command() else "same"), (texts, edit, again)
        assert content(ours) == content(theirs), (texts, edit)
    tally[done] += 1
    shutil.rmtree(ours)
    shutil.rmtree(theirs)
os.rmdir(top)
print(json.dumps(tally))
"""


def test_the_same_as_set_on_generated_files(
    controller: Controller, pytestconfig: pytest.Config
) -> None:
    """Whether it is refused, and every byte that is written."""
    count = pytestconfig.getoption("--generated-files") // 50
    ran = subprocess.run(
        [
            *(sys.executable, "-c", SAME, controller.collections),
            *(str(count), str(pytestconfig.getoption("--seed"))),
        ],
        cwd=PROJECT,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    tally = json.loads(ran.stdout.splitlines()[-1])
    print(tally)
    assert sum(tally.values()) == count
    assert min(tally["changed"], tally["refused"]) >= count / 5, tally
