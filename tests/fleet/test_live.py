"""A fleet store that is kept up to date: it is what a fresh one would be, at any time and for any
reader."""

from __future__ import annotations

import io
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.made_up_fleet import NOW, WRONG, demo, text_of, write
from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.keeper import Keeper
from lockcfg.fleet.snapshots import spool as spools
from lockcfg.fleet.store import history as histories
from lockcfg.fleet.store import live
from lockcfg.fleet.store.history import History, HistoryChange
from lockcfg.fleet.store.ingest import ingest
from lockcfg.fleet.store.live import LiveStore
from lockcfg.fleet.store.store import Store
from lockcfg.report.audit import render_audit
from lockcfg.yamlschema import load_schema, violations
from tests.conftest import LOCKCFG

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator
    from pathlib import Path

    from lockcfg.fleet.comparison.result import AuditResult
    from tests.conftest import RunLockcfg

#: One guest that may run on any host, one volume, one image below others.
GUEST = {"name": "roams", "disks": ["/srv/images/roams.qcow2"]}
KINDS: list[dict[str, Any]] = [
    {},
    {"guests": [GUEST]},
    {"guests": [{**GUEST, "running": False}]},
    {"guests": [{"name": "db", "disks": [{"path": "/dev/san/db", "lvm_uuid": "abc-1"}]}]},
    {**WRONG["another export"], "guests": [GUEST]},
    {**WRONG["no lock manager"], "guests": [GUEST, {"name": "two", "disks": GUEST["disks"]}]},
    *WRONG.values(),
]


def put(spool: Path, name: str, changes: dict[str, Any] | str) -> None:
    """Leave a snapshot as a host does: whole, or not at all."""
    draft = spool / f".{name}.new"
    draft.write_text(changes if isinstance(changes, str) else text_of(name, changes))
    draft.rename(spool / f"{name}.json")


def report(result: AuditResult) -> str:
    """The JSON report."""
    stream = io.StringIO()
    render_audit(result, "json", stream)
    return stream.getvalue()


def fresh(spool: Path) -> str:
    """The report of what is in the spool now."""
    store = Store.create()
    ingest([str(spool)], store)
    result = audit_of(read_fleet(store, now=NOW))
    store.close()
    return report(result)


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """An empty spool."""
    directory = tmp_path / "spool"
    directory.mkdir()
    return directory


@pytest.fixture
def keeper(spool: Path, tmp_path: Path) -> Iterator[Keeper]:
    """One that keeps a store of it, and believes no time of a directory."""
    kept = Keeper(str(spool), str(tmp_path / "fleet.store"), version="", keep_days=90)
    yield kept
    kept.close()


@pytest.mark.parametrize("many", [2000, 1], ids=["one by one", "all again"])
@pytest.mark.parametrize("seed", range(3))
def test_whatever_changes_it_is_what_a_fresh_store_would_be(
    seed: int,
    many: int,
    spool: Path,
    keeper: Keeper,
    tmp_path: Path,
    lockcfg: RunLockcfg,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Hosts come, change and go, guests and disks move between them, files break."""
    import random

    rng: random.Random = random.Random(seed)
    monkeypatch.setattr(live, "_MANY", many)
    for _ in range(12):
        for _ in range(rng.randrange(1, 9)):
            name = f"kvm{rng.randrange(12):02}"
            path = spool / f"{name}.json"
            if rng.random() < 0.25:
                path.unlink(missing_ok=True)
            elif rng.random() < 0.1:
                put(spool, name, "{")
            elif rng.random() < 0.1:
                put(spool, name, text_of("kvm00", rng.choice(KINDS)))
            else:
                put(spool, name, rng.choice(KINDS))
        result = keeper.round(NOW, at_least=True)
        assert result is not None
        assert report(result) == fresh(spool)
        # Those that it has kept are those that are there.
        assert [*keeper.store.hosts()] == [*Store.hosts(keeper.store)]
    keeper.close()
    path = tmp_path / "fleet.store"
    told = json.loads(lockcfg("audit", "--json", "--now", str(NOW), path).stdout)
    expected = json.loads(fresh(spool))
    del told["version"], expected["version"]
    assert told == expected


def test_nothing_is_left_of_hosts_that_are_gone(spool: Path, keeper: Keeper) -> None:
    """Each table is as long as that of a fresh store, however often hosts have changed."""
    for kind in KINDS:
        for name in ("kvm01", "kvm02", "kvm03"):
            put(spool, name, kind)
        keeper.round(NOW, at_least=True)
    store = Store.create()
    ingest([str(spool)], store)
    tables = ("profile", "cell", "cell_way", "host", "way", "evidence", "held", "problem")
    kept = {table: keeper.store.count(table) for table in tables}
    assert kept == {table: store.count(table) for table in tables}
    store.close()
    for path in spool.iterdir():
        path.unlink()
    keeper.round(NOW, at_least=True)
    assert not any(keeper.store.count(table) for table in tables)
    assert not list(keeper.store.query("SELECT * FROM seen"))


def test_what_has_not_changed_is_not_audited_again(spool: Path, keeper: Keeper) -> None:
    """Unless it is asked for."""
    put(spool, "kvm01", {})
    assert keeper.round(NOW, at_least=False) is not None
    assert keeper.round(NOW, at_least=False) is None
    assert keeper.round(NOW, at_least=True) is not None
    put(spool, "kvm01", WRONG["NFSv3"])
    assert keeper.round(NOW, at_least=False) is not None


def test_what_one_changed_host_costs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For each host that has not changed, a round makes only a few calls."""
    # Directories are not read again, as later.
    monkeypatch.setattr(spools, "_SETTLED", 0)
    calls: dict[int, int] = {}
    for hosts in (1100, 2100):
        spool = tmp_path / f"spool{hosts}"
        write(str(spool), hosts)
        kept = Keeper(str(spool), str(tmp_path / f"{hosts}.store"), version="", keep_days=90)
        kept.round(NOW, at_least=True)
        put(spool / "000", "kvm000037", WRONG["name caching"])
        assert kept.round(NOW, at_least=False) is not None
        put(spool / "000", "kvm000037", WRONG["NFSv3"])
        assert _counted(kept, calls, hosts) is not None
        kept.close()
    assert (calls[2100] - calls[1100]) / 1000 < 30, calls


def _counted(kept: Keeper, calls: dict[int, int], hosts: int) -> AuditResult | None:
    """A round, with how many calls it makes noted for so many ``hosts``."""
    count = 0

    def count_it(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    sys.setprofile(count_it)
    try:
        return kept.round(NOW, at_least=False)
    finally:
        sys.setprofile(None)
        calls[hosts] = count


def test_a_directory_is_read_again_only_if_it_may_have_changed(
    spool: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its time tells, once it has been that for longer than a file system may round it; a file
    that is written in its place is found after a while all the same."""
    put(spool, "kvm01", {})
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    read: list[str] = []
    scandir = os.scandir

    def noted(path: str) -> Any:
        read.append(path)
        return scandir(path)

    monkeypatch.setattr(os, "scandir", noted)
    looked = spools.Spool(str(spool))
    first = looked.look()
    assert len(read) == 1
    clock[0] += 1
    looked.look()
    clock[0] += 3
    looked.look()
    assert len(read) == 3
    clock[0] += 10
    looked.look()
    assert len(read) == 3
    put(spool, "kvm02", {})
    assert len(looked.look()) == 2
    assert len(read) == 4
    for _ in range(2):
        clock[0] += 4
        looked.look()
    (spool / "kvm01.json").write_text("{")
    clock[0] += 301
    path = str(spool / "kvm01.json")
    assert looked.look()[path].stamp != first[path].stamp


def test_what_is_no_file_is_refused_and_told(
    spool: Path, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """The collector follows no dangling link, does not wait for a pipe, and reads the rest."""
    secret = tmp_path / "secret.json"
    secret.write_text(text_of("secrethost", {}))
    put(spool, "kvm01", {})
    (spool / "kvm02.json").symlink_to(secret)
    os.mkfifo(spool / "kvm03.json")
    (spool / "kvm04.json").mkdir()
    with (spool / "kvm05.json").open("wb") as stream:
        stream.truncate(1 << 30)
    (spool / ".kvm06.json").write_text("{")
    (spool / "hall").mkdir()
    put(spool / "hall", "kvm07", {})
    (spool / "linked").symlink_to(tmp_path)
    paths = [tmp_path / name for name in ("fleet.store", "report.json")]
    done = lockcfg(
        *("audit", "--watch", spool, "--once", "--store", paths[0], "--report", paths[1]),
        *("--now", str(NOW)),
    )
    assert done.returncode == 1, done.stderr
    told = json.loads(paths[1].read_text())
    hosts = {host for profile in told["profiles"] for host in profile["hosts"]}
    assert hosts == {"kvm01", "kvm07"}
    unread = {os.path.basename(each["source"]): each["reason"] for each in told["unreadable"]}
    assert unread.keys() == {"kvm02.json", "kvm03.json", "kvm04.json", "kvm05.json"}
    assert "link" in unread["kvm02.json"]
    assert "larger than" in unread["kvm05.json"]
    assert "secrethost" not in paths[1].read_text()


def test_more_files_than_are_taken_in_are_an_error(
    spool: Path, keeper: Keeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And no verdict on those that were."""
    from lockcfg.errors import ReadError

    monkeypatch.setattr(spools, "MOST_FILES", 2)
    for name in ("kvm01", "kvm02", "kvm03"):
        put(spool, name, {})
    with pytest.raises(ReadError, match="more than"):
        keeper.round(NOW, at_least=True)


#: Reads a live store again and again, until its input ends. The verdict of an audit of it is that
#: of the last point of its history, or the two were not read at one moment.
READER = """
import os, select, sys
from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.store.history import History
from lockcfg.fleet.store.store import Store
texts = set()
rounds = 0
while not select.select([0], [], [], 0)[0]:
    store = Store.open(sys.argv[1])
    text = audit_of(read_fleet(store, now=int(sys.argv[2]))).verdict.text
    last = History(store).points(1)[0]
    assert last.text == text, (last.text, text)
    assert last.hosts == store.count("host"), last
    store.close()
    texts.add(text)
    rounds += 1
    if rounds == 1:
        print("reading", flush=True)
print(rounds, len(texts), flush=True)
os._exit(0)
"""


def test_any_number_read_while_one_writes(spool: Path, tmp_path: Path) -> None:
    """Processes of their own: each sees hosts and verdict of one moment, and none waits for the
    writer or keeps it waiting."""
    path = tmp_path / "fleet.store"
    put(spool, "kvm00", {"guests": [GUEST]})
    words: list[str | Path] = [
        LOCKCFG,
        "audit",
        "--watch",
        spool,
        "--store",
        path,
        "--now",
        str(NOW),
    ]
    with subprocess.Popen([*words, "--every", "0.1"], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline()
        readers = [
            subprocess.Popen(
                [sys.executable, "-c", READER, path, str(NOW)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for _ in range(4)
        ]
        for reader in readers:
            assert reader.stdout is not None
            assert reader.stdout.readline() == "reading\n"
        rounds = 30
        for number in range(1, rounds + 1):
            put(spool, f"kvm{number:02}", KINDS[number % len(KINDS)])
            assert writer.stdout.readline()
        told = [reader.communicate("\n") for reader in readers]
        writer.send_signal(signal.SIGTERM)
        assert writer.wait() == 0
    for reader, (output, errors) in zip(readers, told, strict=True):
        assert reader.returncode == 0, errors
        assert int(output.split()[0]) > 1
    assert sum(int(output.split()[1]) for output, _ in told) > len(readers)


def test_a_second_writer_is_refused(spool: Path, tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """With a message, and the first goes on."""
    path = tmp_path / "store" / "fleet.store"
    path.parent.mkdir()
    put(spool, "kvm01", {})
    words: list[str | Path] = ["audit", "--watch", spool, "--store", path, "--now", str(NOW)]
    with subprocess.Popen([LOCKCFG, *words], stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline()
        done = lockcfg(*words, "--once")
        assert done.returncode == 3
        assert "another lockcfg" in done.stderr
        assert writer.poll() is None
        writer.send_signal(signal.SIGINT)
        assert writer.wait() == 0


def test_a_store_without_tables_is_made_again(
    spool: Path, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """A process that is killed while it makes a store leaves one."""
    path = tmp_path / "fleet.store"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
    assert path.stat().st_size
    put(spool, "kvm01", {})
    words: list[str | Path] = ["audit", "--watch", spool, "--store", path, "--once"]
    assert lockcfg(*words, "--now", str(NOW)).returncode == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA application_id = 7")
    assert lockcfg(*words, "--now", str(NOW)).returncode == 3


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE way SET use = 'x'",
        "UPDATE cell SET circumstances = 7",
        "UPDATE OR IGNORE seen SET host = x''",
        "UPDATE disks SET keys = x'01'",
        "DROP TABLE change",
    ],
)
def test_a_damaged_store_is_told_and_never_a_traceback(
    damage: str, spool: Path, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """Whatever is damaged in it: either nothing depends on that, or what to do is said."""
    for number in range(3):
        put(spool, f"kvm{number:02}", KINDS[number])
    path = tmp_path / "live.fleet"
    report, fresh = tmp_path / "report.json", tmp_path / "fresh.json"
    how = ("audit", "--watch", spool, "--once", "--now", str(NOW))
    assert lockcfg(*how, "--store", path).returncode == 0
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(damage)
        connection.commit()
    put(spool, "kvm00", KINDS[3])
    result = lockcfg(*how, "--store", path, "--report", report)
    assert "Traceback" not in result.stderr
    if result.returncode == 3:
        assert result.stderr.startswith(f"lockcfg: error: {path}: ")
    else:
        again = lockcfg(*how, "--store", tmp_path / "fresh.fleet", "--report", fresh)
        assert again.returncode == result.returncode
        told, wanted = (json.loads(each.read_text()) for each in (report, fresh))
        assert told["findings"] == wanted["findings"]
        assert told["verdict"] == wanted["verdict"]


def test_killed_at_any_moment_it_goes_on(spool: Path, tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """With no half of a round in the store, and no half of a report."""
    path, page = tmp_path / "fleet.store", tmp_path / "report.json"
    words: list[str | Path] = [
        "audit",
        "--watch",
        spool,
        "--store",
        path,
        "--report",
        page,
        "--now",
        str(NOW),
    ]
    for number in range(8):
        for host in range(12):
            put(spool, f"kvm{host:02}", KINDS[(number + host) % len(KINDS)])
        with subprocess.Popen(
            [LOCKCFG, *words, "--every", "0.1"], stdout=subprocess.DEVNULL
        ) as writer:
            time.sleep(0.12 + 0.06 * number)
            writer.kill()
        if page.exists():
            json.loads(page.read_text())
    done = lockcfg(*words, "--once")
    assert done.returncode == 1, done.stderr
    told, expected = json.loads(page.read_text()), json.loads(fresh(spool))
    del told["version"], expected["version"]
    assert told == expected
    left = {each.name for each in tmp_path.iterdir()}
    drafts = {name for name in left if name.startswith(".lockcfg-")}
    assert left - drafts <= {
        "spool",
        "fleet.store",
        "fleet.store-wal",
        "fleet.store-shm",
        "report.json",
    }


def test_the_history_says_what_was_when_and_who_changed_what(
    spool: Path, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """As text and as JSON, of all hosts and of one, and an audit is compared with it."""
    path = tmp_path / "fleet.store"

    def once(now: int) -> None:
        words = ("--watch", spool, "--once", "--store", path, "--now", str(now))
        assert lockcfg("audit", *words).returncode in (0, 1)

    for name in ("kvm01", "kvm02"):
        put(spool, name, {})
    once(NOW)
    once(NOW + 60)
    libxl = {"libxl.conf": 'lock_manager = "lockd"\n'}
    put(spool, "kvm01", {"virtlockd.conf": "max_clients = 8192\n", **libxl, **WRONG["NFSv3"]})
    put(spool, "kvm03", {})
    once(NOW + 120)
    shown = lockcfg("audit", "--history", path).stdout
    assert shown.count("#") == 2
    assert "max_clients: 8192, was 4096 (kvm01)" in shown
    assert "libxl lock_manager: lockd, was nothing (kvm01)" in shown
    assert "{" not in shown
    assert "came (kvm03)" in shown
    assert "worse: " in shown
    told = json.loads(lockcfg("audit", "--history", "--json", path).stdout)
    assert violations(told, load_schema("history-output")) == []
    first, second = told["points"]
    assert (first["time"], first["until"]) == (NOW, NOW + 120)
    assert (first["level"], second["hosts"]) == ("safe", 3)
    of_host = json.loads(lockcfg("audit", "--history", "--json", "--host", "kvm03", path).stdout)[
        "points"
    ]
    assert [point["id"] for point in of_host] == [2]
    assert [change["kind"] for change in of_host[0]["changes"]] == ["come"]
    assert lockcfg("audit", "--history", "--last", "1", path).stdout.startswith("#2")
    for when in ("#1", "2025-11-24T16:11:00", "2025-11-24T17:11:00+01:00"):
        compared = lockcfg("audit", "--now", str(NOW + 120), "--compare", when, "--json", path)
        since = json.loads(compared.stdout)["since"]
        assert since["then"] == NOW, when
        assert since["come"] == ["kvm03"]
    page = lockcfg("audit", "--now", str(NOW + 120), "--format", "html", path).stdout
    assert 'id="trend"' in page
    assert page.count("<tr data-point") == 2


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--watch", "spool"], "--store"),
        (["--once", "spool"], "--watch"),
        (["--watch", "spool", "--store", "s", "spool"], "no PATH"),
        (["--watch", "nowhere", "--store", "s"], "no such directory"),
        (["--watch", "spool", "--store", "s", "--every", "0"], "--every"),
        (["--watch", "spool", "--store", "s", "--every", "nan"], "--every"),
        (["--watch", "spool", "--store", "s", "--keep-days", "-1"], "--keep-days"),
        (["--watch", "spool", "--store", "s", "--history"], "--history"),
        (["--history", "spool"], "not a fleet store"),
        (["--history", "--format", "html", "spool"], "as text or as JSON"),
        (["--history"], "one PATH"),
        (["--last", "3", "spool"], "--history"),
        (["--compare", "yesterday", "spool"], "neither a file nor a time"),
        (["--compare", "2025-01-01", "spool"], "not a fleet store"),
        ([], "PATH"),
    ],
)
def test_wrong_usage(words: list[str], said: str, spool: Path, tmp_path: Path) -> None:
    """It is refused before anything is read or written."""
    put(spool, "kvm01", {})
    done = subprocess.run([LOCKCFG, "audit", *words], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert not (tmp_path / "s").exists()


def test_other_files_are_no_stores(spool: Path, tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """They are left as they are; a store without a history says so."""
    put(spool, "kvm01", {})
    other = tmp_path / "other"
    other.write_text("what somebody needs")
    done = lockcfg("audit", "--watch", spool, "--once", "--store", other)
    assert done.returncode == 3
    assert other.read_text() == "what somebody needs"
    (tmp_path / "link").symlink_to(tmp_path / "new")
    os.mkfifo(tmp_path / "pipe")
    for name in ("link", "pipe"):
        done = lockcfg("audit", "--watch", spool, "--once", "--store", tmp_path / name)
        assert (done.returncode, "not a regular file" in done.stderr) == (3, True)
    assert not (tmp_path / "new").exists()
    plain = tmp_path / "plain"
    assert lockcfg("audit", "--partial", plain, spool).returncode == 0
    assert lockcfg("audit", "--watch", spool, "--once", "--store", plain).returncode == 3
    done = lockcfg("audit", "--history", plain)
    assert done.returncode == 3
    assert "has no history" in done.stderr


def test_a_live_store_is_joined_like_any_other(
    spool: Path, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """And is copied by it into one that is not live."""
    for name, changes in demo().items():
        put(spool, name, changes)
    path, copy = tmp_path / "fleet.store", tmp_path / "copy"
    now = ("--now", str(NOW))
    assert lockcfg("audit", "--watch", spool, "--once", "--store", path, *now).returncode == 1
    assert lockcfg("audit", "--partial", copy, path).returncode == 0
    whole = lockcfg("audit", "--json", *now, spool).stdout
    assert lockcfg("audit", "--json", *now, copy).stdout == whole
    assert lockcfg("audit", "--json", *now, "--merge", path, copy).returncode == 1


def test_the_history_does_not_grow_without_bound(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Points for so many days and no more than so many, reports of the newest and one a day."""
    monkeypatch.setattr(histories, "MOST_POINTS", 30)
    monkeypatch.setattr(histories, "REPORTS", 3)
    monkeypatch.setattr(histories, "MOST_CHANGES", 2)
    store = LiveStore.open_to_write(str(tmp_path / "fleet.store"))
    history = History(store)
    day = 86_400
    base: dict[str, Any] = dict.fromkeys(
        ("hosts", "unknown", "errors", "warnings", "disks", "unsafe"), 0
    ) | {"level": "safe", "policy": ""}
    many = tuple(f"kvm{number}" for number in range(1500))
    changes = [HistoryChange("changed", "info", f"text {n}", many, len(many)) for n in range(5)]
    start = 1000 * day
    for number in range(60):
        now = start + number * day // 2
        with store.changing():
            history.note({**base, "time": now, "text": f"{number}"}, changes, {"now": now})
            history.prune(now, 10)
    points = history.points()
    assert [point.text for point in points] == [f"{number}" for number in range(38, 60)]
    kept = [point.text for point in points if history.report(point.id) is not None]
    assert kept == [f"{number}" for number in (*range(39, 58, 2), 58, 59)]
    noted = history.changes(points[-1].id)
    assert [len(change.hosts) for change in noted] == [1000, 1000, 0]
    assert noted[0].total == 1500
    assert "3 more" in noted[-1].text
    for number in range(100):
        with store.changing():
            history.note({**base, "time": now, "text": f"b{number}"}, [], {"now": now})
            history.prune(now, 10)
    assert len(history.points()) == 30
    rows = list(store.query("SELECT count(*) FROM change"))
    assert rows == [(0,)]
    store.close()
