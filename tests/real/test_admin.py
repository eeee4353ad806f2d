"""lockd's admin program and log settings, held against virtlockd's.

Both daemons are asked the same, by virt-admin and by raw calls, each in namespaces of its own, and
what they say is compared to the byte (:mod:`tests.real.admin_transcript`).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lockcfg import libvirt_release
from tests.real.admin_transcript import HAS_TIMEOUT

if TYPE_CHECKING:
    from typing import Any, Final

ROOT: Final = Path(__file__).parent.parent.parent
LOCKD: Final = Path(sys.executable).parent / "lockd"
SECONDS: Final = 900

_UNSHARE: Final = (
    *("unshare", "--mount", "--propagation", "private", "--net"),
    *("--pid", "--fork", "--kill-child", "--mount-proc"),
    *("sh", "-ec"),
)

# /dev, where the socket of syslog goes, has what the daemons and their tests need of it.
_NAMESPACE: Final = """
mkdir "$1/dev" "$1/etc" "$1/run"
for node in null zero urandom; do
    touch "$1/dev/$node"
    mount --bind "/dev/$node" "$1/dev/$node"
done
mount --rbind "$1/dev" /dev
mount --bind "$1/etc" /etc/libvirt
mount --bind "$1/run" /run
mkdir /run/libvirt
for directory in /var/lib/libvirt /var/log/libvirt; do
    mount -t tmpfs tmpfs "$directory"
done
cd "$2"
shift 2
exec "$@"
"""


def transcript(directory: Path, command: str | Path, program: str = "admin_transcript") -> Any:
    """What a daemon does, by section and label."""
    directory.mkdir()
    ran = subprocess.run(
        [
            *(*_UNSHARE, _NAMESPACE, "sh", directory, ROOT),
            *(sys.executable, "-B", "-m", f"tests.real.{program}", command),
        ],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        env={"PATH": os.defpath + ":/usr/sbin:/sbin", "LC_ALL": "C.UTF-8"},
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    return json.loads(ran.stdout)


@pytest.fixture(scope="module")
def transcripts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Any]:
    """virtlockd's and lockd's."""
    top = tmp_path_factory.mktemp("admin")
    with ThreadPoolExecutor() as executor:
        theirs = executor.submit(transcript, top / "virtlockd", "virtlockd")
        ours = executor.submit(transcript, top / "lockd", LOCKD)
        return theirs.result(), ours.result()


@pytest.mark.parametrize(
    ("section", "least"),
    [
        ("virt_admin", 60),
        ("raw_calls", 700),
        ("log_settings", 300),
        ("starts", 24),
        ("written", 8),
        ("survives", 2),
        ("limits", 5),
        ("timeouts", 5),
    ],
)
def test_it_is_as_virtlockd_does_it(transcripts: tuple[Any, Any], section: str, least: int) -> None:
    """Every answer, to the byte."""
    theirs, ours = (each[section] for each in transcripts)
    assert len(theirs) >= least
    differences = {
        label: (said, ours.get(label)) for label, said in theirs.items() if ours.get(label) != said
    }
    if libvirt_release() < (9, 0, 0):
        assert differences.keys() == OF_7_0.get(section, set())
        assert all(is_of_7_0(section, *each) for each in differences.values()), differences
    else:
        assert not differences
    assert ours.keys() == theirs.keys()
    assert "unknown command" not in str(theirs)


#: Where virtlockd 7.0 differs: in the log's settings that name a file by a path that can be
#: written in another way, at starts with settings that are wrong, and in the facility of lines.
OF_7_0: Final = {
    "log_settings": {
        "log_outputs '3:file:'",
        "log_outputs '3:file: /x'",
        "log_outputs '3:file:/run/../run/x', after",
        "log_outputs '1:file:./x/../y'",
        "log_outputs '1:file:./x/../y', after",
        "log_outputs '3:file:///run/x', after",
        "log_outputs '1:file:/run/b 1:file:/nope/x', after",
        "log_outputs '3:file:/run/../journaldrun/x'",
    },
    "starts": {
        *("bad level", "bad level, a word", "bad level, a blank", "bad filter", "bad output"),
        *("no such directory", "no such directory in the file", "in the background, bad output"),
    },
    "written": {"journal", "syslog"},
}


def is_of_7_0(section: str, theirs: Any, ours: Any) -> bool:
    """Whether two answers differ in what 7.0 is known for, and in nothing else."""
    if section == "log_settings":
        # It has the path as it was written, and opens that: /run/here/./x/../y, where no x is.
        return any(bytes.fromhex(theirs).count(each) for each in (b"/./", b"/../", b"///", b"/:"))
    if section == "starts":
        # It starts all the same, with what it logs by default; lockd says what is wrong.
        return bool(theirs) and theirs != 1 and (ours == 1 or ours[0] == 1)
    if isinstance(theirs[0], list):
        # 0 is the kernel's facility, which a program cannot have.
        return bool([[str(int(each[0]) % 8), *each[1:]] for each in ours] == theirs)
    return bool([{**each, "SYSLOG_FACILITY": "24"} for each in ours] == theirs)


@pytest.fixture(scope="module")
def endurance(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What lockd does where virtlockd would not."""
    return transcript(tmp_path_factory.mktemp("admin") / "lockd", LOCKD, "admin_endurance")


def test_changes_survive_upgrades_and_crashes(endurance: Any) -> None:
    """Limits, workers, filters, outputs, the timeout, and who is whose client since when."""
    assert endurance["changes"] == {
        "an upgrade": True,
        "a crash": True,
        "a crash, then an upgrade": True,
        "the next id": ["1", "3"],
        **({"the timeout": 0} if HAS_TIMEOUT else {}),
    }


def test_changes_survive_a_new_journal(endurance: Any) -> None:
    """Three clients have been there before, and none of them is still in the journal."""
    assert endurance["long_journal"] == {
        "it was rewritten": True,
        "ids": ["4"],
        "limits": "3000",
        "filters": ["Logging", "filters:", "1:*x*"],
    }


def test_an_output_that_is_gone_keeps_no_lock_from_being_taken_over(endurance: Any) -> None:
    """It is told where the configuration says, and had again when it can be."""
    assert endurance["a_file_gone"] == {
        "outputs": ["Logging", "outputs:", "3:file:/run/log"],
        "told": True,
        "outputs, when it is back": ["Logging", "outputs:", "3:file:/run/gone/log"],
    }


def test_what_virtlockd_ends_of(endurance: Any) -> None:
    """Four thousand million workers, a timeout beyond 31 bits, a log that goes nowhere, and a
    message that was never sent to its end."""
    found = endurance["hard_cases"]
    assert found["workers"].startswith("00000002ffffffff")
    timeouts = {label: length for label, length in found.items() if "timeout" in label}
    assert timeouts == ({"timeout 2147483648": 36, "timeout 4294967295": 36} if HAS_TIMEOUT else {})
    assert found["blank outputs"] == ["Logging", "outputs:", "3:stderr"]
    assert found["after half a message"] == 36


def test_two_outputs_to_syslog_have_two_names(endurance: Any) -> None:
    """Each with the facility of daemons: 30 is information of one, 27 an error."""
    messages = endurance["two_syslogs"]["messages"]
    assert messages == [
        [priority, name, level]
        for name in ("one", "two")
        for priority, level in (("30", "info"), ("30", "info"), ("27", "error"))
    ]
