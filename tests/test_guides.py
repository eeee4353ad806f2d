"""What the guides show for other tools than Ansible works as it is written there.

The scripts run as their tools call them: Puppet, Salt and cron themselves are in
``test_guides_by_their_tools.py``, and Bolt is not run. ssh and its server are the real ones.
"""

from __future__ import annotations

import gzip
import json
import os
import re
import socket
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from benchmarks.made_up_fleet import NOW, text_of
from lockcfg.fleet.snapshots import collector
from tests.conftest import LOCKCFG

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunLockcfg

PROJECT = Path(__file__).parent.parent
SPOOL = PROJECT / "packaging/spool"
COLLECTOR = str(collector.__file__)


def blocks(page: str, language: str) -> list[str]:
    """The blocks of a guide in a language, in their order."""
    text = (PROJECT / "docs/guides" / f"{page}.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def environment(**more: str) -> dict[str, str]:
    """Of a script, in which the collector is the one of this repository."""
    path = f"{LOCKCFG.parent}:{os.defpath}:/usr/sbin"
    return {"PATH": path, "LC_ALL": "C.UTF-8", "LOCKCFG_COLLECTOR": COLLECTOR, **more}


def host_of(path: Path) -> str:
    """Whose snapshot is in a file."""
    data = path.read_bytes()
    told = json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)
    return str(told["host"]["name"])


# Puppet


def test_the_fact_of_puppet(tmp_path: Path) -> None:
    """An external fact is a program that prints JSON, as Facter wants it: one object."""
    (script,) = blocks("puppet", "py")
    fact = tmp_path / "lockcfg.py"
    fact.write_text(script)
    fact.chmod(0o755)
    done = subprocess.run([fact], env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["lockcfg"]
    assert told.keys() == {"files", "daemons", "running_guests", "incomplete"}


def test_the_task_of_puppet(tmp_path: Path) -> None:
    """Its metadata names what its script takes, which Puppet passes in the environment."""
    (script,) = blocks("puppet", "sh")
    (metadata,) = map(json.loads, blocks("puppet", "json"))
    (parameter,) = metadata["parameters"]
    output = tmp_path / "kvm01.json.gz"
    pattern = metadata["parameters"][parameter]["type"].removeprefix("Pattern[/").removesuffix("/]")
    assert re.fullmatch(pattern.replace("\\z", "\\Z"), str(output))
    assert not re.fullmatch(pattern.replace("\\z", "\\Z"), 'a"; rm.json')
    done = subprocess.run(
        ["sh", "-c", script],
        env=environment(**{f"PT_{parameter}": str(output)}),
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"output": str(output)}
    assert host_of(output) == socket.gethostname()


# Salt


def test_the_module_of_salt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its functions are those that the state and the text name."""
    (source,) = blocks("salt", "py")
    (state,) = map(yaml.safe_load, blocks("salt", "yaml"))
    monkeypatch.setenv("LOCKCFG_COLLECTOR", COLLECTOR)
    module: dict[str, Any] = {}
    exec(source, module)
    parts = {
        key: value
        for each in state["lockcfg-snapshot"]["schedule.present"]
        for key, value in each.items()
    }
    name, _, function = parts["function"].partition(".")
    assert (name, parts["job_args"]) == ("lockcfg", ["/mnt/spool/"])
    written = module[function](f"{tmp_path}/")
    assert Path(written).parent == tmp_path
    assert host_of(Path(written)) == socket.gethostname()
    assert module["summary"]().keys() == {"daemons", "running_guests", "incomplete"}


# ssh


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Path]:
    """A server of ssh on this machine, and a directory with what its client needs."""
    for key in ("host", "client"):
        words: list[str | Path] = [
            "ssh-keygen",
            "-q",
            "-t",
            "ed25519",
            "-N",
            "",
            "-f",
            tmp_path / key,
        ]
        subprocess.run(words, check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    keys = tmp_path / "authorized_keys"
    keys.write_text((tmp_path / "client.pub").read_text())
    (tmp_path / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {tmp_path}/host\nPidFile none\n"
        f"AuthorizedKeysFile {keys}\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
    )
    (tmp_path / "ssh_config").write_text(
        "Host kvm01 kvm02\n"
        f" Hostname 127.0.0.1\n Port {port}\n IdentityFile {tmp_path}/client\n"
        " StrictHostKeyChecking no\n UserKnownHostsFile /dev/null\n LogLevel ERROR\n"
        "Host kvm03\n Hostname 127.0.0.1\n Port 1\n"
    )
    Path("/run/sshd").mkdir(exist_ok=True)
    with subprocess.Popen(
        ["/usr/sbin/sshd", "-D", "-e", "-f", tmp_path / "sshd_config"], stderr=subprocess.PIPE
    ) as daemon:
        assert daemon.stderr is not None
        assert b"listening" in daemon.stderr.readline()
        yield tmp_path
        daemon.terminate()


def test_plain_ssh(server: Path) -> None:
    """The hosts that answer are there. The one that does not is missing, and its snapshot of
    yesterday is gone."""
    collect, audit = blocks("ssh", "sh")
    (server / "hosts").write_text("kvm01\nkvm02\nkvm03\n")
    (server / "snapshots").mkdir()
    (server / "snapshots/kvm03.json").write_text(text_of("kvm03", {}))
    done = subprocess.run(
        ["bash", "-c", collect], cwd=server, env=environment(), capture_output=True, text=True
    )
    assert "some hosts did not answer" in done.stdout, done.stderr
    found = {path.name: host_of(path) for path in (server / "snapshots").glob("*.json")}
    assert found == {"kvm01.json": "kvm01", "kvm02.json": "kvm02"}, done.stderr
    done = subprocess.run(
        ["bash", "-c", audit], cwd=server, env=environment(), capture_output=True, text=True
    )
    assert done.returncode == 1, done.stderr
    assert re.search(r"LA403.*\n  kvm03", done.stdout)


def test_a_host_delivers_its_own_snapshot_and_nothing_else(server: Path) -> None:
    """By the key that the guide shows: whatever the host asks for, and however it ends."""
    spool = server / "spool"
    spool.mkdir()
    (line,) = re.findall(
        r'^    (restrict,command="[^"]*")',
        (PROJECT / "docs/guides/spool.md").read_text(),
        re.MULTILINE,
    )
    line = line.replace("/usr/lib/lockcfg/receive", str(SPOOL / "receive"))
    line = line.replace("/var/spool/lockcfg", str(spool))
    (server / "authorized_keys").write_text(f"{line} {(server / 'client.pub').read_text()}")

    def deliver(data: bytes, *words: str) -> subprocess.CompletedProcess[bytes]:
        command: list[str | Path] = ["ssh", "-F", server / "ssh_config", "root@kvm01", *words]
        return subprocess.run(command, input=data, capture_output=True)

    whole = gzip.compress(text_of("kvm01", {}).encode())
    done = deliver(whole, "rm", "-rf", str(spool))
    assert done.returncode == 0, done.stderr
    assert (spool / "kvm01.json.gz").read_bytes() == whole
    for bad in (whole[:-20], b"", b"{}"):
        done = deliver(bad)
        assert done.returncode == 3
        assert b"not whole" in done.stderr
        assert (spool / "kvm01.json.gz").read_bytes() == whole
    assert [path.name for path in spool.iterdir()] == ["kvm01.json.gz"]


# cron


def test_the_lines_for_cron(tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """cron takes the five fields and the user away, turns backslash and per cent sign into the
    sign, and hands the rest to sh."""
    (tmp_path / "spool").mkdir()
    names = {
        "/mnt/spool": str(tmp_path / "spool"),
        "/var/lib/lockcfg": str(tmp_path),
        "/usr/lib/lockcfg/collect.py": COLLECTOR,
        "1800": "1",
    }
    statuses = []
    for block in blocks("cron", "text"):
        (line,) = [each for each in block.splitlines() if not each.startswith("#")]
        command = line.split(None, 6)[6]
        assert not re.search(r"(?<!\\)%", command)
        command = command.replace("\\%", "%")
        for name, here in names.items():
            command = command.replace(name, here)
        done = subprocess.run(
            ["/bin/sh", "-c", command], env=environment(), capture_output=True, text=True
        )
        assert done.stdout + done.stderr == ""
        statuses.append(done.returncode)
    assert statuses == [0, 1]
    done = lockcfg("audit", "--history", tmp_path / "fleet.store")
    assert done.stdout.startswith("#1 ")
    assert {path.name for path in tmp_path.iterdir()} >= {"fleet.html", "fleet.prom"}


# Units


def test_the_units() -> None:
    """systemd finds nothing wrong with them but that nothing is installed here."""
    units = sorted(map(str, SPOOL.glob("lockcfg-*")))
    assert len(units) == 3
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", *units],
        capture_output=True,
        text=True,
    )
    said = [
        line
        for line in (done.stdout + done.stderr).splitlines()
        if "lockcfg" in line and "is not executable" not in line
    ]
    assert said == []


# Containers


@pytest.fixture
def container(tmp_path: Path) -> Iterator[int]:
    """A process in namespaces of its own, that sees other files of libvirt at /etc/libvirt than the
    host does."""
    etc = tmp_path / "etc"
    etc.mkdir()
    (etc / "qemu.conf").write_text('lock_manager = "lockd"\nuser = "of-the-container"\n')
    script = f"mount --bind {etc} /etc/libvirt && echo ready && exec sleep 1000"
    words = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
    with subprocess.Popen([*words, "sh", "-c", script], stdout=subprocess.PIPE) as outer:
        assert outer.stdout is not None
        assert outer.stdout.readline() == b"ready\n"
        children = Path(f"/proc/{outer.pid}/task/{outer.pid}/children").read_text().split()
        yield int(children[0])
        outer.kill()


def test_what_a_container_sees(container: int, tmp_path: Path, lockcfg: RunLockcfg) -> None:
    """Its files are those of the snapshot in both ways that the guide shows; and where the process
    alone is known, the fleet is not safe."""
    for number, script in enumerate(blocks("containers", "sh")):
        output = tmp_path / f"{number}.json"
        done = subprocess.run(
            ["bash", "-c", script.replace("kvm01.json", str(output))],
            cwd=tmp_path,
            env=environment(PID=str(container)),
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        told = json.loads(output.read_text())
        assert "of-the-container" in told["qemu.conf"]["text"]
        assert told["host"]["name"] == "kvm01"
    done = lockcfg("audit", tmp_path / "1.json", "--now", str(NOW))
    assert done.returncode == 1
    assert "LA407" in done.stdout
