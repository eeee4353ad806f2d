"""The playbooks refuse to be run in part, on no host or on hosts that were not meant, before they
do anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.ansible.playing import Controller


@pytest.mark.parametrize(
    ("playbook", "options"),
    [
        ("audit", ("--tags", "collect")),
        ("canary", ("--tags", "never,rollout")),
        ("rollback", ("--skip-tags", "hold")),
        ("rollout", ("--tags", "always")),
    ],
    ids=lambda each: each if isinstance(each, str) else each[0],
)
def test_a_part_of_a_playbook_is_refused(
    controller: Controller, playbook: str, options: tuple[str, str]
) -> None:
    """A run without tasks would end well, and say nothing."""
    (controller.directory / "hosts.yaml").write_text(
        "all: {hosts: {h1: {ansible_connection: local}}}"
    )
    ran = controller.run(
        "ansible-playbook",
        *(f"lockcfg.lockcfg.{playbook}", "-i", "hosts.yaml", *options),
        *("-e", "lockcfg_policy=fleet.yaml", "-e", "lockcfg_canary=h1"),
    )
    assert ran.returncode == 2, ran.stdout
    assert "run it without --tags and --skip-tags. Nothing was done." in " ".join(
        ran.stdout.split()
    )
    assert ran.stdout.count("TASK [") == 1, ran.stdout
    assert not (controller.directory / "rollout").exists()


@pytest.mark.parametrize("playbook", ["audit", "canary", "rollback", "rollout"])
def test_no_host_is_refused(controller: Controller, playbook: str) -> None:
    """As when the name of a group is misspelt. Ansible itself would say nothing and end well."""
    ran = controller.run(
        *("ansible-playbook", f"lockcfg.lockcfg.{playbook}", "-i", "h1,"),
        *("-e", "lockcfg_hosts=hall-2", "-e", "lockcfg_policy=fleet.yaml"),
    )
    assert ran.returncode not in (0, 1), ran.stdout
    said = " ".join((ran.stdout + ran.stderr).split())
    assert "the inventory has none of the hosts of lockcfg_hosts" in said
    assert "TASK [" not in said


@pytest.mark.parametrize("playbook", ["audit", "canary", "rollback", "rollout"])
def test_hosts_that_the_inventory_names_are_refused(controller: Controller, playbook: str) -> None:
    """The play is for all hosts then. The same name on the command line is right."""
    (controller.directory / "hosts.yaml").write_text(
        "all: {children: {storage: {hosts: {storage-1: {ansible_connection: local}}},"
        " kvm: {hosts: {h1: {ansible_connection: local}}, vars: {lockcfg_hosts: kvm}}}}"
    )
    words = (
        *("ansible-playbook", f"lockcfg.lockcfg.{playbook}", "-i", "hosts.yaml", "--check"),
        *("-e", "lockcfg_policy=/nowhere/fleet.yaml", "-e", "lockcfg_canary=h1"),
    )
    ran = controller.run(*words)
    assert ran.returncode == 2, ran.stdout
    said = " ".join((ran.stdout + ran.stderr).split())
    assert "give it with --extra-vars lockcfg_hosts=kvm. Nothing was done." in said, said
    assert not (controller.directory / "rollout").exists()
    ran = controller.run(*words, "-e", "lockcfg_hosts=kvm")
    said = " ".join((ran.stdout + ran.stderr).split())
    assert "Nothing was done" not in said
    assert "storage-1" not in said
