"""Coordinates a probe: it says what the hosts do in its rounds, and reads their answers.

The hosts run the collector (:mod:`lockcfg.fleet.snapshots.collector`). Files go to them and come
back. So any tool that runs a program on many hosts can make a probe; for a few hosts, ssh is
enough.
"""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
from contextlib import suppress

from lockcfg.conf.load import read_bytes
from lockcfg.errors import LockcfgError
from lockcfg.fleet.snapshots import collector
from lockcfg.fleet.snapshots.format import MAX_SIZE, SnapshotError
from lockcfg.fleet.snapshots.reading import member, pieces_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Final

#: How many seconds one round may take on a host: the collector's own limit, and some time for ssh.
PATIENCE: Final = 45.0

#: How many hosts are asked over ssh at most, and how many of them at once.
MOST: Final = 200
_AT_ONCE: Final = 32


def collector_program() -> bytes:
    """The collector: one file, which needs only Python 3.6 on the host."""
    return read_bytes(str(collector.__file__), MAX_SIZE)


def new_plan(hosts: Sequence[str], directories: Sequence[str], seconds: int) -> dict[str, Any]:
    """A plan for ``hosts``. They look at the directories with their locks and disks and at
    ``directories``, and hold their locks for at most ``seconds``. Raises :class:`LockcfgError`."""
    plan = {
        "format": collector.PLAN,
        "version": 1,
        "id": os.urandom(16).hex(),
        "seconds": seconds,
        "hosts": list(hosts),
        "directories": list(directories),
    }
    return parsed_plan(json.dumps(plan), "the plan")


def parsed_plan(text: str, where: str) -> dict[str, Any]:
    """A plan, as the hosts will read it. Raises :class:`LockcfgError`."""
    try:
        return collector.plan_of(text)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise LockcfgError(f"{where}: {reason}") from error


def questions_of(
    plan: Mapping[str, Any], held: Iterable[tuple[str, bytes]]
) -> tuple[dict[str, Any], list[str]]:
    """The plan with the questions of the second round, and the hosts that did not answer in the
    first. ``held`` has the answers, each with its source. Raises :class:`LockcfgError` for a text
    that is not an answer, or not to this plan."""
    secrets: dict[str, str] = {}
    hosts = plan["hosts"]
    for where, data in held:
        answer = _object(data, where)
        number = answer.get("number")
        if answer.get("format") != collector.HELD or not isinstance(answer.get("secret"), str):
            raise LockcfgError(f"{where}: is not an answer of the first round of a probe")
        if answer.get("id") != plan["id"]:
            raise LockcfgError(f"{where}: is the answer to another plan")
        if type(number) is not int or not 0 < number <= len(hosts):
            raise LockcfgError(f"{where}: is of a host that the plan does not name")
        if secrets.setdefault(str(number), answer["secret"]) != answer["secret"]:
            raise LockcfgError(f"{where}: {hosts[number - 1]} has answered twice")
    lacking = [host for number, host in enumerate(hosts, 1) if str(number) not in secrets]
    return {**plan, "held": secrets}, lacking


def evidence_in(snapshot: bytes) -> dict[str, Any]:
    """What the host of a snapshot has seen in a probe. Raises :class:`SnapshotError`."""
    for piece in pieces_of(snapshot):
        if piece.startswith(b'"evidence":'):
            told: dict[str, Any] = member(piece)["evidence"]
            return told
    raise SnapshotError("has no evidence of a probe")


def _object(data: bytes, where: str) -> dict[str, Any]:
    try:
        found = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise LockcfgError(f"{where}: is not JSON") from error
    if not isinstance(found, dict):
        raise LockcfgError(f"{where}: is not an answer of a host")
    return found


# By ssh


def over_ssh(
    plan: Mapping[str, Any],
    ssh: str,
    python: str,
    tell: Callable[[str, str], None],
) -> dict[str, bytes]:
    """Make all rounds of a probe over ssh; return the snapshots with the evidence, by host. It
    calls ``tell`` for each host on which something went wrong. However it ends, it tells the hosts
    to release their locks."""
    program = collector_program()
    hosts: list[str] = plan["hosts"]

    def round_of(step: str, text: Mapping[str, Any], of: Sequence[str]) -> dict[str, bytes]:
        words = {host: [*shlex.split(ssh), host, _remote(python, host, step, text)] for host in of}
        return _answers(words, program, tell)

    try:
        held = round_of("hold", plan, hosts)
        questions, _ = questions_of(plan, sorted(held.items()))
        return round_of("ask", questions, list(held)) if held else {}
    finally:
        round_of("end", plan, hosts)


def _remote(python: str, host: str, step: str, plan: Mapping[str, Any]) -> str:
    """The command for the shell of the other host; the program comes on its standard input."""
    text = json.dumps(plan, separators=(",", ":"))
    words = ["-I", "-", "--name", host, f"--probe-{step}", text]
    return f"{python} {shlex.join(words)}"


def _answers(
    commands: Mapping[str, Sequence[str]], program: bytes, tell: Callable[[str, str], None]
) -> dict[str, bytes]:
    """The output of each command that ends well; all commands run at the same time."""
    from concurrent.futures import ThreadPoolExecutor

    def run(host: str) -> tuple[str, bytes, str]:
        try:
            return (host, *_run(commands[host], program))
        except OSError as error:
            return host, b"", f"{commands[host][0]}: {error.strerror}"

    found: dict[str, bytes] = {}
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        for host, answer, error in pool.map(run, commands):
            if error:
                tell(host, error)
            else:
                found[host] = answer
    return found


def _run(command: Sequence[str], program: bytes) -> tuple[bytes, str]:
    """The output of a command, or what went wrong. A command that hangs is killed, with the
    processes that it has started."""
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        answer, said = process.communicate(program, timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        return b"", f"no answer in {PATIENCE:.0f} s"
    if process.returncode or len(answer) > MAX_SIZE:
        lines = said.decode("utf-8", "replace").strip().splitlines() or ["no reason was given"]
        return b"", lines[-1]
    return answer, ""
