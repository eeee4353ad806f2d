"""Says what a probe showed, in the same words for ``lockcfg probe`` and for the audit."""

from __future__ import annotations

from lockcfg.fleet.policy.host_ranges import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, Final

    from lockcfg.fleet.comparison.result import ProbeRow

#: The words about hosts with one scratch file, by whether they see each other's locks.
SEEN: Final = {
    "yes": "see each other's locks",
    "no": "do not see each other's locks",
    "unknown": "may or may not see each other's locks",
}


def sentences(rows: Sequence[ProbeRow]) -> Iterator[tuple[str, str]]:
    """The result of each row (yes, no, unknown, or empty if no two hosts share the file), and a
    sentence that says it."""
    alone: dict[str, list[str]] = {}
    for row in rows:
        where = ", ".join(row.paths)
        if len(row.hosts) == 1:
            alone.setdefault(where, []).append(row.hosts[0])
            continue
        if row.seen == "yes":
            yield "yes", f"{where}: {', '.join(fold(row.hosts))} {SEEN['yes']}"
            continue
        for seen in ("no", "unknown"):
            for host, others in row.partners(seen):
                both = f"{host} and {', '.join(fold(others))}"
                yield seen, f"{where}: {both} {SEEN[seen]}"
    for where, hosts in sorted(alone.items()):
        if len(hosts) == 1:
            yield "", f"{where}: {hosts[0]} alone has it"
        else:
            yield "", f"{where}: {', '.join(fold(hosts))} each have one of their own"


def probe_json(rows: Sequence[ProbeRow]) -> list[dict[str, Any]]:
    """The rows as the schemas of the audit's and the probe's JSON describe them."""
    return [
        {
            "paths": list(row.paths),
            "taken": row.taken,
            "seen": row.seen,
            "hosts": list(row.hosts),
            "pairs": [list(pair) for pair in row.pairs],
        }
        for row in rows
    ]
