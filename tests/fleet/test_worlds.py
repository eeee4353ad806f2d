"""Nothing is called safe that is not, and no disk unsafe that is safe, in any world."""

from __future__ import annotations

import contextlib
import random
from typing import TYPE_CHECKING, NamedTuple

import pytest

from lockcfg.fleet.audit import audit_of, read_fleet
from lockcfg.fleet.snapshots.collector import render
from lockcfg.fleet.store.ingester import Ingester
from lockcfg.fleet.store.store import Store
from tests.fleet.known_fleets import NOW
from tests.fleet.more_worlds import world

if TYPE_CHECKING:
    from collections.abc import Callable

    from lockcfg.fleet.comparison.result import AuditResult
    from tests.fleet.worlds import World


def audit(made: World) -> AuditResult:
    """The audit of what is seen of a world."""
    store = Store.create()
    ingester = Ingester(store)
    for snapshot in made.snapshots:
        ingester.snapshot(f"{snapshot['host']['name']}.json", render(snapshot).encode())
    ingester.read([])
    store.finish()
    try:
        return audit_of(read_fleet(store, now=NOW))
    finally:
        store.close()


def fault_of(made: World, result: AuditResult) -> str:
    """What is wrong with what is said of a world; nothing where it is right."""
    if result.verdict.level == "safe" and not made.safe:
        return f"called safe: {made.conflicts[:1] or 'a lock that is not held'}"
    pairs = {
        frozenset(((one.host, one.guest), (other.host, other.guest)))
        for one, other in made.conflicts
    }
    for disk in result.disks:
        users = {(user.host, user.guest) for user in disk.users}
        conflict = any(pair <= users for pair in pairs)
        if disk.safe == "no" and not conflict:
            return f"called unsafe: {disk.name}: {disk.reasons}"
        if disk.safe == "yes" and conflict:
            return f"called safe: {disk.name}"
    return ""


class Tally(NamedTuple):
    """How often what was said, by how much was seen."""

    faults: list[str]
    said: dict[tuple[float, str], int]

    def share(self, evidence: float, level: str) -> float:
        """How much of the worlds of which so much was seen was called that."""
        total = sum(count for (seen, _), count in self.said.items() if seen == evidence)
        return self.said.get((evidence, level), 0) / max(total, 1)


def tally(seed: int, count: int, *, most: int = 5) -> Tally:
    """What is said of many worlds, up to the first few faults."""
    found = Tally([], {})
    for number in range(count):
        made = world(random.Random(f"{seed} {number}"))
        result = audit(made)
        fault = fault_of(made, result)
        if fault:
            found.faults.append(f"{seed} {number}: {fault}")
            if len(found.faults) >= most:
                break
        key = made.evidence, result.verdict.level
        found.said[key] = found.said.get(key, 0) + 1
    return found


def _answering(answer: object) -> Callable[..., object]:
    return lambda *_, **__: answer


#: Ways to break the model: what is replaced, and by what that looks like it.
BREAKS: dict[str, tuple[str, object]] = {
    "what is unknown is one": ("place._by_numbers", _answering("same")),
    "what is unknown is two": ("place._by_numbers", _answering("different")),
    "one name is one directory": ("place._differ", _answering(answer=False)),
    "one name of a volume is one volume": ("place._PARTS", ()),
    "what somebody wrote into an export is an identity": ("place._is_long", _answering(True)),
    "a volume is on nothing": ("uses.ON_OTHERS", ()),
    "other monitors are another Ceph": ("place._ONE_OF_MANY", ()),
    "all addresses are one server": ("place._systems", _answering("server")),
    "every node of a device is the device": ("locks.relation", _answering("same")),
    "a lock that is not held is held": ("uses._held", _answering("held")),
    "a path of a multipath device is another device": (
        "uses._WWID_TYPES",
        (("naa.", ""), ("eui.", ""), ("t10.", "")),
    ),
    "what is below an image is nobody's": ("uses.traits_of", _answering(())),
}

#: The seeds of worlds that soon find some of them: with others it takes a thousand worlds.
SOON: dict[str, int] = {
    "one name is one directory": 6,
    "one name of a volume is one volume": 15,
}


@pytest.mark.parametrize("name", BREAKS)
def test_a_break_of_the_model_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """By worlds alone, and none of them is needed that was made for it."""
    where, instead = BREAKS[name]
    monkeypatch.setattr(f"lockcfg.fleet.model.{where}", instead)
    for module in ("store.ingester", "store.sections", "comparison.disks"):
        imported = f"lockcfg.fleet.{module}.{where.partition('.')[2]}"
        with contextlib.suppress(AttributeError):
            monkeypatch.setattr(imported, instead)
    assert any(tally(seed, 2_000, most=1).faults for seed in (SOON.get(name, 1), 4))


def test_nothing_is_said_that_is_not_so(
    request: pytest.FixtureRequest, record_property: Callable[[str, object], None]
) -> None:
    """Of thousands of worlds; and the more is seen, the less is unknown."""
    found = tally(1, 100_000 if request.config.getoption("--exhaustive") else 2_000)
    assert found.faults == []
    unknown = {seen: found.share(seen, "unknown") for seen in (0.3, 0.7, 0.95, 1.0)}
    print("unknown, by how much of the evidence is there:", unknown)
    for seen, share in unknown.items():
        record_property(f"unknown at {seen}", f"{share:.3f}")
    assert unknown[0.3] > unknown[0.95] > unknown[1.0]
    assert found.share(1.0, "safe") > 0.02
    assert found.share(1.0, "unsafe") > 0.1
