"""``lockd metrics``: the metrics of a running lockd, for Prometheus and compatible programs.

It is a process of its own, which asks lockd at its admin socket for each request. So slow or many
HTTP clients do not reach the one thread that holds the locks. It also answers while lockd does not:
then ``lockd_up`` is 0.
"""

from __future__ import annotations

import argparse
import ipaddress
import os
import socket
import sys
import time
from functools import partial
from socketserver import ThreadingMixIn
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer

from prometheus_client import CollectorRegistry, make_wsgi_app, write_to_textfile
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.openmetrics import exposition as openmetrics
from prometheus_client.registry import Collector

from lockd.events import KINDS
from lockd.programs.inspect import METRICS
from lockd.query import QueryError, ask, call

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

    from prometheus_client.metrics_core import Metric

#: How long a client of the listener may take, in seconds.
_SLOW: Final = 10.0

#: How an address of a unix socket begins.
_UNIX: Final = "unix:"


def main(arguments: Sequence[str], address: str) -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(
        prog="lockd metrics",
        description="The metrics of the running lockd, as OpenMetrics: print them, write them to"
        " a file for node_exporter's textfile collector, or serve them. Exit status:"
        " 0 fine, 1 lockd does not answer (and the metrics say so), 2 wrong usage, 3"
        " the command failed.",
        allow_abbrev=False,
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--textfile", metavar="FILE", help="write this file, which ends in .prom")
    where.add_argument(
        "--listen",
        metavar="ADDRESS",
        help="serve them by HTTP at HOST:PORT, of this host alone, or at unix:PATH",
    )
    parser.add_argument(
        "--every",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="write the file again and again, until it is ended",
    )
    parser.add_argument("--socket", default=address, help=f"the admin socket ({address})")
    options = parser.parse_args(arguments[1:])
    if options.textfile and not options.textfile.endswith(".prom"):
        parser.error("--textfile: node_exporter reads no file that does not end in .prom")
    if options.every < 0 or (options.every and not options.textfile):
        parser.error("--every goes with --textfile, and is a number of seconds")
    figures = Figures(options.socket)
    registry = CollectorRegistry(auto_describe=False)
    registry.register(figures)
    try:
        if options.listen:
            return serve(registry, options.listen)
        if options.textfile:
            return _write(registry, figures, options.textfile, options.every)
    except ValueError as error:
        parser.error(f"--listen: {error}")
    except KeyboardInterrupt:
        return 0
    except OSError as error:
        where_ = options.listen or options.textfile
        sys.stderr.write(f"lockd metrics: {where_}: {error.strerror or error}\n")
        return 3
    text: bytes = openmetrics.generate_latest(registry)  # type: ignore[no-untyped-call]
    sys.stdout.write(text.decode("utf-8"))
    return int(not figures.is_up)


def _write(registry: CollectorRegistry, figures: Figures, path: str, every: float) -> int:
    while True:
        write_to_textfile(path, registry)
        if not every:
            return int(not figures.is_up)
        time.sleep(every)


class Figures(Collector):
    """What lockd tells, as metrics; each time again."""

    def __init__(self, address: str) -> None:
        self._address: Final = address
        self.is_up = False

    def collect(self) -> Iterator[Metric]:
        """The metrics as they are now."""
        told: dict[str, Any] | None = None
        try:
            told = ask(self._address, partial(call, procedure=METRICS))
        except QueryError:
            pass
        self.is_up = told is not None
        yield GaugeMetricFamily("lockd_up", "Whether lockd answers.", int(self.is_up))
        if told is not None:
            yield from _of_locks(told)
            yield from _of_process(told)
            yield from _of_calls(told)


def _of_locks(told: dict[str, Any]) -> Iterator[Metric]:
    locks = GaugeMetricFamily(
        "lockd_locks",
        "Locks that are held, by lockspace (empty: disks themselves), and whether they are safe.",
        labels=("lockspace", "state"),
    )
    for lockspace, state, count in told["locks"]:
        locks.add_metric((_text(lockspace), state), count)
    yield locks
    events = CounterMetricFamily(
        "lockd_events",
        "Events since lockd was started, by kind, without grants and releases.",
        labels=("event",),
    )
    for kind in KINDS:
        if kind.name not in ("granted", "released"):
            events.add_metric((kind.name,), told["events"].get(kind.name, 0))
    yield events
    silent = GaugeMetricFamily(
        "lockd_silent_filesystem", "File systems that do not answer.", labels=("path",)
    )
    for path in told["silent"]:
        silent.add_metric((_text(path),), 1)
    yield silent
    yield GaugeMetricFamily(
        "lockd_guests_not_ending", "Guests that lockd ends but that still run.", told["ending"]
    )


def _of_process(told: dict[str, Any]) -> Iterator[Metric]:
    yield InfoMetricFamily("lockd", "The version of lockd.", {"version": told["version"]})
    yield GaugeMetricFamily(
        "lockd_start_time_seconds", "When lockd was started, since the epoch.", told["since"]
    )
    yield CounterMetricFamily(
        "lockd_starts",
        "How often lockd was started again with its locks, by upgrades and after crashes.",
        told["starts"],
    )
    yield GaugeMetricFamily(
        "lockd_locks_kept",
        "Whether the locks outlive a crash of lockd: 0 if no process keeps them.",
        int(told["kept"]),
    )
    clients = GaugeMetricFamily("lockd_clients", "Clients that are connected.", labels=("service",))
    most = GaugeMetricFamily(
        "lockd_clients_max", "Clients that may be connected.", labels=("service",)
    )
    for service, (connected, limit) in told["clients"].items():
        clients.add_metric((service,), connected)
        most.add_metric((service,), limit)
    yield clients
    yield most


def _of_calls(told: dict[str, Any]) -> Iterator[Metric]:
    calls = CounterMetricFamily(
        "lockd_calls",
        "Calls of the lock program since lockd was started, by how they ended; refused: another"
        " owner holds the lock.",
        labels=("procedure", "outcome"),
    )
    seconds = HistogramMetricFamily(
        "lockd_call_duration_seconds",
        "How long calls took, without the time that they waited for a silent file system.",
        labels=("procedure",),
    )
    ends = [*(f"{end:g}" for end in told["buckets"]), "+Inf"]
    for procedure, of in told["calls"].items():
        for outcome in ("done", "refused", "failed"):
            calls.add_metric((procedure, outcome), of[outcome])
        total, buckets = 0, []
        for end, count in zip(ends, of["buckets"], strict=True):
            total += count
            buckets.append((end, total))
        seconds.add_metric((procedure,), buckets, of["seconds"])
    yield calls
    yield seconds


def _text(path: str) -> str:
    """A path may be any bytes, a label only text."""
    return path.encode("utf-8", "backslashreplace").decode("utf-8")


# --- the listener


class _Handler(WSGIRequestHandler):
    timeout = _SLOW

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing: scrapes are frequent."""

    def address_string(self) -> str:
        """The address of the client, without a look-up of its name."""
        return "client"


class _Server(ThreadingMixIn, WSGIServer):
    daemon_threads = True

    def __init__(self, family: socket.AddressFamily, address: Any) -> None:
        self.address_family = family
        super().__init__(address, _Handler)

    def server_bind(self) -> None:
        """Bind, without a look-up of the host's name."""
        if self.address_family == socket.AF_UNIX:
            self.socket.bind(self.server_address)
        else:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self.socket.bind(self.server_address)
            self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = "localhost", 0
        self.setup_environ()

    def get_request(self) -> tuple[socket.socket, Any]:
        """The next connection, with an address that a handler can show."""
        connection, address = self.socket.accept()
        return connection, address or ("", 0)


def serve(registry: CollectorRegistry, address: str) -> int:
    """Serve the metrics at an address until the process is ended. Raises OSError, and ValueError
    for an address that others could reach, or that is invalid."""
    with listener(address) as server:
        server.set_app(make_wsgi_app(registry))
        sys.stderr.write(f"lockd metrics: serving at {shown(server, address)}\n")
        server.serve_forever()
    return 0


def listener(address: str) -> _Server:
    """A server at an address. Raises as :func:`serve` does."""
    if address.startswith(_UNIX):
        path = address.removeprefix(_UNIX)
        if not path.startswith("/"):
            raise ValueError("unix: takes an absolute path")
        with socket.socket(socket.AF_UNIX) as probe:
            if not probe.connect_ex(path):
                raise OSError(98, "another process listens there")
        if os.path.lexists(path):
            os.unlink(path)  # only a socket without a listener comes so far
        os.umask(0o077)
        return _Server(socket.AF_UNIX, path)
    host, colon, port = address.rpartition(":")
    if not colon or not port.isdecimal() or int(port) > 65535:
        raise ValueError(f"'{address}' is not a HOST:PORT, nor unix:PATH")
    host = host.strip("[]")
    try:
        ip = ipaddress.ip_address("127.0.0.1" if host == "localhost" else host)
    except ValueError:
        raise ValueError(f"'{host}' is not an address of this host: write 127.0.0.1") from None
    if not ip.is_loopback:
        raise ValueError(
            f"{host} can be reached from other hosts, and clients are not authenticated: use"
            " 127.0.0.1 or unix:PATH, behind a proxy that does ask"
        )
    family = socket.AF_INET6 if ip.version == 6 else socket.AF_INET
    return _Server(family, (str(ip), int(port)))


def shown(server: _Server, address: str) -> str:
    """Where it listens, with the port where that was 0."""
    if address.startswith(_UNIX):
        return address
    return f"http://{server.server_address[0]!s}:{server.server_address[1]!s}/metrics"
