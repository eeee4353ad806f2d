"""What evidence of a probe shows, and what it must not be taken for."""

from __future__ import annotations

import itertools
import json
import random
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.made_up_fleet import NOW, WRONG, text_of
from lockcfg.fleet.model.evidence import evidence_of, probe_of
from lockcfg.fleet.snapshots import collector
from lockcfg.yamlschema import load_schema, violations
from tests.fleet.fleets import audited, findings_of, write_fleet

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import RunLockcfg

LOCKS = "/srv/locks/files"
IMAGES = "/srv/images"


def told(number: int, *, round: str = "r", **paths: Any) -> dict[str, Any]:
    """The evidence of a host: a nonce, who has marked, and whose locks are seen; or an error."""
    directories = [
        {"path": f"/{path}", "error": seen}
        if isinstance(seen, str)
        else {"path": f"/{path}", "nonce": seen[0], "marked": seen[1], "locked": seen[2]}
        for path, seen in paths.items()
    ]
    evidence = {
        "probe": "p",
        "round": round,
        "number": number,
        "hosts": 3,
        "taken": 1,
        "directories": directories,
    }
    return evidence_of(evidence, ())


def reaches(*hosts: dict[str, Any]) -> list[str]:
    """How far the locks of each host reach in /d, in their order; empty for no sight."""
    probe = probe_of(dict(enumerate(hosts)))
    return [
        probe.sights[host]["/d"].reach if "/d" in probe.sights.get(host, {}) else ""
        for host in range(len(hosts))
    ]


ALL = [1, 2, 3]


def test_who_sees_everybody_reaches_everybody() -> None:
    """Of three hosts, and of one that keeps its locks to itself the others say nothing."""
    assert reaches(*(told(n, d=("x", ALL, ALL)) for n in ALL)) == ["yes", "yes", "yes"]
    alone = (
        told(1, d=("x", ALL, [1])),
        told(2, d=("x", ALL, [2, 3])),
        told(3, d=("x", ALL, [2, 3])),
    )
    for order in itertools.permutations(range(3)):
        expected = ["no" if at == 0 else "yes" for at in order]
        assert reaches(*(alone[at] for at in order)) == expected


def test_two_halves_are_no_whole() -> None:
    """Each host sees one of the others, and does not see another one."""
    halves = [[1, 2], [1, 2], [3, 4], [3, 4]]
    hosts = [told(n, d=("x", [1, 2, 3, 4], seen)) for n, seen in enumerate(halves, 1)]
    assert reaches(*hosts) == ["no"] * 4


@pytest.mark.parametrize(
    ("one", "other"),
    [
        # The other had not said that it holds its locks, or one saw it and one did not: it may have
        # ended, or not begun.
        (("x", [1], [1]), ("x", [1, 2], [2])),
        (("x", [1, 2], [1]), ("x", [2], [2])),
        (("x", [1, 2], [1]), ("x", [1, 2], [1, 2])),
    ],
)
def test_what_is_not_shown_is_unknown(one: Any, other: Any) -> None:
    """Neither that they exclude each other nor that they do not."""
    assert reaches(told(1, d=one), told(2, d=other)) == ["unknown", "unknown"]


@pytest.mark.parametrize(
    ("one", "other", "doubtful"),
    [
        # A lock was not seen, of a host that had said that it holds it.
        (("x", [1, 2], [1]), ("x", [1, 2], [1, 2]), True),
        (("x", [1], [1]), ("x", [1, 2], [2]), True),
        # It had not said so; it was seen; both show that it does not keep the other out.
        (("x", [1], [1]), ("x", [2], [2]), False),
        (("x", [1, 2], [1, 2]), ("x", [1, 2], [1, 2]), False),
        (("x", [1, 2], [1]), ("x", [1, 2], [2]), False),
    ],
)
def test_a_lock_that_one_host_does_not_see_is_doubtful(
    one: Any, other: Any, doubtful: bool
) -> None:
    """So that what is inferred without the probe does not count."""
    probe = probe_of(dict(enumerate((told(1, d=one), told(2, d=other)))))
    assert [sights["/d"].doubtful for sights in probe.sights.values()] == [doubtful] * 2


def test_a_host_that_is_alone_shows_nothing() -> None:
    """Nor does one of another round, nor one that did not see its own mark, nor two with one
    number."""
    assert reaches(told(1, d=("x", [1], [1]))) == ["unknown"]
    both = [1, 2]
    assert reaches(told(1, d=("x", both, both)), told(2, round="s", d=("x", both, both))) == [
        "unknown",
        "unknown",
    ]
    assert reaches(told(1, d=("x", both, both)), told(2, d=("x", [1], both))) == ["unknown", ""]
    assert reaches(told(1, d=("x", both, both)), told(1, d=("x", both, both))) == ["", ""]


def test_two_hosts_with_one_number_take_nothing_from_the_others() -> None:
    """What these show counts, wherever they come."""
    both = [2, 3]
    twice = [told(1, d=("x", ALL, ALL))] * 2
    others = [told(n, d=("x", both, both)) for n in both]
    probe = probe_of(dict(enumerate([*twice, *others])))
    assert [*probe.sights] == [2, 3]
    assert {host: sights["/d"].reach for host, sights in probe.sights.items()} == {
        2: "yes",
        3: "yes",
    }
    assert probe.errors == dict.fromkeys((0, 1), ("another host has its number in the probe",))


def test_an_error_is_told_of_its_host() -> None:
    probe = probe_of({7: told(1, d="it was full", e=("x", [1], [1]))})
    assert probe.errors == {7: ("/d: it was full",)}
    assert [*probe.sights[7]] == ["/e"]


def test_of_many_hosts_those_with_the_lowest_numbers_are_compared(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever their ids; the others are told of."""
    monkeypatch.setattr("lockcfg.fleet.model.evidence.COMPARED", 2)
    probe = probe_of({10 - n: told(n, d=("x", ALL, ALL)) for n in ALL})
    (scratch,) = probe.scratches
    assert [*scratch.paths] == [9, 8]
    assert probe.errors == {7: ("/d: more than 2 hosts have it, and not all were compared",)}
    assert {host: sights["/d"].reach for host, sights in probe.sights.items()} == {
        9: "yes",
        8: "yes",
        7: "unknown",
    }


def test_a_sight_is_of_its_round_and_its_file() -> None:
    """By that the audit knows whether two hosts saw one file at one time."""
    probe = probe_of(
        {
            7: told(1, round="s", d=("x", [1, 2], [1, 2])),
            9: told(2, round="s", d=("x", [1, 2], [1, 2])),
        }
    )
    sight = probe.sights[7]["/d"]
    assert (sight.round, sight.nonce) == ("s", "x")
    assert sight.ids == ("nonce:s/x", "reach:s/yes")
    (scratch,) = probe.scratches
    assert (scratch.round, scratch.nonce, scratch.taken) == ("s", "x", 1)
    assert scratch.paths == {7: "/d", 9: "/d"}
    assert probe.lacking == {"s": (1, 3)}


def test_the_order_of_hosts_does_not_matter() -> None:
    """Of random sights every order says the same."""
    rng = random.Random(5)
    for _ in range(200):
        hosts = [
            told(
                n,
                d=(
                    rng.choice("xxy"),
                    [n, *(m for m in ALL if rng.random() < 0.8)],
                    [n, *(m for m in ALL if rng.random() < 0.6)],
                ),
            )
            for n in ALL
        ]
        expected = sorted(zip(ALL, reaches(*hosts), strict=True))
        for order in itertools.permutations(range(3)):
            found = reaches(*(hosts[at] for at in order))
            assert sorted((at + 1, seen) for at, seen in zip(order, found, strict=True)) == expected


def evidence(number: int, *, hosts: int = 2, **paths: Any) -> dict[str, Any]:
    """The changes of a made-up host that took part in a probe."""
    at = {"locks": LOCKS, "images": IMAGES}
    return {
        "evidence": {
            "number": number,
            "hosts": hosts,
            "directories": [
                {"path": at[name], "nonce": nonce, "marked": marked, "locked": locked}
                for name, (nonce, marked, locked) in paths.items()
            ],
        }
    }


DISK = {"guests": [{"name": "shared", "disks": [f"{IMAGES}/shared.qcow2"], "running": False}]}
BOTH = [1, 2]


def seen(nonce: str = "x") -> tuple[str, list[int], list[int]]:
    """A lock that each sees of the other."""
    return nonce, BOTH, BOTH


def test_what_is_uncertain_is_certain_with_a_probe() -> None:
    """MooseFS carries locks or not, and no mount tells; in a probe it shows."""
    moose = {**DISK, **WRONG["MooseFS"]}
    assert audited({"a": moose, "b": moose}).verdict.level == "unknown"
    shown = audited({n: {**moose, **evidence(i, locks=seen())} for i, n in enumerate("ab", 1)})
    # The other lockspaces are no part of this probe.
    assert [disk.safe for disk in shown.disks] == ["yes"]
    refuted = audited(
        {n: {**moose, **evidence(i, locks=("x", BOTH, [i]))} for i, n in enumerate("ab", 1)}
    )
    assert [disk.safe for disk in refuted.disks] == ["no"]
    assert "do not see each other's locks" in refuted.disks[0].reasons[-1]
    (finding,) = findings_of(refuted, "LA213")
    assert list(finding.hosts) == ["a", "b"]


def test_what_seems_to_be_one_is_two_with_two_nonces() -> None:
    """One export of one server, by its name and number; and two scratch files."""
    hosts = {n: {**DISK, **evidence(i, locks=(n, [i], [i]))} for i, n in enumerate("ab", 1)}
    assert [disk.safe for disk in audited({"a": DISK, "b": DISK}).disks] == ["yes"]
    result = audited(hosts)
    assert [disk.safe for disk in result.disks] == ["no"]
    assert findings_of(result, "LA214")
    assert result.verdict.level == "unsafe"
    # Of the disks that is no harm: their guests lock one file, needed or not.
    apart = {n: {**DISK, **evidence(i, images=(n, [i], [i]))} for i, n in enumerate("ab", 1)}
    assert [disk.safe for disk in audited(apart).disks] == ["yes"]


def test_what_seems_to_be_two_is_one_with_one_nonce() -> None:
    """Another server by its address and number; and one scratch file."""
    other = WRONG["another export"]
    assert [disk.safe for disk in audited({"a": DISK, "b": {**DISK, **other}}).disks] != ["yes"]
    hosts = {"a": {**DISK, **evidence(1, locks=seen())}}
    hosts["b"] = {**DISK, **other, **evidence(2, locks=seen())}
    result = audited(hosts)
    assert [disk.safe for disk in result.disks] == ["yes"]
    assert findings_of(result, "LA214")  # one of the two is wrong all the same


def test_a_host_that_keeps_its_locks_does_not_make_the_rest_unsafe() -> None:
    """One of three hosts sees no other: its disks are unsafe with any other host, and the disks of
    those two are not."""
    marked = [1, 2, 3]
    hosts = {
        name: {**DISK, **evidence(number, hosts=3, locks=("x", marked, locked))}
        for number, (name, locked) in enumerate({"a": [1], "b": [2, 3], "c": [2, 3]}.items(), 1)
    }
    result = audited(hosts)
    (disk,) = result.disks
    assert (disk.safe, disk.pair[0]) == ("no", "a")
    assert {host for each in findings_of(result, "LA213") for host in each.hosts} == {"a"}
    del hosts["a"]
    assert [disk.safe for disk in audited(hosts).disks] == ["yes"]
    assert "of the 3 hosts of the probe 1 have no answer" in str(
        [each.message for each in findings_of(audited(hosts), "LA215")]
    )


def test_evidence_goes_through_the_store(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """Parts that are merged say what the whole says, in any layout of the snapshots."""
    hosts = {n: {**DISK, **evidence(i, locks=("x", BOTH, [i]))} for i, n in enumerate("ab", 1)}
    folder = write_fleet(tmp_path / "snapshots", hosts)
    now = ("--now", str(NOW), "--json")
    whole = lockcfg("audit", *now, str(folder)).stdout
    for name in hosts:
        lockcfg("audit", "--partial", str(tmp_path / f"{name}.fleet"), str(folder / f"{name}.json"))
    stores = [str(tmp_path / f"{name}.fleet") for name in hosts]
    assert lockcfg("audit", *now, "--merge", *stores).stdout == whole
    assert json.loads(whole)["probe"][0]["pairs"] == [["a", "b", "no"]]
    assert violations(json.loads(whole), load_schema("audit-output")) == []
    for path in folder.iterdir():
        path.write_text(json.dumps(json.loads(path.read_text())))
    assert lockcfg("audit", *now, str(folder)).stdout == whole


def test_a_plan_is_what_the_schema_says() -> None:
    """The hosts read it by hand: every value that one refuses the other refuses."""
    schema = load_schema("probe")
    good = {
        "format": "lockcfg-probe",
        "version": 1,
        "id": "0" * 32,
        "seconds": 60,
        "hosts": ["a", "b"],
        "directories": ["/srv"],
        "held": {"1": "0" * 32},
    }
    assert violations(good, schema) == []
    assert collector.plan_of(json.dumps(good), asking=True) == good
    wrong: dict[str, list[Any]] = {
        "format": ["", 1],
        "version": [2, "1"],
        "id": ["../x", "0" * 31, None],
        "seconds": [0, 3601, "60", 1.5],
        "hosts": [[], ["a", "a"], "a", [1]],
        "directories": [["srv"], "/srv", [1]],
        "held": [[], "x"],
    }
    for key, values in wrong.items():
        for value in values:
            bad = {**good, key: value}
            assert violations(bad, schema) != [], bad
            with pytest.raises(ValueError, match="plan of a probe"):
                collector.plan_of(json.dumps(bad))


def test_a_snapshot_with_evidence_is_what_the_schema_says() -> None:
    """As the collector writes it."""
    text = text_of("a", evidence(1, locks=seen()))
    assert violations(json.loads(text), load_schema("snapshot")) == []
