"""``lockcfg probe``: hosts prove on the real file systems which of them exclude each other."""

from __future__ import annotations

import os

from lockcfg.commands.arguments import add_json
from lockcfg.errors import LockcfgError, UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence
    from typing import Any

    from lockcfg.fleet.comparison.result import ProbeRow
    from lockcfg.fleet.model.evidence import Probe
    from lockcfg.report.terminal import Terminal

DESCRIPTION = """\
Have hosts find out together whose locks they see, in the directories that hold their locks and
disks, without touching a guest. In the first round each host locks bytes of its own in one scratch
file of each directory; in the second, each asks which bytes of the others are locked, and writes a
snapshot with what it saw. Then the scratch files are removed. 'lockcfg audit' takes that for proof:
it counts more than conclusions from mounts and inode numbers.

With --output, all of it is done over ssh, for a few hosts; they need Python 3.6, and root. Any
other tool can carry the files: --write-plan makes the plan, every host runs 'lockcfg collect
--probe-hold PLAN' (or the program of 'lockcfg collect --print-collector'), --write-questions puts
the answers together, every host runs --probe-ask and then --probe-end. What each has printed at
--probe-ask is its snapshot.

The exit status is 0 if all hosts answered and all that share a directory see each other's locks
there, 1 where not, 3 where no host answered.
"""
EXAMPLES = (
    ("lockcfg probe --hosts 'kvm[01-08]' --output snapshots", "a probe over ssh"),
    ("lockcfg probe --hosts 'kvm[01-99]' --write-plan plan.json", "for another tool to carry"),
    (
        "lockcfg probe --plan plan.json --write-questions ask.json held/*.json",
        "the second round of it",
    ),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("answers", nargs="*", metavar="HELD", help="what --probe-hold printed")
    made = parser.add_argument_group("what is made").add_mutually_exclusive_group(required=True)
    made.add_argument("--output", metavar="DIR", help="the snapshots, with a probe over ssh")
    made.add_argument("--write-plan", metavar="FILE", help="the plan of the first round")
    made.add_argument("--write-questions", metavar="FILE", help="the plan of the second round")
    plan = parser.add_argument_group("the plan")
    plan.add_argument(
        "--hosts", action="append", default=[], metavar="HOSTS", help="names, as kvm[01-08,12]"
    )
    plan.add_argument("--plan", metavar="FILE", help="the plan of the first round")
    plan.add_argument(
        "--directory",
        action="append",
        default=[],
        metavar="DIR",
        help="look there too, where no guest has a disk yet",
    )
    plan.add_argument(
        "--seconds",
        type=int,
        default=300,
        metavar="N",
        help="the locks are released after these in any case (default: 300)",
    )
    add_json(parser)
    over = parser.add_argument_group("over ssh")
    over.add_argument(
        "--ssh",
        metavar="COMMAND",
        default="ssh -o BatchMode=yes -o ConnectTimeout=10",
        help="how a host is reached (default: %(default)s)",
    )
    over.add_argument(
        "--python",
        metavar="COMMAND",
        default="python3",
        help="Python on the hosts, as 'sudo python3' (default: python3)",
    )


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    if arguments.write_questions is not None:
        return _write_questions(arguments)
    if not arguments.hosts or arguments.answers or arguments.plan:
        raise UsageError(
            "--hosts is required, and answers cannot be given yet: a probe begins with its plan"
        )
    plan = _plan(arguments)
    if arguments.write_plan is not None:
        _write(arguments.write_plan, plan)
        if arguments.json:
            _report([arguments.write_plan], [])
        return 0
    return _over_ssh(plan, arguments)


def _report(written: list[str], silent: list[str], **seen: Any) -> None:
    """Print the result as JSON: the files, the hosts that have not answered, and what the others
    have seen."""
    from lockcfg.report import jsonreport

    jsonreport.write({"written": written, "silent": silent, "probe": [], "errors": {}, **seen})


def _plan(arguments: argparse.Namespace) -> dict[str, Any]:
    from lockcfg.fleet.policy.host_ranges import expand
    from lockcfg.fleet.snapshots.collector import MAX_HOLD
    from lockcfg.fleet.snapshots.probing import MOST, new_plan

    if not 0 < arguments.seconds <= MAX_HOLD:
        raise UsageError(f"--seconds: not a number from 1 to {MAX_HOLD}")
    for path in arguments.directory:
        if not path.startswith("/"):
            raise UsageError(f"--directory: {path} does not begin with /")
    hosts = sorted({host for ranges in arguments.hosts for host in expand(ranges)})
    if any(host.startswith(("-", ".")) or "/" in host or not host for host in hosts):
        raise UsageError("--hosts: a host's name does not begin with - or ., and has no / in it")
    if arguments.output is not None and len(hosts) > MOST:
        raise UsageError(
            f"{len(hosts)} hosts are too many for ssh: {MOST} at most",
            help="use --write-plan, and let another tool carry the files",
        )
    return new_plan(hosts, arguments.directory, arguments.seconds)


def _write(path: str, plan: Mapping[str, Any]) -> None:
    import json

    from lockcfg.draft import writing_text

    with writing_text(path) as stream:
        json.dump(plan, stream)
        stream.write("\n")


def _write_questions(arguments: argparse.Namespace) -> int:
    from lockcfg.conf.load import read_bytes
    from lockcfg.fleet.policy.host_ranges import fold
    from lockcfg.fleet.snapshots.probing import parsed_plan, questions_of
    from lockcfg.report import terminal

    if arguments.plan is None or not arguments.answers or arguments.hosts:
        raise UsageError("--write-questions needs --plan and the answers of the first round")
    plan = parsed_plan(read_bytes(arguments.plan).decode("utf-8", "replace"), arguments.plan)
    held = [(path, read_bytes(path)) for path in arguments.answers]
    questions, lacking = questions_of(plan, held)
    _write(arguments.write_questions, questions)
    if arguments.json:
        _report([arguments.write_questions], sorted(lacking))
    elif lacking:
        terminal.stderr().line(f"no answer of {terminal.escape(', '.join(fold(lacking)))}")
    return int(bool(lacking))


def _over_ssh(plan: dict[str, Any], arguments: argparse.Namespace) -> int:
    from lockcfg.draft import writing
    from lockcfg.fleet.comparison.scratches import probe_rows
    from lockcfg.fleet.model.evidence import evidence_of, probe_of
    from lockcfg.fleet.snapshots.format import SnapshotError, check_member
    from lockcfg.fleet.snapshots.probing import evidence_in, over_ssh
    from lockcfg.report import terminal
    from lockcfg.report.audit.probe import probe_json

    errors = terminal.stderr()

    def tell(host: str, what: str) -> None:
        errors.line(f"{terminal.escape(host)}: {terminal.escape(what)}")

    os.makedirs(arguments.output, exist_ok=True)
    snapshots = over_ssh(plan, arguments.ssh, arguments.python, tell)
    told: dict[int, dict[str, Any]] = {}
    written = []
    for host, snapshot in sorted(snapshots.items()):
        try:
            evidence = evidence_in(snapshot)
            check_member("evidence", evidence)
            told[plan["hosts"].index(host)] = evidence_of(evidence, ())
        except SnapshotError as error:
            tell(host, f"its snapshot {error.message}")
            continue
        written.append(os.path.join(arguments.output, f"{host}.json"))
        with writing(written[-1]) as stream:
            stream.write(snapshot)
    if not told:
        raise LockcfgError("no host has answered")
    hosts: list[str] = plan["hosts"]
    silent = [host for number, host in enumerate(hosts) if number not in told]
    probe = probe_of(told)
    rows = probe_rows(probe, dict(enumerate(hosts)))
    if arguments.json:
        errors_of = {hosts[host]: list(said) for host, said in sorted(probe.errors.items())}
        _report(written, silent, probe=probe_json(rows), errors=errors_of)
    else:
        _show(probe, rows, hosts, terminal.stdout())
    sees_all = all(row.seen == "yes" for row in rows if len(row.hosts) > 1)
    return int(bool(probe.errors or silent) or not sees_all)


def _show(probe: Probe, rows: Sequence[ProbeRow], hosts: Sequence[str], terminal: Terminal) -> None:
    """Print what was seen."""
    from lockcfg.report.audit.probe import sentences
    from lockcfg.report.terminal import escape

    styles = {"yes": "good", "no": "error", "unknown": "warning", "": "dim"}
    for seen, sentence in sentences(rows):
        terminal.line(terminal.style(escape(sentence), styles[seen]))
    for host, said in sorted(probe.errors.items()):
        for each in said:
            terminal.line(terminal.style(escape(f"{hosts[host]}: {each}"), "warning"))
