"""Snapshots that are none, and hostile ones: a finding for that host, and the audit goes on."""

from __future__ import annotations

import bz2
import contextlib
import copy
import gzip
import io
import json
import lzma
import random
import re
import sqlite3
import subprocess
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.made_up_fleet import NOW, snapshot, text_of
from lockcfg.errors import LockcfgError
from lockcfg.fleet.forecast import plan_of
from lockcfg.fleet.plan.proposal import proposed_policy
from lockcfg.fleet.policy.policy import policy_from
from lockcfg.fleet.snapshots.collector import render
from lockcfg.fleet.snapshots.format import MAX_SIZE, SnapshotError
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.store import Store
from lockcfg.report.audit import FORMATS, render_audit
from lockcfg.yamlschema import load_schema, load_yaml, violations
from tests.conftest import LOCKCFG
from tests.fleet.fleets import audited, findings_of, fleet_of, store_of, write_fleet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import ModuleType

    from tests.conftest import RunLockcfg

GOOD = text_of("kvm02")


def with_version(version: object) -> str:
    """A snapshot that says it is of that version."""
    return json.dumps({**snapshot("kvm02"), "version": version})


BAD = {
    "nothing": ("", "is empty"),
    "cut off": (GOOD[: len(GOOD) // 2], "is cut off: its end is missing"),
    "not JSON": ("hello", "is not JSON"),
    "not UTF-8": ("\udcff", "is not JSON"),
    "a list": ("[]", "is not a JSON object"),
    "another format": ("{}", "has not all of its members"),
    "a newer version": (with_version(3), "is of version 3, and this lockcfg reads 2"),
    "no version": (with_version("x"), "has no version"),
    "a member twice": (GOOD.replace('"tools":', '"tools":{},\n"tools":'), "has a member twice"),
    "a member missing": (re.sub(r'"tools":.*\n', "", GOOD), "has no 'tools'"),
    "another type": (re.sub(r'"guests":.*', '"guests":7', GOOD), "'guests' is not a list"),
    "too deep": (re.sub(r'"tools":.*?,\n', '"tools":' + "[" * 100_000 + ",\n", GOOD), "deeply"),
    "no number": (GOOD.replace('"version":2', '"version":NaN'), "is not JSON"),
    "a huge number": (GOOD.replace('"version":2', '"version":' + "1" * 9999), "is not JSON"),
    "a NUL": (GOOD.replace('"9.0.0"', '"9\\u00000"'), "has a NUL in it"),
    "half a character": (GOOD.replace('"9.0.0"', '"\\ud800"'), "is not text"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_snapshot_is_a_finding_and_the_rest_goes_on(
    kind: str, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """With the reason; and the fleet is not called safe."""
    text, reason = BAD[kind]
    write_fleet(tmp_path, {"kvm01": {}, "kvm03": {}})
    (tmp_path / "kvm02.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    result = lockcfg("audit", "--json", "--now", str(NOW), tmp_path)
    assert result.stderr == ""
    assert result.returncode == 1
    report = json.loads(result.stdout)
    (unreadable,) = report["unreadable"]
    assert reason in unreadable["reason"]
    assert unreadable["source"] == str(tmp_path / "kvm02.json")
    assert "LA401" in [finding["code"] for finding in report["findings"]]
    assert report["summary"]["hosts"] == 2 + (unreadable["host"] is not None)
    assert report["verdict"]["level"] == "unsafe"


def test_a_snapshot_of_a_hundred_megabytes_is_not_read(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """Its size is told."""
    write_fleet(tmp_path, {"kvm01": {}})
    with (tmp_path / "kvm02.json").open("wb") as file:
        file.truncate(100 * 1024 * 1024)
    report = json.loads(lockcfg("audit", "--json", tmp_path).stdout)
    assert report["unreadable"][0]["reason"] == "cannot be read: is larger than 64 MiB"


def test_what_is_no_file_is_not_opened(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """A pipe without a writer would make the reader hang."""
    import os

    write_fleet(tmp_path, {"kvm01": {}})
    os.mkfifo(tmp_path / "kvm02.json")
    (tmp_path / "kvm03.json").symlink_to("gone")
    report = json.loads(lockcfg("audit", "--json", tmp_path).stdout)
    assert len(report["unreadable"]) == 2


def test_a_second_snapshot_of_a_host_is_told_and_the_newest_counts() -> None:
    """And the same one twice is no second."""
    result = audited({"kvm01": {}, "kvm01-old": {"host": {"name": "kvm01"}, "age-hours": 2}})
    (finding,) = findings_of(result, "LA404")
    assert finding.hosts == ("kvm01",)
    assert finding.reasons == ("snapshots/kvm01.json counts", "snapshots/kvm01-old.json does not")
    assert result.hosts == ("kvm01",)


def test_two_machines_of_one_name_are_unknown() -> None:
    """One of them was not judged. Two snapshots of one machine are none of that."""
    other = {"host": {"name": "kvm01", "machine_id": "b"}, "age-hours": 2}
    result = audited({"kvm01": {"host": {"machine_id": "a"}}, "kvm01-b": other, "kvm02": {}})
    (finding,) = findings_of(result, "LA404")
    assert finding.message.startswith("two machines have this name")
    assert result.unknown == ("kvm01",)
    assert result.verdict.level == "unknown"
    other["host"]["machine_id"] = "a"  # type: ignore[index]
    result = audited({"kvm01": {"host": {"machine_id": "a"}}, "kvm01-b": other, "kvm02": {}})
    assert result.unknown == ()


def test_one_machine_under_two_names_is_told() -> None:
    """The boot id tells."""
    result = audited({"kvm01": {"host": {"boot_id": "b"}}, "kvm02": {"host": {"boot_id": "b"}}})
    assert [finding.hosts for finding in findings_of(result, "LA404")] == [("kvm01", "kvm02")]


def test_a_host_from_the_future_and_one_of_another_name() -> None:
    """Each is a finding, and the one of the future is unknown."""
    result = audited({"kvm01": {"age-hours": -2}, "kvm02": {"host": {"name": "kvm77"}}})
    assert findings_of(result, "LA405")[0].hosts == ("kvm01",)
    assert findings_of(result, "LA406")[0].hosts == ("kvm77",)
    assert result.unknown == ("kvm01",)
    assert result.verdict.level == "unknown"


def test_another_layout_is_the_same_snapshot() -> None:
    """Indented, on one line, in another order."""
    content = snapshot("kvm01")
    backwards = dict(reversed(content.items()))
    rows = []
    for text in (
        render(content),
        json.dumps(content),
        json.dumps(content, indent=2),
        render(backwards),
    ):
        store = Store.create()
        surveyor = Ingester(store)
        surveyor.snapshot("kvm01.json", text.encode())
        surveyor.read([])
        store.finish()
        rows.append((list(store.hosts()), store.cells(), store.profiles()))
    assert rows[1:] == rows[:1] * 3


HOSTILE = [
    "\x1b[2J\x1b]0;gone\x07",
    "<script>alert(1)</script>",
    "]]>&\"'",
    "{{7*7}}{%",
    "a\nb\r\nc",
    "‮drowssap",
    "'; DROP TABLE host; --",
    "../../etc/passwd",
    "kvm[01-99999]",
    "🦊" * 60,
    "|stale|virtlockd",
]


@pytest.mark.parametrize("hostile", HOSTILE)
@pytest.mark.parametrize("format", FORMATS)
def test_hostile_strings_are_shown_as_what_they_are(hostile: str, format: str) -> None:
    """In every format: nothing that drives a terminal, nothing that is markup."""
    result = audited(
        {
            "kvm01": {"host": {"name": hostile}, "qemu.conf": f'lock_manager = "{hostile}'},
            "kvm02": {
                "guests": [{"name": hostile, "disks": [f"/srv/images/{hostile}"]}] * 2,
                "lockspace": {
                    "probe": {"outcome": "fails", "step": "create", "error": hostile},
                    "mount": {"source": f"{hostile}:/{hostile}", "options": [f"addr={hostile}"]},
                },
                "versions": {"libvirt": hostile},
            },
        }
    )
    stream = io.StringIO()
    render_audit(result, format, stream)
    text = stream.getvalue()
    assert "\x1b" not in text
    assert "\x07" not in text
    assert "‮" not in text or format in ("junit", "sarif")
    if format in ("json", "sarif"):
        json.loads(text)
    if format == "json":
        assert violations(json.loads(text), load_schema("audit-output")) == []
    if format == "junit":
        assert "<script" not in text


@pytest.mark.parametrize("hostile", [*HOSTILE, "kvm*", "a?", "x" * 250])
def test_a_first_policy_of_hostile_names_is_a_policy(hostile: str) -> None:
    """Of these hosts and no others, whatever they are called."""
    images = {"mount": {"source": f"{hostile}:/{hostile}", "options": [f"addr={hostile}"]}}
    hosts: dict[str, dict[str, Any]] = {
        "kvm01": {"host": {"name": hostile}, "images": images},
        "kvm02": {"images": images, "qemu.conf": ""},
    }
    text = proposed_policy(fleet_of(hosts))
    policy = policy_from(load_yaml(text.encode(), "fleet.yaml"), "fleet.yaml")
    fleet = fleet_of(hosts, policy)
    assert fleet.missing == []
    assert [group.hosts for group in fleet.groups] == [sorted((hostile, "kvm02"))]
    assert plan_of(fleet, store_of(hosts)).steps


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-5, 2**70)
    | st.floats(allow_nan=False)
    | st.text(max_size=5),
    lambda children: (
        st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3)
    ),
    max_leaves=5,
)


def places_in(content: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place of a document."""
    found = [path] if path else []
    items = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, value in items:
        found += places_in(value, (*path, key))
    return found


EXAMPLE = snapshot(
    "kvm01",
    {
        "guests": [
            {
                "name": "g",
                "disks": ["/srv/images/g"],
                "leases": [{"lockspace": "s", "key": "k", "target": "/t"}],
            }
        ]
    },
)
PLACES = places_in(EXAMPLE)


@given(st.sampled_from(PLACES), json_values, st.booleans())
def test_the_reader_takes_what_the_schema_takes(
    place: tuple[Any, ...], value: Any, remove: bool
) -> None:
    """One value of a snapshot is another, or is gone: the checks by hand are those of the schema,
    and nothing but an error of ours is ever raised."""
    content = copy.deepcopy(EXAMPLE)
    at = content
    for key in place[:-1]:
        at = at[key]
    if remove:
        del at[place[-1]]
    else:
        at[place[-1]] = value
    wrong = violations(content, load_schema("snapshot"))
    try:
        Ingester(Store.create()).snapshot("kvm01.json", render(content).encode())
        refused = ""
    except SnapshotError as error:
        refused = error.message
    assert bool(refused) == bool(wrong), f"{refused} / {wrong}"


@given(st.integers(0, 10**9), st.integers(1, 8))
def test_damaged_bytes_never_give_anything_but_an_error(seed: int, count: int) -> None:
    """Bytes are changed anywhere."""
    rng = random.Random(seed)
    data = bytearray(GOOD.encode())
    for _ in range(count):
        data[rng.randrange(len(data))] = rng.randrange(256)
    surveyor = Ingester(Store.create())
    with contextlib.suppress(LockcfgError):
        surveyor.snapshot("kvm02.json", bytes(data))
    surveyor.snapshot("kvm01.json", text_of("kvm01").encode())


def test_archives_and_lines_are_read_and_broken_ones_are_told(
    tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """Tar, zip and JSON lines, from a file and from standard input: one report."""
    hosts: dict[str, dict[str, Any]] = {"kvm01": {}, "kvm02": {"qemu.conf": ""}}
    folder = write_fleet(tmp_path / "snapshots", hosts)
    files = sorted(folder.iterdir())
    with tarfile.open(tmp_path / "fleet.tar.gz", "w:gz") as tar:
        for file in files:
            tar.add(file, file.name)
    with zipfile.ZipFile(tmp_path / "fleet.zip", "w") as archive:
        for file in files:
            archive.write(file, file.name)
    lines = "".join(json.dumps(json.loads(file.read_text())) + "\n" for file in files)
    (tmp_path / "fleet.jsonl").write_text(lines)
    now = ("--json", "--now", str(NOW))
    expected = lockcfg("audit", *now, folder).stdout
    assert json.loads(expected)["summary"]["hosts"] == 2
    for name in ("fleet.tar.gz", "fleet.zip", "fleet.jsonl"):
        assert lockcfg("audit", *now, tmp_path / name).stdout == expected
    assert lockcfg("audit", *now, "-", input=lines).stdout == expected
    whole = (tmp_path / "fleet.tar.gz").read_bytes()
    (tmp_path / "fleet.tar.gz").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "fleet.zip").write_bytes(b"PK")
    for name in ("fleet.tar.gz", "fleet.zip"):
        result = lockcfg("audit", *now, tmp_path / name, folder)
        assert "is not a whole archive" in result.stdout
        assert result.stderr == ""


@pytest.mark.parametrize("module", [gzip, lzma, bz2])
def test_compressed_snapshots_are_read_and_damaged_ones_are_told(
    tmp_path: Path, lockcfg: RunLockcfg, module: ModuleType
) -> None:
    """In a directory, too: none is passed over."""
    end = {gzip: "gz", lzma: "xz", bz2: "bz2"}[module]
    now = ("--json", "--now", str(NOW))
    folder = write_fleet(tmp_path / "snapshots", {"kvm01": {}, "kvm02": {"qemu.conf": ""}})
    expected = lockcfg("audit", *now, folder).stdout
    lines = tmp_path / f"fleet.jsonl.{end}"
    with module.open(lines, "wb") as stream:
        for file in sorted(folder.iterdir()):
            stream.write(json.dumps(json.loads(file.read_text())).encode() + b"\n")
    assert lockcfg("audit", *now, lines).stdout == expected
    for file in [*folder.iterdir()]:
        (folder / f"{file.name}.{end}").write_bytes(module.compress(file.read_bytes()))
        file.unlink()
    assert lockcfg("audit", *now, folder).stdout == expected
    (folder / f"half.json.{end}").write_bytes(module.compress(b"{}" * 500)[:-6])
    (folder / f"none.jsonl.{end}").write_bytes(b"{}")
    (folder / f"bomb.json.{end}").write_bytes(module.compress(b" " * (MAX_SIZE + 1)))
    (folder / "other.json.zst").write_bytes(b"(\xb5/\xfd")
    report = json.loads(lockcfg("audit", *now, folder).stdout)
    assert report["summary"]["hosts"] == 2
    said = "\n".join(each["message"] for each in report["findings"] if each["code"] == "LA401")
    assert said.count("cannot be read") == 2, said
    assert "is larger than" in said
    assert "is compressed with zstd" in said


def test_a_repository_of_hosts_is_known_by_its_files(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """And what only a live host can tell is unknown, and said to be."""
    for name, manager in (("kvm01", "lockd"), ("kvm02", "nop")):
        folder = tmp_path / "hosts" / name / "etc/libvirt"
        folder.mkdir(parents=True)
        (folder / "qemu.conf").write_text(f'lock_manager = "{manager}"\n')
        (folder / "qemu-lockd.conf").write_text('file_lockspace_dir = "/locks"\n')
    report = json.loads(lockcfg("audit", "--json", tmp_path / "hosts").stdout)
    assert report["unknown"] == ["kvm01", "kvm02"]
    codes = {finding["code"]: finding["hosts"] for finding in report["findings"]}
    assert codes["LA101"] == ["kvm02"]
    assert codes["LA407"] == ["kvm01", "kvm02"]


def test_files_may_be_called_by_any_bytes(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """In a directory, in an archive, of a host's own: they are read, and told of."""
    import os

    good = text_of("kvm01").encode()
    folder = os.fsencode(tmp_path)
    os.mkdir(folder + b"/s")
    os.mkdir(folder + b"/kvm\xff")
    for name, content in (
        (b"/s/kvm01-\xff.json", good),
        (b"/s/\xfe.json", b"{"),
        (b"/kvm\xff/qemu.conf", b""),
    ):
        with open(folder + name, "wb") as file:
            file.write(content)
    with tarfile.open(tmp_path / "s/fleet.tar", "w") as archive:
        for number, called in enumerate(("a\udcff.json", "b\n\x1b[31m.json", "../../c.json")):
            member = tarfile.TarInfo(called)
            data = text_of(f"kvm1{number}").encode()
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    result = lockcfg("audit", "--json", "--now", str(NOW), tmp_path)
    assert result.stderr == ""
    report = json.loads(result.stdout)
    assert report["summary"]["hosts"] == 5
    assert report["unreadable"][0]["source"].endswith("\\udcfe.json")
    text = lockcfg("audit", "--now", str(NOW), tmp_path)
    assert (text.returncode, text.stderr) == (1, "")


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        ((), 2),
        (("nowhere",), 2),
        (("empty",), 3),
        (("-",), 3),
        (("--write-policy", "fleet.yaml", "empty"), 3),
        (("--merge", "."), 2),
        (("--partial", "x", "--merge", "."), 2),
        (("--max-age", "-1", "."), 2),
        (("-", "-"), 2),
        (("--policy", "nowhere.yaml", "."), 3),
        (("--partial", "/nowhere/x", "."), 3),
        (("--output-file", "/nowhere/x", "."), 3),
    ],
)
def test_wrong_usage_is_told(
    arguments: tuple[str, ...], status: int, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """In a sentence, with the exit status of its kind."""
    write_fleet(tmp_path, {"kvm01": {}})
    (tmp_path / "empty").mkdir()
    result = lockcfg("audit", *arguments, cwd=tmp_path, input="")
    assert result.returncode == status
    assert "Traceback" not in result.stderr
    assert result.stderr


@pytest.mark.parametrize("command", ["audit", "plan"])
def test_a_damaged_store_is_told(command: str, tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """Also if only its texts are damaged, which SQLite does not notice."""
    (tmp_path / "fleet").mkdir()
    write_fleet(tmp_path / "fleet", {"kvm01": {}, "kvm02": {}})
    store, policy = tmp_path / "store", tmp_path / "fleet.yaml"
    assert lockcfg("audit", "--partial", store, tmp_path / "fleet").returncode == 0
    policy.write_text("groups: {g: {hosts: [kvm01]}}\n")
    whole = store.read_bytes()
    assert b'"lock_manager"' in whole
    store.write_bytes(whole.replace(b'"lock_manager"', b'"lock_manage\1"'))
    result = lockcfg(command, "--policy", policy, store)
    assert result.returncode == 3
    assert "is not a whole fleet store" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_store_of_damaged_disks_is_not_joined(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """The way of a disk is a number."""
    (tmp_path / "fleet").mkdir()
    write_fleet(tmp_path / "fleet", {"kvm01": {}, "kvm02": {}})
    store, joined = tmp_path / "store", tmp_path / "joined"
    assert lockcfg("audit", "--partial", store, tmp_path / "fleet").returncode == 0
    with contextlib.closing(sqlite3.connect(store)) as connection:
        connection.execute("UPDATE disks SET packed = CAST('x' || substr(packed, 2) AS BLOB)")
        connection.commit()
    result = lockcfg("audit", "--partial", joined, store, tmp_path / "fleet")
    assert result.returncode == 3
    assert "is not a whole fleet store" in result.stderr
    assert "Traceback" not in result.stderr
    assert not joined.exists()


def test_a_store_that_is_none_is_told(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """Another database, a cut one, one of a later version."""
    import sqlite3

    write_fleet(tmp_path / "s", {"kvm01": {}})
    good = tmp_path / "good.fleet"
    assert lockcfg("audit", "--partial", good, tmp_path / "s").returncode == 0
    other = tmp_path / "other.fleet"
    with sqlite3.connect(other) as connection:
        connection.execute("CREATE TABLE x (y)")
    connection.close()
    cut = tmp_path / "cut.fleet"
    cut.write_bytes(good.read_bytes()[: good.stat().st_size // 3])
    for path in (other, cut):
        result = lockcfg("audit", path)
        assert result.returncode == 3, result.stdout
        assert "Traceback" not in result.stderr
        assert "fleet store" in result.stderr


def test_the_limit_is_that_of_libvirts_files() -> None:
    """Four files of 10 MiB fit, escaped or not."""
    assert MAX_SIZE >= 5 * 10 * 1024 * 1024


def endless(path: Path, kind: str) -> None:
    """Something of that kind that would be waited for, or has no end."""
    import os

    nothing = b"\0" * (1 << 20)
    if kind == "a pipe":
        os.mkfifo(path)
    elif kind == "a link to a device":
        path.symlink_to("/dev/zero")
    elif kind == "a device":
        os.mknod(path, 0o20644, os.makedev(1, 5))
    elif kind == "gigabytes of nothing":
        with gzip.open(path, "wb", compresslevel=1) as stream:
            for _ in range(300):
                stream.write(nothing)


NAMES = ["x.json", "x.jsonl", "x.json.gz", "x.jsonl.xz", "x.tar", "x.tar.gz", "x.zip", "x.fleet"]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", ["a pipe", "a link to a device", "a device"])
def test_what_has_no_end_is_refused_at_once(
    kind: str, name: str, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """Whatever it is called, in a directory and by its name."""
    write_fleet(tmp_path / "s", {"kvm01": {}})
    endless(tmp_path / "s" / name, kind)
    if not name.endswith(".fleet"):  # which is looked at only where it is named
        report = json.loads(lockcfg("audit", "--json", tmp_path / "s").stdout)
        assert len(report["unreadable"]) == 1
    result = lockcfg("audit", "--json", tmp_path / "s" / name)
    assert "regular file" in result.stdout + result.stderr
    for arguments in (["--policy"], ["--merge"]):
        result = lockcfg("audit", *arguments, tmp_path / "s" / name, tmp_path / "s")
        assert result.returncode in (2, 3)
        assert "Traceback" not in result.stderr


def tar_of(path: Path, *members: tuple[str, int, bytes]) -> None:
    """A compressed archive of members of nothing: name, size in MiB, type."""
    with gzip.open(path, "wb", compresslevel=1) as stream:
        for name, size, kind in members:
            info = tarfile.TarInfo(name)
            info.size, info.type = size << 20, kind
            stream.write(info.tobuf(tarfile.GNU_FORMAT))
            for _ in range(size):
                stream.write(b"\0" * (1 << 20))
        stream.write(b"\0" * 1024)


@pytest.mark.parametrize(
    "members",
    [
        [("x.json", 300, tarfile.REGTYPE)],
        [("x.log", 300, tarfile.REGTYPE)],
        [(f"{number}.log", 60, tarfile.REGTYPE) for number in range(5)],
        [("x", 300, tarfile.GNUTYPE_LONGNAME)],
        [("x", 300, tarfile.XHDTYPE)],
    ],
    ids=["a snapshot", "a log", "many logs", "a name", "a header"],
)
def test_an_archive_of_gigabytes_of_nothing_is_not_read_to_its_end(
    members: list[tuple[str, int, bytes]], tmp_path: Path
) -> None:
    """In bounded memory; what comes before is read."""
    tar_of(tmp_path / "x.tar.gz", *members)
    limited = ["bash", "-c", 'ulimit -v 900000; exec "$@"', "bash"]
    result = subprocess.run(
        [*limited, LOCKCFG, "audit", "--json", tmp_path / "x.tar.gz"],
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    report = json.loads(result.stdout)
    assert "is not read to its end" in str(report["unreadable"])


@pytest.mark.parametrize("name", ["x.json.gz", "x.jsonl.gz"])
def test_gigabytes_of_nothing_are_not_read_to_their_end(
    name: str, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """Nor a line of them, nor lines with nothing on them."""
    endless(tmp_path / name, "gigabytes of nothing")
    report = json.loads(lockcfg("audit", "--json", tmp_path / name).stdout)
    assert "is larger than 64 MiB" in str(report["unreadable"])
    (tmp_path / "lines.jsonl.gz").write_bytes(gzip.compress(b"\n" * (1 << 26), 1))
    report = json.loads(lockcfg("audit", "--json", tmp_path / "lines.jsonl.gz").stdout)
    assert "is not read to its end" in report["unreadable"][0]["reason"]


def soon_told(archive: Path) -> str:
    """What the audit of an archive says, which takes it some seconds of processor time at most."""
    ran = subprocess.run(
        ["timeout", "60", "prlimit", "--cpu=10", LOCKCFG, "audit", "--json", archive],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 1, ran.stderr
    return ran.stdout


@pytest.mark.parametrize("name", ["x.json", "x.log"])
def test_a_member_that_claims_petabytes_is_not_looked_for(
    name: str, tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """Only the header of the archive says so: its file ends after a few bytes."""
    info = tarfile.TarInfo(name)
    info.size = 1 << 55
    (tmp_path / "x.tar").write_bytes(info.tobuf(tarfile.GNU_FORMAT) + b"{}")
    told = soon_told(tmp_path / "x.tar")
    assert "is not a whole archive: unexpected end of data" in told
    # One that only has no mark at its end is whole.
    text = text_of("kvm01").encode()
    info.name, info.size = "x.json", len(text)
    whole = info.tobuf(tarfile.GNU_FORMAT) + text + bytes(-len(text) % 512)
    (tmp_path / "x.tar").write_bytes(whole)
    report = json.loads(lockcfg("audit", "--json", "--now", str(NOW), tmp_path / "x.tar").stdout)
    assert report["summary"]["hosts"] == 1
    assert report["unreadable"] == []


@pytest.mark.parametrize("size", [0, 60 << 20])
def test_an_archive_of_what_is_no_snapshot_is_not_read_to_its_end(
    size: int, tmp_path: Path
) -> None:
    """Though all its members are called like snapshots: megabytes can become hours of work."""
    info = tarfile.TarInfo("x.json")
    info.size = size
    member = info.tobuf(tarfile.GNU_FORMAT) + bytes(size)
    several = member * max(1, (1 << 20) // len(member))
    with gzip.open(tmp_path / "x.tar.gz", "wb", compresslevel=1) as archive:
        for _ in range((256 << 20) // len(several)):
            archive.write(several)
    told = soon_told(tmp_path / "x.tar.gz")
    assert "is not read to its end: more than 128 MiB of it are no snapshots" in told


@pytest.mark.parametrize("name", ["x.tar.gz", "x.zip", "x.jsonl.gz"])
def test_members_that_only_begin_like_snapshots_are_not_read_to_the_end(
    name: str, tmp_path: Path
) -> None:
    """What was refused counts as no snapshot, however it begins."""
    text = b'{"format":"lockcfg-snapshot","version":2,"a":"' + b"x" * (30 << 20)
    path, count = tmp_path / name, 12
    if name == "x.zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
            for number in range(count):
                archive.writestr(f"{number}.json", text)
    elif name == "x.tar.gz":
        with tarfile.open(path, "w:gz", compresslevel=1) as tar:
            for number in range(count):
                info = tarfile.TarInfo(f"{number}.json")
                info.size = len(text)
                tar.addfile(info, io.BytesIO(text))
    else:
        with gzip.open(path, "wb", compresslevel=1) as lines:
            for _ in range(count):
                lines.write(text + b"\n")
    told = json.loads(soon_told(path))
    reasons = [each["reason"] for each in told["unreadable"]]
    ended = "is not read to its end: more than 128 MiB of it are no snapshots"
    assert reasons.count(ended) == 1
    assert 3 <= len(reasons) < count
    assert told["verdict"]["text"].startswith("There is no host")


def test_the_verdict_says_that_no_host_is_known_of_an_error(
    tmp_path: Path, lockcfg: RunLockcfg
) -> None:
    """It does not say "0 hosts with errors"."""
    write_fleet(tmp_path, {"kvm01": {}})
    (tmp_path / "x.json").write_text("{")
    said = lockcfg("audit", "--now", str(NOW), tmp_path).stdout
    assert said.startswith("Not safe: 1 error without a known host.")


def test_an_archive_with_other_things_in_it_is_read(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """As people make them: logs between the snapshots, and a compression that the name hides."""
    folder = write_fleet(tmp_path / "s", {f"kvm{number}": {} for number in range(9)})
    with tarfile.open(tmp_path / "x.tar", "w:xz") as tar:
        for file in sorted(folder.iterdir()):
            log = tarfile.TarInfo(f"{file.stem}.log")
            log.size = 5 << 20
            tar.addfile(log, io.BytesIO(bytes(log.size)))
            tar.add(file, file.name)
    report = json.loads(lockcfg("audit", "--json", "--now", str(NOW), tmp_path / "x.tar").stdout)
    assert report["summary"]["hosts"] == 9
    assert report["unreadable"] == []


LAYOUTS: dict[str, Callable[[Any], str]] = {
    "the collector's": render,
    "one line": json.dumps,
    "indented": lambda content: json.dumps(content, indent=2),
    "blanks": lambda content: render(content).replace('":', '" : '),
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize(
    "place", ['"name"', '"uuid"', '"path"', '"boot_id"', '"mode"', '"tools"', '"libvirt"']
)
def test_a_member_that_is_there_twice_is_refused(layout: str, warm: bool, place: str) -> None:
    """In every layout and at every depth, also if such a snapshot was read before."""
    shape = {
        "guests": [{"name": "g", "uuid": "u", "disks": ["/srv/images/g"]}],
    }
    surveyor = Ingester(Store.create())
    if warm:
        surveyor.snapshot("kvm01.json", text_of("kvm01", shape).encode())
    text = LAYOUTS[layout](snapshot("kvm01", shape))
    match = re.search(rf"{place}\s*:\s*", text)
    assert match, "it is there"
    doubled = f"{text[: match.end()]}0,{match[0]}{text[match.end() :]}"
    with pytest.raises(SnapshotError, match="twice"):
        surveyor.snapshot("kvm01.json", doubled.encode())
