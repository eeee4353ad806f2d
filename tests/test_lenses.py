"""The lenses by themselves: type-checked, through their own tests, and with plain augtool."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lockcfg.conf.files import KINDS, LOCKD
from lockcfg.resources import LENSES

if TYPE_CHECKING:
    from typing import Final

TESTS: Final = sorted(Path(LENSES, "tests").glob("test_*.aug"))
SAMPLES: Final = Path(os.environ.get("LIBVIRT_SAMPLES", "/etc/libvirt"))

#: As libvirt ships it, but shorter: everything is commented out.
SAMPLE: Final = b"""\
#
# Locks are taken on each disk by itself, unless this is 0.
#
#auto_disk_leases = 0

#
# Where lock files are, rather than locks on the disks themselves.
#
#file_lockspace_dir = "/var/lib/libvirt/lockd/files"
"""


def test_every_lens_has_a_test() -> None:
    lenses = {path.stem for path in Path(LENSES).glob("*.aug")}
    assert {path.stem for path in TESTS} == {f"test_{lens}" for lens in lenses}


def test_every_kind_of_file_has_a_lens() -> None:
    for kind in (*KINDS.values(), LOCKD):
        module, _, name = kind.lens.partition(".")
        assert name == "lns"
        lens = Path(LENSES, f"{module.lower()}.aug").read_text()
        assert f"module {module} =" in lens
        assert f'incl "/etc/libvirt/{kind.name}"' in lens


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_augparse(path: Path) -> None:
    run = subprocess.run(
        ["augparse", "-I", LENSES, "--nostdinc", path], capture_output=True, text=True
    )
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")


class Root:
    """A root directory with one configuration file in it, and augtool to change that file."""

    def __init__(self, directory: Path, name: str, text: bytes) -> None:
        self._directory = directory
        self._file = directory / "etc/libvirt" / name
        self._file.parent.mkdir(parents=True)
        self._file.write_bytes(text)
        self._lens = KINDS[name].lens

    def _augtool(self, node: str, value: str) -> str:
        """What augtool says of setting a node of the file; it loads nothing else."""
        path = f"/etc/libvirt/{self._file.name}"
        run = subprocess.run(
            [
                *("augtool", "-r", self._directory, "-I", LENSES, "-A"),
                *("-t", f"{self._lens} incl {path}"),
                *("-s", "set", f"/files{path}/{node}", value),
            ],
            capture_output=True,
            text=True,
        )
        return run.stdout + run.stderr

    def set(self, key: str, value: str) -> bytes:
        """The file after augtool set a value in it."""
        assert self._augtool(key, value) == "Saved 1 file(s)\n"
        assert list(self._file.parent.iterdir()) == [self._file]
        return self._file.read_bytes()

    def refuse(self, key: str, value: str) -> str:
        """What augtool says when it does not save the file."""
        before = self._file.read_bytes()
        said = self._augtool(key, value)
        assert "Saved" not in said
        assert self._file.read_bytes() == before
        return said


def lockd(directory: Path, text: bytes) -> Root:
    return Root(directory, "qemu-lockd.conf", text)


DIRECTORY: Final = "/var/lib/libvirt/lockd/files"
LINE: Final = b'file_lockspace_dir = "/var/lib/libvirt/lockd/files"\n'


@pytest.mark.parametrize("name", sorted(KINDS))
def test_augtool_adds_a_setting_to_the_sample(tmp_path: Path, name: str) -> None:
    sample = SAMPLES / name
    text = sample.read_bytes() if sample.is_file() else SAMPLE
    assert Root(tmp_path, name, text).set("file_lockspace_dir", DIRECTORY) == text + LINE


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"auto_disk_leases = 1 # as ever\n",
        b"auto_disk_leases = 1\r\n# why\r\n\r\n",
        b"lvm_lockspace_dir = '/srv/lvm'\n",
        b'scsi_lockspace_dir = """/srv/scsi"""\n',
        b'security_driver = [ "none" ]\n',
        b'security_driver = [\n\t"selinux",\n\t"none",\n]\n',
        b"  auto_disk_leases = 1; require_lease_for_disks = 0\n",
        b"max_core = -1\nno_such_setting = +1\n",
        b"# caf\xc3\xa9\nx = 'caf\xc3\xa9'\n",
        b"# caf\xe9\nx = '\xff'\n",
    ],
)
def test_augtool_adds_a_setting_to_an_awkward_file(tmp_path: Path, text: bytes) -> None:
    assert lockd(tmp_path, text).set("file_lockspace_dir", DIRECTORY) == text + LINE


def test_augtool_ends_the_last_line_first(tmp_path: Path) -> None:
    root = lockd(tmp_path, b"auto_disk_leases = 1")
    assert root.set("file_lockspace_dir", DIRECTORY) == b"auto_disk_leases = 1\n" + LINE


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        (b'\tx\t=\t"/old"\t#\twhy\r\n', "/new", b'\tx\t=\t"/new"\t#\twhy\r\n'),
        (b"x='/old'; y = 1\n", "\"'/new'\"", b"x='/new'; y = 1\n"),
        (
            b'# x = "/old"\nx="/old"\nx = "/dead"\n',
            "/new",
            b'# x = "/old"\nx="/new"\nx = "/dead"\n',
        ),
        (b'x="""/old"""# why\n\n', '\'"""/new"""\'', b'x="""/new"""# why\n\n'),
        (b'y=[\r\n 1 ,]#\rx ="/old"\r\n', "/new", b'y=[\r\n 1 ,]#\rx ="/new"\r\n'),
        (b"x=-5 ;\n", "7", b"x=7 ;\n"),
        (b'x = "5" # "5"\n', "'\"6\"'", b'x = "6" # "5"\n'),
    ],
)
def test_augtool_changes_a_value_and_nothing_else(
    tmp_path: Path, before: bytes, value: str, after: bytes
) -> None:
    assert lockd(tmp_path, before).set("x[1]", value) == after


def test_augtool_changes_an_element_and_nothing_else(tmp_path: Path) -> None:
    root = Root(tmp_path, "qemu.conf", b'security_driver=[\n\t"selinux" ,"none",\r\n] # why\n')
    changed = root.set("security_driver/1", "apparmor")
    assert changed == b'security_driver=[\n\t"apparmor" ,"none",\r\n] # why\n'


@pytest.mark.parametrize("value", ["'/srv/\"x\"'", '\'"""\'', '"\'x"'])
def test_augtool_does_not_save_what_cannot_be_written(tmp_path: Path, value: str) -> None:
    root = lockd(tmp_path, b"# why\nauto_disk_leases = 1\n")
    assert root.refuse("file_lockspace_dir", value)


def test_augtool_does_not_save_a_file_it_cannot_write_back(tmp_path: Path) -> None:
    root = lockd(tmp_path, b'# why\nfile_lockspace_dir = "\x01"\n')
    assert root.refuse("auto_disk_leases", "1")
