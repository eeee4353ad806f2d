"""Real guests of a real libvirtd: what virtlockd does for them, and that lockd does the same.

Every scenario is played with either daemon. What counts of a transcript of virtlockd is in
guest_outlines.txt, a line a step; lockd's has to be the same as virtlockd's letter by letter,
except for what :data:`SAYS_MORE` and :data:`DOES_BETTER` list, and for how long lock files stay.
"""

from __future__ import annotations

import difflib
import re
import shutil
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.real.guest_host import DISKS, LOCKSPACE, Lock
from tests.real.scenarios import SCENARIOS, Step, released_files, rendered, transcript

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from concurrent.futures import Future
    from typing import Final

VIRTLOCKD: Final = Path(shutil.which("virtlockd") or "/usr/sbin/virtlockd")
LOCKD: Final = Path(sys.executable).parent / "lockd"

#: Hosts at a time. A scenario waits more than it computes.
HOSTS: Final = 4


class SaysMore(NamedTuple):
    """Words of lockd that virtlockd has not, what of them virtlockd says, why they are there, and
    a scenario in which they are."""

    words: re.Pattern[str]
    virtlockd: str
    reason: str
    example: str


#: Differences of a step's text.
SAYS_MORE: Final = (
    SaysMore(
        re.compile(r"(Lockspace resource '[^']*' is locked) by guest '.*"),
        r"\1",
        "a refused lock says who holds it",
        "second_start-indirect",
    ),
    SaysMore(
        re.compile(r"700 \w+ socket /\S*/virtlockd-notify\n"),
        "",
        "lockd's supervisor keeps its descriptors, and gets them through a socket",
        "start_and_destroy-direct",
    ),
)

#: Differences of what a step does: the outline of these is in guest_outlines.txt for each daemon.
DOES_BETTER: Final[Mapping[str, str]] = {
    "two_names-direct": "one disk is one disk, whatever it is called",
    "two_names-indirect": "the same, where libvirt's description of a guest tells of its disks",
    "leases_only": "the lockspaces of the configuration are there for leases too",
    "removed_lockspace": "a lockspace whose directory is gone is made again when it is asked for",
    "stopped_lock_daemon": "a lockspace of the configuration is there as soon as the daemon is",
    "killed_lock_daemon": "a killed daemon leaves every lock where it is and is started again",
    "killed_first_process": "the daemon goes on, and has another supervisor",
}

#: What virsh says where virtlockd refuses: the scenario, the step, and the last line.
REFUSALS: Final = (
    ("second_start-direct", "virsh start two", "Lockspace resource '/srv/disks/a' is locked"),
    (
        "second_start-indirect",
        "virsh start two",
        "Lockspace resource 'sha256(/srv/disks/a)' is locked",
    ),
    ("session-direct", "virsh start two", "Lockspace resource '/srv/disks/a' is locked"),
    ("refused_by_qemu", "virsh start two", "Is another process using the image [/srv/disks/a]?"),
    (
        "attach_and_detach-direct",
        "virsh attach-disk one /srv/disks/b sdb --targetbus scsi",
        "Lockspace resource '/srv/disks/b' is locked",
    ),
    (
        "leases",
        "virsh start one",
        "Unable to open resource /srv/locks/key: No such file or directory",
    ),
    ("leases", "virsh start two", "Lockspace resource 'key' is locked"),
    ("leases", "virsh start unknown", "Lockspace for path /srv/elsewhere does not exist"),
    ("leases", "virsh start offset", "Offset must be zero for this lock manager"),
    (
        "leases_only",
        "virsh start none",
        "Read/write, exclusive access, disks were present, but no leases specified",
    ),
    ("leases_only", "virsh start one", "Lockspace for path /srv/locks does not exist"),
    (
        "unusable_lockspace",
        "start of libvirtd",
        "Lockspace location /srv/locks exists, but is not a directory",
    ),
    (
        "removed_lockspace",
        "virsh start one",
        "Unable to open/create resource /srv/locks/sha256(/srv/disks/a): No such file or directory",
    ),
    (
        "stopped_lock_daemon",
        "virsh start three",
        "Failed to connect socket to '/run/libvirt/virtlockd-sock': No such file or directory",
    ),
    (
        "killed_lock_daemon",
        "virsh start two",
        "Failed to connect socket to '/run/libvirt/virtlockd-sock': Connection refused",
    ),
)

#: What a daemon's transcript of a scenario is.
Transcripts = Callable[[Path, str], list[Step]]


@pytest.fixture(scope="module")
def transcripts(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Transcripts]:
    """Every scenario that a test of this run asks for, played with both daemons."""
    directory = tmp_path_factory.mktemp("hosts")
    with ThreadPoolExecutor(HOSTS) as pool:
        played: dict[tuple[Path, str], Future[list[Step]]] = {
            (daemon, name): pool.submit(
                transcript, directory / f"{name}-{daemon.name}", daemon, name
            )
            for name in dict.fromkeys(_asked_for(request.session.items))
            for daemon in (VIRTLOCKD, LOCKD)
        }
        yield lambda daemon, name: played[daemon, name].result()
        pool.shutdown(cancel_futures=True)


def _asked_for(items: Iterable[pytest.Item]) -> Iterator[str]:
    for item in items:
        callspec = getattr(item, "callspec", None)
        if callspec is not None and callspec.params.get("scenario") in SCENARIOS:
            yield callspec.params["scenario"]


def outline(steps: list[Step]) -> list[str]:
    """A transcript in a line a step: whether it worked, the locks and the guests after it."""
    return [
        f"{'no' if step.status else 'ok'} | {step.did} "
        f"| {', '.join(map(_brief, step.state.locks))} | {', '.join(step.state.guests)}".rstrip()
        for step in steps
    ]


def _brief(lock: Lock) -> str:
    name = re.sub(rf"^{LOCKSPACE}/(?:sha256\({DISKS}/(.*)\)|)|^{DISKS}/", r"\1", lock.file)
    assert (lock.first, lock.last) == ("0", "0")
    return name if lock.mode == "exclusive" else f"{name} {lock.mode}"


def _outlines() -> dict[str, list[str]]:
    outlines: dict[str, list[str]] = {}
    for line in Path(__file__).with_name("guest_outlines.txt").read_text().splitlines():
        if line.startswith("["):
            current = outlines.setdefault(line.strip("[]"), [])
        elif line and not line.startswith("#"):
            current.append(line)
    return outlines


OUTLINES: Final = _outlines()


def expected(daemon: Path, scenario: str) -> list[str]:
    """The outline of a scenario: of that daemon alone, or of that kind of lockspace, or of both."""
    names = (f"{daemon.name} {scenario}", scenario, scenario.partition("-")[0])
    return next(OUTLINES[name] for name in names if name in OUTLINES)


def as_with_virtlockd(step: Step) -> Step:
    """A step with lockd as it would be with virtlockd, where the difference is meant to be."""
    said = step.said
    for more in SAYS_MORE:
        said = more.words.sub(more.virtlockd, said)
    # lockd keeps the file of a released lock for a moment: it is soon wanted again.
    released = released_files(step.state)
    files = tuple(file for file in step.state.files if file not in released)
    return step._replace(said=said, state=step.state._replace(files=files))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_virtlockd_does_what_is_written_down(transcripts: Transcripts, scenario: str) -> None:
    steps = transcripts(VIRTLOCKD, scenario)
    assert outline(steps) == expected(VIRTLOCKD, scenario), rendered(steps)


@pytest.mark.parametrize(("scenario", "did", "end"), REFUSALS)
def test_a_refusal_says_why(transcripts: Transcripts, scenario: str, did: str, end: str) -> None:
    step = next(s for s in transcripts(VIRTLOCKD, scenario) if s.did == did and s.status)
    assert step.said.endswith(end)


@pytest.mark.parametrize("scenario", [name for name in SCENARIOS if name not in DOES_BETTER])
def test_libvirt_cannot_tell_lockd_from_virtlockd(transcripts: Transcripts, scenario: str) -> None:
    virtlockd = transcripts(VIRTLOCKD, scenario)
    lockd = [as_with_virtlockd(step) for step in transcripts(LOCKD, scenario)]
    texts = rendered(virtlockd).splitlines(), rendered(lockd).splitlines()
    assert virtlockd == lockd, "\n".join(difflib.unified_diff(*texts, "virtlockd", "lockd", n=3))


@pytest.mark.parametrize("scenario", [*DOES_BETTER])
def test_lockd_does_better(transcripts: Transcripts, scenario: str) -> None:
    steps = transcripts(LOCKD, scenario)
    assert outline(steps) == expected(LOCKD, scenario), rendered(steps)
    assert expected(LOCKD, scenario) != expected(VIRTLOCKD, scenario)


@pytest.mark.parametrize(("scenario", "more"), [(more.example, more) for more in SAYS_MORE])
def test_lockd_says_more(transcripts: Transcripts, scenario: str, more: SaysMore) -> None:
    assert any(more.words.search(step.said) for step in transcripts(LOCKD, scenario)), more.reason
    assert not any(more.words.search(step.said) for step in transcripts(VIRTLOCKD, scenario))


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_refused_lock_says_which_guests_have_it(transcripts: Transcripts, scenario: str) -> None:
    for step in transcripts(LOCKD, scenario):
        if "resource busy" in step.said:
            holders = re.findall(r"guest '([^']*)' \(uuid UUID, pid PID\)", step.said)
            assert holders, step.said
            assert set(holders) <= set(step.state.guests), step.said


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_lock_file_goes_with_its_lock(transcripts: Transcripts, scenario: str) -> None:
    for step in transcripts(VIRTLOCKD, scenario):
        # A killed daemon leaves them, until they are wanted again.
        assert not released_files(step.state) or scenario.startswith("killed_"), step
    for daemon in (VIRTLOCKD, LOCKD):
        assert not released_files(transcripts(daemon, scenario)[-1].state)
