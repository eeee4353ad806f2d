"""Rollouts with options and values that people give: each ends in a clear message, with the hosts
held, and the next run goes on. The tests have one fleet, and each finds it as the one before has
left it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.ansible.rollout.bed import SPACE, Fleet, Kind, Shape
from tests.ansible.rollout.test_rollout import audit, changed, running, stopped
from tests.real.shared.daemons import VIRTLOCKD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

pytestmark = pytest.mark.usefixtures("long_run")

TWO: Final = Shape(
    {"h1": Kind(VIRTLOCKD, {}), "h2": Kind(VIRTLOCKD, None)},
    {"all": ({**SPACE, "lock_manager": "lockd"}, ("h1", "h2"))},
)


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, collections: Path) -> Iterator[Fleet]:
    """The fleet that the tests bring from state to state."""
    with Fleet(tmp_path_factory.mktemp("options"), collections, TWO) as fleet:
        fleet.write_policy()
        yield fleet


def refused(fleet: Fleet, playbook: str, *options: str) -> str:
    """What a run says that changes nothing; guests run on."""
    before = fleet.settings()
    status, said = fleet.play(playbook, *options)
    assert status != 0, said
    assert fleet.settings() == before
    assert fleet.guests() == running(fleet.kinds)
    return said


@pytest.mark.parametrize(
    ("playbook", "value", "message"),
    [
        ("audit", "lockcfg_fail_level=much", "'much' is none of its choices"),
        ("audit", "lockcfg_policy=/nowhere/fleet.yaml", "/nowhere/fleet.yaml"),
        ("canary", "lockcfg_canary=", "the play has no host ''"),
        ("rollout", "rollout_hold_when_stopped=perhaps", "'perhaps' is not a valid boolean"),
        ("rollout", "rollout_probe_seconds=soon", "cannot be converted to an int"),
        ("rollout", "rollout_probe_seconds=-1", "not a number from 1 to 3600"),
        ("rollout", '{"rollout_only": {"h1": 1}}', "rollout_only"),
    ],
)
def test_a_wrong_value(fleet: Fleet, playbook: str, value: str, message: str) -> None:
    """It is named, and nothing was done."""
    said = refused(fleet, playbook, "--extra-vars", value)
    assert message in said, said
    assert fleet.held() == set()


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("lockcfg_policy=/nowhere/fleet.yaml", "Make the plan: /nowhere/fleet.yaml: "),
        ("lockcfg_work=/proc/rollout", "/proc/rollout"),
    ],
)
def test_what_shows_later(fleet: Fleet, value: str, message: str) -> None:
    """The hosts are held when it does."""
    why = stopped(refused(fleet, "rollout", "--extra-vars", value))
    assert message in why, why
    assert "No guest can be started or taken in on h1, h2." in why, why
    assert fleet.held() == {"h1", "h2"}


@pytest.mark.parametrize("hosts", [["h1", "h2"], ["h*"]], ids=["names", "pattern"])
def test_a_limit(fleet: Fleet, hosts: list[str]) -> None:
    """Nothing is done, and no hold lifted, even if the policy does not name who is left out."""
    right = fleet.policy.read_text()
    held = fleet.held()
    policy = yaml.safe_load(right)
    policy["groups"]["all"]["hosts"] = hosts
    fleet.policy.write_text(yaml.safe_dump(policy))
    try:
        for playbook in ("rollout", "canary", "rollback"):
            said = refused(fleet, playbook, "--limit", "h1", "--extra-vars", "lockcfg_canary=h1")
            assert "run it without --limit" in " ".join(said.split()), said
            assert "TASK [" not in said
            assert fleet.held() == held
    finally:
        fleet.policy.write_text(right)


def test_an_audit_with_a_limit(fleet: Fleet) -> None:
    """It judges all. Of a host of which nothing is known it does not say that it is safe."""
    right = fleet.policy.read_text()
    fleet.policy.write_text(
        'groups: {all: {hosts: ["h*"], settings: {file_lockspace_dir: /srv/shared/locks}}}'
    )
    limit = ("--limit", "h1", "--extra-vars", "lockcfg_fail_level=never")
    try:
        (fleet.directory / "rollout/snapshots/h2.json.gz").unlink(missing_ok=True)
        said = refused(fleet, "audit", *limit)
        assert "This verdict is without h2" in " ".join(said.split()), said
        status, said = fleet.play("audit", "--extra-vars", "lockcfg_fail_level=never")
        assert status == 0, said
        status, said = fleet.play("audit", *limit)
        assert status == 0, said
        assert "This verdict is without" not in said
    finally:
        fleet.policy.write_text(right)


def test_check_and_diff(fleet: Fleet) -> None:
    """They change nothing, and lift no hold."""
    assert fleet.held() == {"h1", "h2"}
    for playbook in ("rollout", "rollback"):
        checked(fleet, playbook)


def test_a_canary_in_check_mode(fleet: Fleet) -> None:
    """It says what would be done on the first hosts, and not that it is done."""
    said = " ".join(checked(fleet, "canary", "--extra-vars", "lockcfg_canary=h1").split())
    assert "the steps of the plan are done" not in said
    assert '"h1, h2: hold: ' in said, said
    assert '"h1: write: ' in said, said
    for action in ("write", "restart", "release", "check"):
        assert f"h2: {action}: " not in said, said


def checked(fleet: Fleet, playbook: str, *options: str) -> str:
    """What a run in check mode says, which changes nothing and lifts no hold."""
    before, held = fleet.settings(), fleet.held()
    status, said = fleet.play(playbook, "--check", "--diff", *options)
    assert status == 0, said
    assert set(changed(said).values()) == {0}, said
    assert fleet.settings() == before
    assert fleet.held() == held
    return said


def test_a_host_that_does_not_answer(fleet: Fleet) -> None:
    """It is named, and the other one is held."""
    fleet.stop_sshd("h2")
    try:
        why = stopped(refused(fleet, "rollout"))
    finally:
        fleet.start_sshd("h2")
    assert why.startswith("Stopped before anything was changed"), why
    assert "- h2: it does not answer" in why
    assert "No guest can be started or taken in on h1." in why
    assert "Not held: h2. Start no guest there." in why


def test_a_host_that_would_refuse(fleet: Fleet) -> None:
    """It lacks the plugin of the lock manager: the run stops while all is as it was, and check mode
    says so as well."""
    h2 = fleet.hosts["h2"]
    (plugin,) = Path("/usr/lib").glob("*/libvirt/lock-driver")
    h2.sh('mkdir -p /srv/empty; mount --bind /srv/empty "$2"', str(plugin))
    try:
        for options in (("--check",), ()):
            why = stopped(refused(fleet, "rollout", *options))
            assert why.startswith("Stopped before anything was changed"), why
            assert "- h2: " in why
            assert "lock-driver/lockd.so) is not installed" in why, why
    finally:
        h2.sh('umount "$2"', str(plugin))


def test_a_policy_that_is_broken_meanwhile(fleet: Fleet) -> None:
    """In the middle of the run: the hosts stay held, and the next run goes on there."""
    right = fleet.policy.read_text()
    with fleet.play_beside("rollout") as run:
        with fleet.paused("h1", "systemctl", "restart libvirtd"):
            fleet.reached("h1", run)
            fleet.policy.write_text("groups: [")
        said, _ = run.communicate(timeout=1800)
    assert run.returncode != 0, said
    why = stopped(said)
    assert str(fleet.policy) in why, why
    assert fleet.held() == {"h1", "h2"}
    assert fleet.guests() == running(fleet.kinds)
    fleet.policy.write_text(right)


def test_one_fork_and_another_strategy(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps have their order all the same; the run ends well."""
    monkeypatch.setenv("ANSIBLE_STRATEGY", "free")
    status, said = fleet.play("rollout", "--forks", "1", "--diff")
    assert status == 0, said
    assert fleet.held() == set()
    assert fleet.guests() == running(fleet.kinds)
    assert audit(fleet) == "safe"


def test_what_the_gate_does_not_foresee(fleet: Fleet) -> None:
    """The hosts are held although the plan had no step: they are not proven safe."""
    safe = fleet.directory / "rollout/safe"
    safe.unlink()
    safe.mkdir()
    status, said = fleet.play("rollout")
    assert status != 0, said
    assert "Note that it is proven" in stopped(said)
    assert fleet.held() == {"h1", "h2"}
    safe.rmdir()
    status, said = fleet.play("rollout")
    assert status == 0, said
    assert fleet.held() == set()
