"""The playbooks refuse to be run in part, on no host or on hosts that were not meant, before they
do anything."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import yaml

if TYPE_CHECKING:
    from typing import Final

    from tests.ansible.playing import Controller


#: What a part of the playbooks, and of the role, begins with.
LAST: Final = {
    "audit": "Audit the fleet",
    "canary": "Say what to do next",
    "rollback": "Roll back",
    "rollout": "Roll out",
}

#: What the runs have to know. On the machine of the tests nothing may be changed, so they are for
#: check mode.
KNOWN: Final = (
    "--check",
    *("-e", "lockcfg_policy=/nowhere/fleet.yaml", "-e", "lockcfg_canary=h1"),
)


def refused(controller: Controller, playbook: str, *options: str) -> str:
    """What a run says that does no task."""
    (controller.directory / "hosts.yaml").write_text(
        "all: {hosts: {h1: {}, h2: {}}, vars: {ansible_connection: local}}"
    )
    ran = controller.run("ansible-playbook", "-i", "hosts.yaml", playbook, *KNOWN, *options)
    assert ran.returncode not in (0, 1), ran.stdout
    # Ansible itself looks at the arguments of a role.
    assert ran.stdout.count("ok: [") == ran.stdout.count(" : Validating arguments"), ran.stdout
    assert not (controller.directory / "rollout").exists()
    return " ".join((ran.stdout + ran.stderr).split())


@pytest.mark.parametrize(
    ("playbook", "option", "value"),
    [
        *((playbook, "--start-at-task", last) for playbook, last in LAST.items()),
        *((playbook, "--tags", "collect") for playbook in LAST),
        ("canary", "--tags", "never,rollout"),
        ("rollback", "--skip-tags", "hold"),
        ("rollout", "--skip-tags", "always"),
        ("rollout", "--tags", "always"),
        ("rollout", "--step", ""),
    ],
)
def test_a_part_of_a_playbook_is_refused(
    controller: Controller, playbook: str, option: str, value: str
) -> None:
    """A run without tasks would end well, and say nothing; one that starts at the last task would
    say that all before it was done."""
    said = refused(controller, f"lockcfg.lockcfg.{playbook}", *filter(None, (option, value)))
    assert f"run it without {option}. Nothing was done." in said


@pytest.mark.parametrize(
    ("playbook", "limit"),
    [("canary", "h1"), ("rollback", "h1"), ("rollout", "h1"), ("rollout", "all")],
)
def test_a_part_of_the_hosts_is_refused(controller: Controller, playbook: str, limit: str) -> None:
    """The others would not be held. If the policy has a pattern in the place of their names, the
    fleet was called safe without them."""
    said = refused(controller, f"lockcfg.lockcfg.{playbook}", "--limit", limit)
    assert "run it without --limit." in said
    assert "--extra-vars lockcfg_hosts=" in said


@pytest.mark.parametrize(
    ("point", "options"),
    [
        ("main", ("--limit", "h1")),
        ("back", ("--limit", "h1")),
        ("main", ("--start-at-task", "Do what the plan says")),
        ("back", ("--start-at-task", "Let the settings take effect")),
    ],
)
def test_a_part_of_the_role_is_refused(
    controller: Controller, point: str, options: tuple[str, str]
) -> None:
    """In a play of one's own, where its tasks are those of the play."""
    role = {
        "name": "lockcfg.lockcfg.rollout",
        "tasks_from": point,
    }
    variables = {"rollout_policy": "/nowhere/fleet.yaml", "rollout_work": "rollout"}
    play = {"hosts": "all", "gather_facts": False, "tasks": [{"import_role": role}]}
    (controller.directory / "own.yaml").write_text(yaml.safe_dump([{**play, "vars": variables}]))
    said = refused(controller, "own.yaml", *options)
    assert f"run it without {options[0]}" in said
    assert "Hold this host" not in said


def test_what_may_be_given(controller: Controller) -> None:
    """What only lists is no part of a run."""
    (controller.directory / "hosts.yaml").write_text("all: {hosts: {h1: {}, h2: {}}}")
    for options in (("--list-tasks", "--tags", "x"), ("--list-hosts", "--limit", "h1")):
        ran = controller.run(
            *("ansible-playbook", "lockcfg.lockcfg.rollout", "-i", "hosts.yaml", *options)
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr


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
