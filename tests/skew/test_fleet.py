"""Snapshots and fleet stores that another version has made."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.skew.wheels import NOW, PAST, Version

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture(scope="session")
def made(
    versions: Mapping[str, Version], tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, Path]:
    """By version, a snapshot of this host, ``.json``, and the fleet store of it, ``.store``."""
    directory = tmp_path_factory.mktemp("made")
    etc = directory / "etc"
    etc.mkdir()
    (etc / "qemu.conf").write_text('lock_manager = "lockd"\n')
    (etc / "qemu-lockd.conf").write_text('file_lockspace_dir = "/srv/locks"\n')
    found = {}
    for name, version in versions.items():
        found[name] = directory / name
        snapshot = found[name].with_suffix(".json")
        collected = version.run(
            "lockcfg", "collect", "--etc", etc, "--name", name, "--output", snapshot
        )
        assert collected.returncode == 0, collected.stderr
        stored = version.run(
            "lockcfg", "audit", "--partial", found[name].with_suffix(".store"), snapshot
        )
        assert stored.returncode == 0, stored.stderr
    return found


@pytest.mark.parametrize("suffix", [".json", ".store"])
@pytest.mark.parametrize("past", PAST)
def test_what_the_past_has_made_is_read(
    versions: Mapping[str, Version], made: Mapping[str, Path], past: str, suffix: str
) -> None:
    """The host is there with its settings; and what the past did not look at is not taken for
    safe."""
    audit = versions[NOW].run("lockcfg", "audit", "--json", made[past].with_suffix(suffix))
    assert audit.returncode == 1, audit.stderr
    report = json.loads(audit.stdout)
    assert report["unreadable"] == []
    assert [group["hosts"] for group in report["groups"]] == [[past]]
    assert report["verdict"]["level"] != "safe"


@pytest.mark.parametrize("past", PAST)
def test_stores_of_two_versions_are_one_fleet(
    versions: Mapping[str, Version], made: Mapping[str, Path], past: str
) -> None:
    """As while a fleet is upgraded host by host."""
    paths = [made[name].with_suffix(".store") for name in (past, NOW)]
    audit = versions[NOW].run("lockcfg", "audit", "--json", "--merge", *paths)
    assert audit.returncode == 1, audit.stderr
    groups = json.loads(audit.stdout)["groups"]
    assert {host for group in groups for host in group["hosts"]} == {past, NOW}


@pytest.mark.parametrize("past", PAST)
def test_what_is_newer_is_read_or_refused(
    versions: Mapping[str, Version], made: Mapping[str, Path], past: str
) -> None:
    """An older version says in words that it cannot read it, and never that it is safe."""
    snapshot = versions[past].run("lockcfg", "audit", made[NOW].with_suffix(".json"))
    assert snapshot.returncode == 1
    assert "a newer lockcfg is needed" in snapshot.stdout or "Not safe" in snapshot.stdout
    store = versions[past].run("lockcfg", "audit", made[NOW].with_suffix(".store"))
    assert store.returncode == 3
    assert "is a fleet store of version" in store.stderr
    for each in (snapshot, store):
        assert "Traceback" not in each.stdout + each.stderr
