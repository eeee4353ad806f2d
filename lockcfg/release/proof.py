"""The proof that a host is off: the status from a fence agent, the answer of a power controller, or
a sentence that a person types.

A host that does not answer may still write. So silence is not a proof. None of these commands may
do anything except ask.
"""

from __future__ import annotations

import json
import os
import subprocess

from lockcfg.errors import LockcfgError, UsageError
from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, Final, Literal

    ProofKind = Literal["fence", "power", "word"]

KINDS: Final[tuple[ProofKind, ...]] = ("fence", "power", "word")

#: How many seconds a controller may take to answer, and how many characters of the answer are kept.
_PATIENCE: Final = 60.0
_MOST: Final = 2000

#: The exit status of a fence agent for a plug that is off (FenceAgentAPI.md of fence-agents).
_FENCE_OFF: Final = 2

#: Options whose next word on a command line is a secret, and how an option begins that contains
#: one.
_SECRETS: Final = ("-p", "-P", "-K", "-u", "--password", "--user", "--passwd")
_SECRET_WORDS: Final = ("--password=", "--passwd=", "password=", "passwd=", "--user=")

#: Options that make curl send something.
_SENDING: Final = (
    "-X",
    "--request",
    "-d",
    "--data",
    "-T",
    "--upload-file",
    "-F",
    "--form",
    "--json",
)


class NoProofError(LockcfgError):
    """Nothing shows that the host is off."""

    exit_code = 1


class Proof(Frozen):
    """The proof that a host is off: its ``kind``, the ``command`` that was run, without secrets,
    and the ``answer``."""

    __slots__ = ("answer", "command", "kind")

    def __init__(self, kind: ProofKind, command: Sequence[str], answer: str) -> None:
        self.kind: Final[ProofKind] = kind
        self.command: Final = tuple(command)
        self.answer: Final = answer

    def record(self) -> dict[str, Any]:
        """The proof for the audit record."""
        return {"kind": self.kind, "command": list(self.command), "answer": self.answer}


def sentence(host: str) -> str:
    """The sentence that a person must type, letter by letter."""
    return f"I have seen that {host} is off"


def proof_of(kind: ProofKind, host: str, word: str, command: Sequence[str]) -> Proof:
    """The proof. Raises NoProofError, UsageError."""
    if kind == "word":
        return _word(host, word, command)
    if not command:
        raise UsageError(
            f"--proof {kind} needs the command that asks, behind --",
            help="-- fence_ipmilan -a 10.0.0.7 -l admin -S /etc/fence/password -o status"
            if kind == "fence"
            else "-- ipmitool -H 10.0.0.7 -U admin -f /etc/ipmi/password chassis power status",
        )
    if kind == "fence":
        return _fence(command)
    return _power(command)


def _word(host: str, word: str, command: Sequence[str]) -> Proof:
    if command:
        raise UsageError("--proof word takes no command", help="--proof fence and power do")
    if word != sentence(host):
        raise NoProofError(
            "the word that it takes was not given",
            help=f"if it is so: --word '{sentence(host)}'",
        )
    return Proof("word", (), word)


def _fence(command: Sequence[str]) -> Proof:
    name = os.path.basename(command[0])
    if not name.startswith("fence_"):
        raise UsageError(f"'{name}' is not a fence agent", help="their names begin with fence_")
    if _action(command) != "status":
        # An agent without an action reboots the host.
        raise UsageError(
            "the command does not ask the fence agent for the status", help="add: -o status"
        )
    status, said = _run(command)
    if status != _FENCE_OFF:
        state = "on" if status == 0 else f"not known (exit status {status})"
        raise NoProofError(f"the fence agent says that it is {state}: {_short(said)}")
    return Proof("fence", without_secrets(command), _short(said))


def _action(command: Sequence[str]) -> str:
    """The action on a fence agent's command line; the last one counts."""
    found = ""
    for at, word in enumerate(command):
        if word in ("-o", "--action") and at + 1 < len(command):
            found = command[at + 1]
        elif word.startswith("--action="):
            found = word.partition("=")[2]
        elif word.startswith("-o") and len(word) > 2:
            found = word[2:]
    return found


def _power(command: Sequence[str]) -> Proof:
    name = os.path.basename(command[0])
    if name == "ipmitool":
        if list(command[-2:]) != ["power", "status"]:
            raise UsageError(
                "the command does not ask ipmitool for the status", help="… chassis power status"
            )
        status, said = _run(command)
        if status or said.strip() != "Chassis Power is off":
            raise NoProofError(f"the power controller does not say that it is off: {_short(said)}")
    elif name == "curl":
        if any(word.startswith(_SENDING) for word in command[1:]):
            raise UsageError("curl must ask, and not send")
        status, said = _run(command)
        if status or not _is_off(said):
            raise NoProofError(f"the power controller does not say that it is off: {_short(said)}")
    else:
        raise UsageError(
            f"'{name}' is not a known program for a power controller",
            help="ipmitool … chassis power status, or curl … of a Redfish system",
        )
    return Proof("power", without_secrets(command), _short(said))


def _is_off(said: str) -> bool:
    """Whether a Redfish system says that it is off."""
    try:
        content = json.loads(said)
    except (ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("PowerState") == "Off"


def _run(command: Sequence[str]) -> tuple[int, str]:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_PATIENCE,
            check=False,
        )
    except OSError as error:
        raise NoProofError(f"{command[0]}: {error.strerror}") from error
    except subprocess.TimeoutExpired:
        raise NoProofError(f"{command[0]} has not answered for {_PATIENCE:g} s") from None
    said = done.stdout + done.stderr
    return done.returncode, said.decode("utf-8", "replace")


def _short(said: str) -> str:
    return " ".join(said.split())[:_MOST]


def without_secrets(command: Sequence[str]) -> list[str]:
    """A command line without its secrets, for the audit record."""
    found: list[str] = []
    for at, word in enumerate(command):
        hides = at > 0 and command[at - 1] in _SECRETS
        begins = next((each for each in _SECRET_WORDS if word.startswith(each)), "")
        short = at > 0 and len(word) > 2 and word[:2] in ("-p", "-P", "-u") and word[1] != "-"
        if begins:
            found.append(f"{begins}***")
        elif short:
            found.append(f"{word[:2]}***")
        else:
            found.append("***" if hides else word)
    return found
