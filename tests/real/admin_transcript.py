"""What a lock daemon does with all that virt-admin and others may ask of it, written down.

It is a program: started in namespaces of its own by :mod:`tests.real.test_admin`, with the command
of a daemon, it prints a JSON object of what it saw, by section and label. What two daemons cannot
have in common is masked: times, process ids, and the order of services, which virtlockd changes
from start to start.
"""

from __future__ import annotations

import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from lockcfg import libvirt_release
from lockd.programs import admin, lock
from lockd.wire.dialect import dialect_of
from lockd.wire.message import CALL, HEADER_SIZE, OK, Header, pack_message
from lockd.wire.parameters import (
    BOOLEAN,
    DOUBLE,
    INT,
    LLONG,
    STRING,
    UINT,
    ULLONG,
    Parameter,
    pack_parameters,
)
from lockd.wire.xdr import Reader, pack_hyper, pack_optional, pack_string, pack_uhyper, pack_uint
from tests.lockd.client import Client
from tests.real.test_log_grammar import FIXED, MUTATED, PIECES, SEEDS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

RUN: Final = Path("/run/libvirt")
LOCK_SOCKET: Final = RUN / "virtlockd-sock"
ADMIN_SOCKET: Final = RUN / "virtlockd-admin-sock"
CONF: Final = Path("/run/virtlockd.conf")
LOG: Final = Path("/run/log")
PID_FILE: Final = Path("/run/virtlockd.pid")
STDERR: Final = Path("/run/stderr")
JOURNAL: Final = Path("/run/systemd/journal/socket")
SYSLOG: Final = Path("/dev/log")

(
    CONNECT_OPEN,
    CONNECT_CLOSE,
    GET_LIB_VERSION,
    LIST_SERVERS,
    LOOKUP_SERVER,
    GET_THREADPOOL,
    SET_THREADPOOL,
    LIST_CLIENTS,
    LOOKUP_CLIENT,
    CLIENT_GET_INFO,
    CLIENT_CLOSE,
    GET_LIMITS,
    SET_LIMITS,
    GET_OUTPUTS,
    GET_FILTERS,
    SET_OUTPUTS,
    SET_FILTERS,
    UPDATE_TLS,
    SET_TIMEOUT,
) = range(1, 20)

#: Whether this release of libvirt knows the last of them.
HAS_TIMEOUT: Final = dialect_of(libvirt_release()).procedures >= SET_TIMEOUT

#: Whether its virtlockd starts again when it is asked to. That of 7.0 always ends instead, with
#: status 9: it has closed its sockets before it wants to keep them.
STARTS_AGAIN: Final = libvirt_release() >= (7, 2, 0)

LOCKD: Final = pack_string("virtlockd")
NO_FLAGS: Final = pack_uint(0)

_SECONDS: Final = 60
_HUNG_UP: Final = "hung up"

Transcript = dict[str, object]


class Ended(NamedTuple):
    """How a daemon ended that did not start."""

    status: int
    message: str


class Daemon:
    """A daemon that runs, with the configuration ``conf``."""

    def __init__(self, command: list[str], conf: str = "", **environment: str) -> None:
        CONF.write_text(conf)
        with STDERR.open("w") as stderr:
            self._process: Final = subprocess.Popen(
                [*command, "-f", CONF],
                cwd="/run/here",
                stdin=subprocess.DEVNULL,
                stderr=stderr,
                env={**os.environ, **environment},
            )

    def wait_until_up(self) -> Ended | None:
        """Wait for its sockets; how it ended, if it did instead."""
        wait_for(lambda: self._process.poll() is not None or answers())
        if self._process.returncode is None:
            return None
        return Ended(self._process.returncode, STDERR.read_text())

    @property
    def pid(self) -> int:
        """The process that serves: the one that was started, or its child."""
        pid = self._process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return int(children[0]) if children else pid

    def upgrade(self) -> None:
        """Have it start again in place, and wait for that."""
        before = image(self.pid)
        self._process.send_signal(signal.SIGUSR1)
        wait_for(lambda: image(self.pid) != before)

    def crash(self) -> None:
        """Kill the process that serves, and wait for the next one."""
        before = self.pid
        os.kill(before, signal.SIGKILL)
        wait_for(lambda: self.pid not in (before, self._process.pid))

    def wait(self) -> int:
        """Wait for its end; its exit status."""
        return self._process.wait(_SECONDS)

    def stop(self) -> None:
        """End it."""
        if self._process.poll() is None:
            self._process.terminate()
            self._process.wait(_SECONDS)


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until it is so. Raises TimeoutError."""
    deadline = time.monotonic() + _SECONDS
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.005)


def answers() -> bool:
    """Whether a daemon takes connections to the admin socket."""
    try:
        Client(ADMIN_SOCKET).close()
    except (FileNotFoundError, ConnectionRefusedError):
        return False
    return True


def image(pid: int) -> str:
    """Where the kernel has put the stack of a process, which it does at every exec."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[25]


@contextmanager
def running(command: list[str], conf: str = "", **environment: str) -> Iterator[Daemon]:
    """A daemon that is up."""
    daemon = Daemon(command, conf, **environment)
    try:
        assert daemon.wait_until_up() is None
        yield daemon
    finally:
        daemon.stop()


def call(procedure: int, arguments: bytes = b"", client: Client | None = None) -> bytes:
    """The whole reply of the daemon, masked; of a client of its own unless one is given."""
    own = client or Client(ADMIN_SOCKET)
    try:
        own.send(procedure, arguments, program=admin.PROGRAM)
        return masked(own.receive())
    except (EOFError, BrokenPipeError):
        return _HUNG_UP.encode()
    finally:
        if client is None:
            own.close()


def masked(reply: bytes) -> bytes:
    """A reply without what differs each time."""
    now = int(time.time())
    for second in range(now - 60, now + 2):
        reply = reply.replace(pack_hyper(second), pack_hyper(0))
    return reply.replace(LOCKD + pack_string("admin"), pack_string("admin") + LOCKD)


def client_argument(number: int, service: str = "virtlockd") -> bytes:
    """A client, as calls name it."""
    return pack_string(service) + pack_uhyper(number) + pack_hyper(0) + pack_uint(0)


def own_id(client: Client) -> int:
    """The id of a client of the admin socket: of all of them it came last."""
    reply = call(LIST_CLIENTS, pack_string("admin") + pack_uint(1) + NO_FLAGS, client)
    reader = Reader(reply, HEADER_SIZE)
    numbers = []
    for _ in range(reader.uint()):
        reader.string()
        numbers.append(reader.uhyper())
        reader.hyper()
        reader.uint()
    return numbers[-1]


# --- what virt-admin says

COMMANDS: Final = (
    "version",
    "uri",
    "server-list",
    "srv-list",
    "server-threadpool-info virtlockd",
    "srv-threadpool-info admin",
    "server-threadpool-info nope",
    "client-list virtlockd",
    "srv-clients-list virtlockd",
    "client-list admin",
    "client-list nope",
    "client-info virtlockd 2",
    "client-info virtlockd 99",
    "client-info nope 1",
    "client-info admin 99999",
    "server-clients-info virtlockd",
    "srv-clients-info admin",
    "srv-clients-info nope",
    "server-clients-set virtlockd --max-clients 50",
    "server-clients-set virtlockd --max-unauth-clients 20",
    "server-clients-set virtlockd --max-clients 10 --max-unauth-clients 11",
    "server-clients-set virtlockd --max-clients 2",
    "server-clients-info virtlockd",
    "server-clients-set virtlockd --max-clients 0",
    "srv-clients-set virtlockd --max-clients 100 --max-unauth-clients 100",
    "server-clients-info virtlockd",
    "server-clients-set virtlockd",
    "server-clients-set nope --max-clients 1",
    "server-threadpool-set virtlockd --max-workers 5",
    "server-threadpool-set virtlockd --min-workers 1",
    "server-threadpool-set virtlockd --min-workers 1 --max-workers 5",
    "srv-threadpool-set virtlockd --priority-workers 5",
    "server-threadpool-set virtlockd --min-workers 9 --max-workers 5",
    "server-threadpool-set virtlockd",
    "server-threadpool-info virtlockd",
    "daemon-log-filters",
    "daemon-log-filters --filters 1:util_4:event",
    "daemon-log-filters",
    "daemon-log-filters --filters bogus",
    "daemon-log-filters --filters 9:x",
    "daemon-log-filters --filters 1:",
    "daemon-log-filters --filters=",
    "daemon-log-filters",
    "daemon-log-outputs",
    "daemon-log-outputs --outputs 1:file:/run/log2_3:stderr",
    "daemon-log-outputs",
    "daemon-log-outputs --outputs 9:x",
    "daemon-log-outputs --outputs bogus",
    "daemon-log-outputs --outputs 1:nowhere",
    "daemon-log-outputs --outputs 1:file",
    "daemon-log-outputs --outputs 1:file:/nope/y",
    "daemon-log-outputs",
    "daemon-log-outputs --outputs 1:file:relative",
    "daemon-log-outputs",
    "daemon-log-outputs --outputs=",
    "daemon-log-outputs",
    "daemon-log-outputs --outputs 1:file:/run/log",
    *(f"daemon-timeout --timeout {seconds}" for seconds in (0, 1000, 0) if HAS_TIMEOUT),
    "server-update-tls virtlockd",
    "server-update-tls nope",
    "client-disconnect virtlockd 3",
    "client-disconnect virtlockd 3",
    "client-disconnect virtlockd 77",
    "client-disconnect nope 1",
    "client-list virtlockd",
)


def virt_admin(command: list[str]) -> Transcript:
    """Every command, its status and its output; while two clients are there."""
    conf = f'log_outputs = "1:file:{LOG}"\nlog_filters = "3:rpc 3:util"\n'
    seen: Transcript = {}
    with running(command, conf), Client(LOCK_SOCKET) as one:
        one.close()
        with Client(LOCK_SOCKET) as two, Client(LOCK_SOCKET) as three:
            for each in (two, three):
                each.register(pid=os.getpid() + 1)
            for number, words in enumerate(COMMANDS):
                seen[f"{number} {words}"] = run_virt_admin(words)
            try:
                three.reply()
            except EOFError:
                seen["disconnected"] = True
    return seen


def run_virt_admin(words: str) -> tuple[int, str, str]:
    """The status and both outputs of a command; '_' stands for a blank."""
    arguments = [word.replace("_", " ") for word in words.split()]
    ran = subprocess.run(
        ["virt-admin", "-c", "virtlockd:///system", *arguments],
        capture_output=True,
        text=True,
        timeout=_SECONDS,
        env={**os.environ, "LC_ALL": "C", "TZ": "UTC"},
    )
    output = re.sub(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\+0000", "(time)", ran.stdout)
    if "-list" in words and "client" not in words:
        output = "\n".join(sorted(re.sub(r"^ \d+ ", "", line) for line in output.splitlines()))
    if words == "client-list admin":
        output = re.sub(r"^ \d+ ", " (id)", output, flags=re.MULTILINE)
    return ran.returncode, output, ran.stderr


# --- what raw calls are answered


def parameters(*each: tuple[str, int, int | float | str]) -> bytes:
    """Typed parameters of a call."""
    return pack_parameters([Parameter(*one) for one in each])


def untyped(name: str, kind: int) -> bytes:
    """One parameter of a type that does not exist."""
    return pack_uint(1) + pack_string(name) + pack_uint(kind) + pack_uint(1)


def calls_without_flags() -> dict[str, tuple[int, bytes]]:
    """Calls that have flags as their last argument, without them."""
    return {
        "open": (CONNECT_OPEN, b""),
        "servers": (LIST_SERVERS, pack_uint(1)),
        "servers, number alone": (LIST_SERVERS, pack_uint(0)),
        "servers, wanted 2": (LIST_SERVERS, pack_uint(2)),
        "server": (LOOKUP_SERVER, LOCKD),
        "workers": (GET_THREADPOOL, LOCKD),
        "set workers": (SET_THREADPOOL, LOCKD + parameters()),
        "clients": (LIST_CLIENTS, LOCKD + pack_uint(1)),
        "clients, number alone": (LIST_CLIENTS, LOCKD + pack_uint(0)),
        "clients, wanted 5": (LIST_CLIENTS, LOCKD + pack_uint(5)),
        "client": (LOOKUP_CLIENT, LOCKD + pack_uhyper(2)),
        "no client": (LOOKUP_CLIENT, LOCKD + pack_uhyper(77)),
        "no such client": (LOOKUP_CLIENT, LOCKD + pack_uhyper(1 << 63)),
        "info": (CLIENT_GET_INFO, client_argument(2)),
        "info, no client": (CLIENT_GET_INFO, client_argument(77)),
        "info, a group without a name": (CLIENT_GET_INFO, client_argument(3)),
        "close, no client": (CLIENT_CLOSE, client_argument(77)),
        "limits": (GET_LIMITS, LOCKD),
        "set limits": (SET_LIMITS, LOCKD + parameters()),
        "outputs": (GET_OUTPUTS, b""),
        "filters": (GET_FILTERS, b""),
        "set outputs": (SET_OUTPUTS, pack_optional("bogus")),
        "set filters": (SET_FILTERS, pack_optional("bogus")),
        "tls": (UPDATE_TLS, LOCKD),
        "timeout": (SET_TIMEOUT, pack_uint(5)),
        **{
            f"no server {name[:20]!r}, {procedure}": (procedure, pack_string(name) + rest)
            for name in ("nope", "", "VIRTLOCKD", "\n%s\t\xe9\udcff", "n" * 65537)
            for procedure, rest in (
                (LOOKUP_SERVER, b""),
                (GET_THREADPOOL, b""),
                (SET_THREADPOOL, parameters(("bogus", UINT, 1))),
                (LIST_CLIENTS, pack_uint(1)),
                (LOOKUP_CLIENT, pack_uhyper(2)),
                (CLIENT_GET_INFO, client_argument(2)[len(LOCKD) :]),
                (CLIENT_CLOSE, client_argument(2)[len(LOCKD) :]),
                (GET_LIMITS, b""),
                (SET_LIMITS, parameters(("n" * 80, UINT, 1))),
                (UPDATE_TLS, b""),
            )
        },
    }


_EACH_TYPE: Final = (
    (INT, 5),
    (LLONG, 5),
    (ULLONG, 5),
    (DOUBLE, 5.0),
    (BOOLEAN, 5),
    (STRING, "x"),
)


def parameter_calls() -> dict[str, bytes]:
    """What may be set: limits and workers."""
    limit, waiting = "nclients_max", "nclients_unauth_max"
    return {
        **{f"type {kind}": parameters((limit, kind, value)) for kind, value in _EACH_TYPE},
        **{f"type {kind}": untyped(limit, kind) for kind in (0, 8, 1 << 31, 0xFFFFFFFF)},
        "two": parameters((limit, UINT, 2000), (waiting, UINT, 20)),
        "unknown": parameters(("bogus", UINT, 5)),
        "read only": parameters(("nclients", UINT, 5)),
        "read only, too": parameters(("nclients_unauth", UINT, 5)),
        "no name": parameters(("", UINT, 5)),
        "more wait than may be there": parameters((waiting, UINT, 3000)),
        "fewer may be there than wait": parameters((limit, UINT, 10)),
        "both wrong": parameters((limit, UINT, 10), (waiting, UINT, 11)),
        "none waits": parameters((waiting, UINT, 0)),
        "none": parameters((limit, UINT, 0)),
        "most": parameters((limit, UINT, 0xFFFFFFFF)),
        "twice": parameters((limit, UINT, 70), (limit, UINT, 71)),
        "twice, the first wrong": parameters((limit, INT, 70), (limit, UINT, 71)),
        "twice, the second wrong": parameters((limit, UINT, 70), (limit, INT, 71)),
        "one good": parameters((limit, UINT, 70), ("bogus", UINT, 71)),
        "first by name": parameters((waiting, INT, 5), ("aa", UINT, 5), (limit, INT, 5)),
        "first by bytes": parameters(("z", UINT, 5), ("\xe9", UINT, 5), ("B", UINT, 5)),
        "unknown twice": parameters(("aa", UINT, 5), ("aa", UINT, 5)),
        "no UTF-8": parameters(("\udcff", UINT, 5)),
        "32": parameters(*[(f"x{number}", UINT, 1) for number in range(32)]),
        "33": parameters(*[(f"x{number}", UINT, 1) for number in range(33)]),
        "too few": pack_uint(2) + parameters((limit, UINT, 5))[4:],
        "longest name": parameters(("n" * 79, UINT, 5)),
        "too long a name": parameters((limit, INT, 5), ("n" * 80, UINT, 5)),
        "much too long a name": parameters(("n" * 300, UINT, 5), ("m" * 301, UINT, 5)),
        "longest name in bytes": parameters(("\xe9" * 39 + "x", UINT, 5)),
        "too long a name in bytes": parameters(("\xe9" * 40, UINT, 5)),
        **{
            f"{name} {value}": parameters((name, UINT, value))
            for name in ("minWorkers", "maxWorkers", "prioWorkers", "nWorkers", "freeWorkers")
            for value in (0, 1, 3)
        },
        "job queue": parameters(("jobQueueDepth", UINT, 1)),
        "workers": parameters(("minWorkers", UINT, 1), ("maxWorkers", UINT, 1)),
        "workers, more than most": parameters(("minWorkers", UINT, 2), ("maxWorkers", UINT, 1)),
        "workers, one good": parameters(("prioWorkers", UINT, 9), ("maxWorkers", UINT, 1)),
        "workers, a type": parameters(("maxWorkers", INT, 1)),
        "no workers": parameters(("minWorkers", UINT, 0), ("maxWorkers", UINT, 0)),
    }


def raw_calls(command: list[str]) -> Transcript:
    """Calls with all that can be right and wrong about them, and what they changed."""
    seen: Transcript = {}
    with running(command, f'log_outputs = "3:file:{LOG}"\n'), Client(LOCK_SOCKET) as first:
        first.close()
        with Client(LOCK_SOCKET) as second, nameless_client(), Client(LOCK_SOCKET) as fourth:
            for client in (second, fourth):
                client.register(pid=os.getpid() + 1)
            for label, (procedure, rest) in calls_without_flags().items():
                for flags in (0, 1, 0x80000000):
                    seen[f"{label}, flags {flags:#x}"] = call(
                        procedure, rest + pack_uint(flags)
                    ).hex()
                seen[f"{label}, short"] = call(procedure, rest).hex()
                seen[f"{label}, long"] = call(procedure, rest + NO_FLAGS + b"more").hex()
            seen["version"] = call(GET_LIB_VERSION, b"any").hex()
            for procedure in (-1, 0, 20, 99):
                seen[f"procedure {procedure}"] = call(procedure).hex()
            for label, arguments in parameter_calls().items():
                for setter, getter in ((SET_LIMITS, GET_LIMITS), (SET_THREADPOOL, GET_THREADPOOL)):
                    for flags in (1, 0):
                        seen[f"{label}, {setter}, flags {flags}"] = call(
                            setter, LOCKD + arguments + pack_uint(flags)
                        ).hex()
                    seen[f"{label}, {setter}, after"] = call(getter, LOCKD + NO_FLAGS).hex()
            seen["optional 2"] = call(
                SET_FILTERS, pack_uint(2) + pack_string("1:x") + NO_FLAGS
            ).hex()
            seen.update(closing(second))
    return seen


@contextmanager
def nameless_client() -> Iterator[Client]:
    """A client of a group that has no name."""
    before = os.getegid()
    os.setegid(54321)
    try:
        client = Client(LOCK_SOCKET)
    finally:
        os.setegid(before)
    with client:
        yield client


def closing(victim: Client) -> Transcript:
    """How connections are closed."""
    seen: Transcript = {}
    with Client(ADMIN_SOCKET) as client:
        for number in (CONNECT_OPEN, CONNECT_OPEN):
            seen["open twice"] = call(number, NO_FLAGS, client).hex()
        seen["close a client"] = call(CLIENT_CLOSE, client_argument(2) + NO_FLAGS, client).hex()
        seen["once more"] = call(CLIENT_CLOSE, client_argument(2) + NO_FLAGS, client).hex()
        seen["closed"] = ended(victim)
    with Client(ADMIN_SOCKET) as client:
        itself = client_argument(own_id(client), "admin") + NO_FLAGS
        send_at_once(client, (GET_LIB_VERSION, b""), (CLIENT_CLOSE, itself), (GET_LIB_VERSION, b""))
        seen["before it closes itself"] = client.receive().hex()
        seen["closed by itself"] = ended(client)
    with Client(ADMIN_SOCKET) as client:
        send_at_once(
            client, *[(each, b"") for each in (GET_LIB_VERSION, CONNECT_CLOSE, GET_LIB_VERSION)]
        )
        seen["before it closes"] = [client.receive().hex(), client.receive().hex()]
        seen["closed at last"] = ended(client)
    with Client(ADMIN_SOCKET) as client:
        client.send(1, program=lock.PROGRAM)
        seen["the other program"] = client.receive().hex()
    with Client(LOCK_SOCKET) as client:
        client.send(1, program=admin.PROGRAM)
        seen["this program on the other socket"] = client.receive().hex()
    return seen


def send_at_once(client: Client, *calls: tuple[int, bytes]) -> None:
    """Send several calls before the first of them can have an effect."""
    client.socket.sendall(
        b"".join(
            pack_message(
                Header(0, admin.PROGRAM, admin.VERSION, procedure, CALL, serial, OK), arguments
            )
            for serial, (procedure, arguments) in enumerate(calls)
        )
    )


def ended(client: Client) -> bool:
    """Whether the daemon has closed a connection."""
    try:
        client.receive()
    except EOFError:
        return True
    return False


# --- what it makes of settings of the log


def log_settings(command: list[str]) -> Transcript:
    """Filters and outputs, sense and nonsense, and what is in force after each."""
    seen: Transcript = {}
    dice = random.Random(9)
    with running(command, f'log_outputs = "3:file:{LOG}"\n'):
        for setter, getter, setting in (
            (SET_FILTERS, GET_FILTERS, "log_filters"),
            (SET_OUTPUTS, GET_OUTPUTS, "log_outputs"),
        ):
            texts = [*FIXED[setting], *SEEDS[setting], *MORE[setting]]
            texts += [mutated(dice, dice.choice(texts)) for _ in range(MUTATED)]
            for text in texts:
                if setting == "log_outputs" and text and not text.strip(" "):
                    continue  # docs/guides/lockd-admin.md: virtlockd then has no output at all
                arguments = pack_optional(text) + NO_FLAGS
                seen[f"{setting} {text!r}"] = call(setter, arguments).hex()
                seen[f"{setting} {text!r}, after"] = call(getter, NO_FLAGS).hex()
            seen[f"{setting}, none"] = call(setter, pack_optional(None) + NO_FLAGS).hex()
            seen[f"{setting}, none, after"] = call(getter, NO_FLAGS).hex()
    return seen


MORE: Final = {
    "log_filters": ["1:++a", "1:a?b", "1:[ab]", "1:*", "1:a 1:a", "3:*x* 4:y", "1:\udcff"],
    "log_outputs": [
        *("2:stderr 3:stderr", "1:stderr 2:journald 1:stderr", "1:file:/run/a 2:file:/run/a"),
        *("3:file:/run/../run/x", "1:file:./x/../y", "1:file:/run/\xe9", "1:file:/run"),
        *("1:file:/nope/x", "3:file://run/x", "3:file:///run/x", "1:file:/run/b 1:file:/nope/x"),
        *("1:syslog:\udcff", "bogus", "1:file:/run/\udcff", "1:nowhere"),
    ],
}


def mutated(dice: random.Random, text: str) -> str:
    """A text with a piece put in or taken out."""
    at = dice.randrange(len(text) + 1)
    if text and dice.random() < 0.3:
        return text[:at] + text[at + 1 :]
    return text[:at] + dice.choice(PIECES) + text[at:]


STARTS: Final[dict[str, tuple[list[str], str, dict[str, str]]]] = {
    "nothing": ([], "", {}),
    "level": ([], "log_level = 1", {}),
    "verbose": (["-v"], "", {}),
    "verbose and level": (["-v"], "log_level = 4", {}),
    "environment": ([], "", {"LIBVIRT_DEBUG": "2"}),
    "environment, a word": ([], "", {"LIBVIRT_DEBUG": "error"}),
    "environment and verbose": (["-v"], "", {"LIBVIRT_DEBUG": "1"}),
    "environment and level": ([], "log_level = 4", {"LIBVIRT_DEBUG": "2"}),
    "environment for outputs": (
        [],
        'log_outputs = "1:file:/run/other"',
        {"LIBVIRT_LOG_OUTPUTS": "2:file:/run/log"},
    ),
    "environment for filters": (
        [],
        'log_filters = "1:x"',
        {"LIBVIRT_LOG_FILTERS": "2:y 3:z"},
    ),
    "empty environment": (
        [],
        'log_filters = "1:x"\nlog_outputs = "1:file:/run/other"',
        {"LIBVIRT_DEBUG": "", "LIBVIRT_LOG_FILTERS": "", "LIBVIRT_LOG_OUTPUTS": ""},
    ),
    "blank outputs": ([], 'log_outputs = " "', {}),
    "bad level": ([], "", {"LIBVIRT_DEBUG": "5"}),
    "bad level, a word": ([], "", {"LIBVIRT_DEBUG": "warn"}),
    "bad level, a blank": ([], "", {"LIBVIRT_DEBUG": " 1"}),
    "bad filter": ([], "", {"LIBVIRT_LOG_FILTERS": "bogus"}),
    "bad output": ([], "", {"LIBVIRT_LOG_OUTPUTS": "bogus"}),
    "no such directory": ([], "", {"LIBVIRT_LOG_OUTPUTS": "1:file:/nope/x"}),
    "no such directory in the file": ([], 'log_outputs = "1:file:/nope/x"', {}),
}


def starts(command: list[str]) -> Transcript:
    """What it logs by default, or why it does not start; and with a journal that is there."""
    seen: Transcript = {}
    for label, (options, conf, environment) in STARTS.items():
        seen[label] = started([*command, *options], conf, environment)
    JOURNAL.parent.mkdir(parents=True)
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    journal.bind(str(JOURNAL))
    # virtlockd waits for a journal that does not read.
    threading.Thread(target=read_all, args=(journal,), daemon=True).start()
    seen["a journal"] = started(command, "", {})
    seen["a journal, a level"] = started(command, "log_level = 2", {})
    seen["in the background, a journal"] = in_the_background(command)
    JOURNAL.unlink()
    seen["in the background"] = in_the_background(command)
    seen["in the background, bad output"] = in_the_background(command, "bogus")
    return seen


def in_the_background(command: list[str], outputs: str = "") -> object:
    """Where a daemon logs that has gone into the background, or how it ended that did not."""
    CONF.write_text("")
    ran = subprocess.run(
        [*command, "-d", "-f", CONF],
        cwd="/run/here",
        stdin=subprocess.DEVNULL,
        stderr=STDERR.open("w"),
        env={**os.environ, "LIBVIRT_LOG_OUTPUTS": outputs},
        timeout=_SECONDS,
    )
    if ran.returncode:
        return ran.returncode
    try:
        return call(GET_OUTPUTS, NO_FLAGS).hex()
    finally:
        os.kill(int(PID_FILE.read_text()), signal.SIGTERM)
        wait_for(lambda: not PID_FILE.exists())


def read_all(receiver: socket.socket) -> None:
    """Read for as long as the program runs."""
    while receiver.recv(1 << 16):
        pass


def started(command: list[str], conf: str, environment: dict[str, str]) -> object:
    """The filters and outputs of a daemon that started and the default ones, or its end."""
    daemon = Daemon(command, conf, **environment)
    try:
        ended = daemon.wait_until_up()
        if ended is not None:
            # Who says it, and of what, is each daemon's own.
            who = r"^.*(error : (invalid argument: )?|LOG_\w+: |log_\w+: |DEBUG: )"
            return ended.status, re.sub(who, "", ended.message)
        found = [call(procedure, NO_FLAGS).hex() for procedure in (GET_FILTERS, GET_OUTPUTS)]
        call(SET_OUTPUTS, pack_optional(None) + NO_FLAGS)
        return [*found, call(GET_OUTPUTS, NO_FLAGS).hex()]
    finally:
        daemon.stop()


def written(command: list[str]) -> Transcript:
    """What arrives at a journal, at syslog and in files when a client makes a mistake."""
    JOURNAL.parent.mkdir(parents=True, exist_ok=True)
    seen: Transcript = {}
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journal,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as syslog,
    ):
        for receiver, path in ((journal, JOURNAL), (syslog, SYSLOG)):
            receiver.bind(str(path))
            receiver.settimeout(_SECONDS)
        outputs = f"3:journald 3:syslog:ident 3:file:{LOG} 2:file:/run/more"
        LOG.unlink(missing_ok=True)
        with running(command, f'log_outputs = "{outputs}"\n'), Client(LOCK_SOCKET) as client:
            client.register(pid=os.getpid() + 1)
            client.send(6, pack_string("/no\npe") + pack_string("x") + NO_FLAGS)
            client.receive()
            seen["journal"] = [journal_fields(each) for each in until_mistake(journal)]
            seen["syslog"] = [syslog_fields(each) for each in until_mistake(syslog)]
            for path in (LOG, Path("/run/more")):
                lines = path.read_text().splitlines()
                seen[path.name] = [file_fields(line) for line in lines[:2]]
                seen[f"{path.name} mode"] = oct(path.stat().st_mode)
                seen[f"{path.name} tells"] = "does not exist" in path.read_text()
    return seen


def until_mistake(receiver: socket.socket) -> Iterator[bytes]:
    """The first two messages, and the one about the mistake."""
    for number in range(100):
        message = receiver.recv(1 << 16)
        told = b"does not exist" in message
        if number < 2 or told:
            yield message
        if told:
            return
    raise TimeoutError("the mistake was not told")


def journal_fields(message: bytes) -> dict[str, str]:
    """What two daemons have in common in an entry of the journal."""
    fields = {}
    while message:
        name, separator, rest = message.partition(b"\n")
        if b"=" in name:
            name, _, value = name.partition(b"=")
            message = rest
        else:
            assert separator
            size = int.from_bytes(rest[:8], "little")
            value, message = rest[8 : 8 + size], rest[8 + size + 1 :]
        fields[name.decode()] = value.decode()
    assert fields["LIBVIRT_SOURCE"]
    return {
        **{name: fields[name] for name in ("PRIORITY", "SYSLOG_FACILITY")},
        "MESSAGE": common(fields["MESSAGE"]),
    }


def syslog_fields(message: bytes) -> list[str]:
    """What two daemons have in common in a message of syslog."""
    found = re.fullmatch(
        r"<(\d+)>\w+ [ \d]\d [\d:]+ (\w+): \d+: (\w+) : (?:\S+ : )?(.*)\n?",
        message.decode(),
        re.DOTALL,
    )
    assert found, message
    return [*found.groups()[:3], common(found[4])]


def file_fields(line: str) -> list[str]:
    """What two daemons have in common in a line of a file."""
    found = re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}\+0000: \d+: (\w+) : (?:\S+ : )?(.*)", line
    )
    assert found, line
    return [found[1], common(found[2])]


def common(text: str) -> str:
    """A message without the name and version of the daemon, with a line feed as one, and without
    the user that newer releases of virtlockd tell with the host."""
    text = re.sub(r"^client \d+[^:]*: ", "", text.replace(r"\x0a", "\n"))
    text = re.sub(r"^(hostname: \S+), uid: \d+$", r"\1", text)
    return re.sub(r"^\w+ version: .*", "version", text)


# --- what survives


def survives(command: list[str]) -> Transcript:
    """What is left of limits and ids after an upgrade."""
    seen: Transcript = {}
    conf = f'log_outputs = "3:file:{LOG}"\n'
    with running(command, conf) as daemon, Client(LOCK_SOCKET) as client:
        client.register(pid=os.getpid() + 1)
        call(SET_LIMITS, LOCKD + parameters(("nclients_max", UINT, 2000)) + NO_FLAGS)
        call(SET_LIMITS, LOCKD + parameters(("nclients_unauth_max", UINT, 7)) + NO_FLAGS)
        call(SET_THREADPOOL, LOCKD + parameters(("prioWorkers", UINT, 3)) + NO_FLAGS)
        Client(LOCK_SOCKET).close()
        wait_for(lambda: connected() == 1)
        seen["before"] = state()
        if STARTS_AGAIN:
            daemon.upgrade()
        with Client(LOCK_SOCKET) as another:
            another.register(pid=os.getpid() + 1)
            seen["after"] = state()
    return seen


def state() -> list[str]:
    """Limits, workers and clients of the service."""
    return [
        call(procedure, LOCKD + rest + NO_FLAGS).hex()
        for procedure, rest in (
            (GET_LIMITS, b""),
            (GET_THREADPOOL, b""),
            (LIST_CLIENTS, b"\0\0\0\1"),
        )
    ]


def connected() -> int:
    """How many clients the service has."""
    reply = call(LIST_CLIENTS, LOCKD + pack_uint(0) + NO_FLAGS)
    return int.from_bytes(reply[-4:], "big")


def limits(command: list[str]) -> Transcript:
    """Fewer clients allowed than there are."""
    seen: Transcript = {}
    with running(command), Client(LOCK_SOCKET) as one, Client(LOCK_SOCKET) as two:
        few = parameters(("nclients_max", UINT, 1), ("nclients_unauth_max", UINT, 1))
        seen["set"] = call(SET_LIMITS, LOCKD + few + NO_FLAGS).hex()
        # virtlockd 7.0 takes each lockspace once.
        for client, directory in ((one, "/run/here"), (two, "/run/libvirt")):
            client.create_lockspace(directory)
        seen["now"] = call(GET_LIMITS, LOCKD + NO_FLAGS).hex()
        more = parameters(("nclients_max", UINT, 9))
        seen["raised"] = call(SET_LIMITS, LOCKD + more + NO_FLAGS).hex()
        with Client(LOCK_SOCKET) as three:
            three.create_lockspace("/run")
        seen["of admin"] = call(SET_LIMITS, pack_string("admin") + few + NO_FLAGS).hex()
        seen["of admin, now"] = call(GET_LIMITS, pack_string("admin") + NO_FLAGS).hex()
    return seen


def timeouts(command: list[str]) -> Transcript:
    """It ends when it has had no client for long enough, and only then; before libvirt 8.6 that
    cannot be set."""
    seen: Transcript = {}
    if not HAS_TIMEOUT:
        with running(command):
            for seconds in range(5):
                seen[f"set {seconds}"] = call(SET_TIMEOUT, pack_uint(seconds) + NO_FLAGS).hex()
        return seen
    with running(command) as daemon:
        with Client(ADMIN_SOCKET) as client:
            seen["set"] = call(SET_TIMEOUT, pack_uint(1) + NO_FLAGS, client).hex()
            time.sleep(1.5)
            seen["while one is there"] = call(GET_LIB_VERSION, b"", client).hex()
        began = time.monotonic()
        seen["status"] = daemon.wait()
        seen["in time"] = 0.9 < time.monotonic() - began < 5
    with running(command):
        for seconds in (1, 0):
            call(SET_TIMEOUT, pack_uint(seconds) + NO_FLAGS)
        time.sleep(1.5)
        seen["taken back"] = call(GET_LIB_VERSION).hex()
    return seen


SECTIONS: Final = (
    virt_admin,
    raw_calls,
    log_settings,
    starts,
    written,
    survives,
    limits,
    timeouts,
)


def main(command: list[str]) -> None:
    """Write everything down."""
    Path("/run/here").mkdir()
    transcript = {section.__name__: section(command) for section in SECTIONS}
    json.dump(transcript, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
