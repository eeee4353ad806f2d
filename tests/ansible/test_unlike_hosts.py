"""Hosts and plays that are not as one expects them: each ends in a message that says what is wrong,
and nothing is changed."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.ansible.playing import PROGRAMS, task
from tests.conftest import SAMPLES

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Any

    from tests.ansible.playing import Controller


def python(directory: Path, line: str) -> str:
    """A Python that does a line of code before anything else, also with ``-I``."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", directory], check=True)
    (packages,) = directory.glob("lib/python3*/site-packages")
    (packages / "first.pth").write_text(f"import sys; {line}\n")
    return str(directory / "bin/python")


@pytest.mark.parametrize(
    ("seconds", "said"), [(-36_000, "seconds behind"), (4000, "seconds ahead of"), (0, None)]
)
def test_a_clock_that_is_off(
    controller: Controller, tmp_path: Path, seconds: int, said: str | None
) -> None:
    """The task warns of it: the audit would take the facts for newer or older than they are."""
    # Newer releases of Python read such a file twice.
    line = (
        "import time; time.time = vars(time).setdefault('wrong',"
        f" lambda now=time.time: now() + {seconds})"
    )
    host = {"ansible_python_interpreter": python(tmp_path / "host", line)}
    played = controller.play(
        [task("collect", "collect", dest="snapshots", scratch=False)], hosts={"kvm01": host}
    )
    assert played.status == 0, played.output
    warned = [each for each in played["collect"]["kvm01"].get("warnings", ()) if "clock" in each]
    assert len(warned) == (said is not None), played.output
    assert said is None or said in warned[0]


def test_a_python_without_compressions(controller: Controller, tmp_path: Path) -> None:
    """As one that was built from source without their headers: gzip is enough."""
    line = "sys.modules.update(dict.fromkeys(('_bz2', '_lzma')))"
    host = {"ansible_python_interpreter": python(tmp_path / "host", line)}
    spool = tmp_path / "spool"
    spool.mkdir()
    played = controller.play(
        [
            task("fetched", "collect", dest="snapshots", scratch=False),
            task("pushed", "collect", path=str(spool / "kvm01.json.gz"), scratch=False),
            task("locks", "locks"),
            task("no", "collect", path=str(spool / "kvm01.json.xz"), more={"ignore_errors": True}),
        ],
        hosts={"kvm01": host},
    )
    assert played.status == 0, played.output
    assert (controller.directory / "snapshots/kvm01.json.gz").exists()
    assert (spool / "kvm01.json.gz").exists()
    assert "_lzma" in played["no"]["kvm01"]["msg"], played["no"]


@pytest.mark.parametrize("role", ["probe", "rollout", "rollout/back"])
@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"strategy": "free"}, "the strategy 'free'"),
        ({"strategy": "ansible.builtin.host_pinned"}, "the strategy 'host_pinned'"),
        ({"serial": 1}, "these hosts do not take part: kvm02"),
        ({"serial": ["50%", "100%"]}, "these hosts do not take part: kvm02"),
    ],
    ids=["free", "host_pinned", "serial", "halves"],
)
def test_a_play_that_takes_hosts_apart(
    controller: Controller, role: str, keywords: dict[str, Any], said: str
) -> None:
    """Hosts would go on before others have done their part, so none begins, and none is held."""
    name, _, entry = role.partition("/")
    included = {"name": f"lockcfg.lockcfg.{name}", **({"tasks_from": entry} if entry else {})}
    played = controller.play(
        [
            {
                "name": "all",
                "ansible.builtin.include_role": included,
                "vars": {
                    "probe_dest": "snapshots",
                    "rollout_policy": {"groups": {"all": {"hosts": ["kvm01", "kvm02"]}}},
                    "rollout_work": str(controller.directory / "rollout"),
                },
            }
        ],
        hosts={"kvm01": {}, "kvm02": {}},
        keywords=keywords,
    )
    assert played.status == 2, played.output
    assert said in " ".join(played.output.split()), played.output
    assert "Nothing was done" in played.output
    assert not (controller.directory / "snapshots").exists()
    assert not (controller.directory / "rollout").exists()
    assert not any("hold" in each.lower() for each in played.results)


@pytest.mark.parametrize("options", [(), ("--check",)], ids=["written", "checked"])
def test_a_directory_that_is_read_only(
    controller: Controller, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """Check mode says so as well."""
    root = tmp_path / "host"
    (root / "etc").mkdir(parents=True)
    subprocess.run(["cp", "-R", SAMPLES, root / "etc/libvirt"], check=True)
    read_only = 'mount --bind "$1" "$1"; mount -o remount,bind,ro "$1"; shift; exec "$@"'
    played = controller.play(
        [
            task("set", "settings", root=str(root), settings={"lock_manager": "lockd"}),
        ],
        *options,
        before=("unshare", "--mount", "sh", "-euc", read_only, "sh", str(root)),
    )
    assert played.status == 2, played.output
    told = played["set"]["kvm01"]
    assert not told.get("changed")
    assert f"{root}/etc/libvirt: nothing can be written there" in told["msg"], told


def test_values_from_a_vault(controller: Controller, tmp_path: Path) -> None:
    """Of the settings, the name of a hold and the policy: what was encrypted is used like text."""
    root = tmp_path / "host"
    (root / "etc").mkdir(parents=True)
    subprocess.run(["cp", "-R", SAMPLES, root / "etc/libvirt"], check=True)
    (controller.directory / "password").write_text("secret\n")
    (controller.directory / "host_vars").mkdir()
    ran = controller.run(
        *("ansible-vault", "encrypt_string", "--vault-password-file", "password"),
        *("/srv/locks", "--name", "place"),
    )
    assert ran.returncode == 0, ran.stderr
    (controller.directory / "host_vars/kvm01.yml").write_text(ran.stdout)
    wanted = {"file_lockspace_dir": "{{ place }}"}
    other = {"file_lockspace_dir": "{{ place }}/other"}
    policy = {"groups": {"kvm": {"hosts": ["kvm01"], "settings": other}}}
    tasks = [
        task("set", "settings", root=str(root), settings=wanted),
        task("collect", "collect", root=str(root), dest="snapshots"),
        task("plan", "plan", paths=["snapshots"], policy=policy),
    ]
    without = controller.play(tasks)
    assert without.status != 0
    assert "vault" in without.output
    played = controller.play(tasks, "--vault-password-file", "password")
    assert played.status == 0, played.output
    text = (root / "etc/libvirt/qemu-lockd.conf").read_text()
    assert '\nfile_lockspace_dir = "/srv/locks"\n' in text
    said = json.dumps(played["plan"]["kvm01"]["steps"])
    assert "/srv/locks/other" in said, said


def test_the_audit_playbook_says_what_is_wrong(controller: Controller) -> None:
    """In some lines, and not with the whole report; another level is for those who ask for it."""
    (controller.directory / "hosts.yaml").write_text(
        "all: {hosts: {kvm01: {ansible_connection: local,"
        f" ansible_python_interpreter: {PROGRAMS / 'python'}}}}}}}"
    )
    policy = controller.directory / "fleet.yaml"
    policy.write_text("groups: {kvm: {hosts: [kvm01, kvm02], settings: {lock_manager: lockd}}}")
    words = ("lockcfg.lockcfg.audit", "-i", "hosts.yaml", "-e", "lockcfg_policy=fleet.yaml")
    ran = controller.run("ansible-playbook", *words)
    said = ran.stdout + ran.stderr
    assert ran.returncode == 2, said
    assert "- kvm02: " in said.replace("\\n", "\n")
    assert "[LA403]" in said
    assert '"rules"' not in said
    ran = controller.run("ansible-playbook", *words, "-e", "lockcfg_fail_level=never")
    assert ran.returncode == 0, ran.stdout
    assert "PLAY RECAP" in ran.stdout
