"""Compares the scratch files of a probe: which hosts have each, and which hosts see each other."""

from __future__ import annotations

from lockcfg.fleet.comparison.result import ProbeRow

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from lockcfg.fleet.model.evidence import Probe


def probe_rows(probe: Probe, names: Mapping[int, str]) -> list[ProbeRow]:
    """What a probe showed, one row for each scratch file: the files whose locks are not seen come
    first. ``names`` are the names of the hosts, by their ids."""
    rows: list[ProbeRow] = []
    for scratch in probe.scratches:
        pairs = sorted(
            (min(names[one], names[other]), max(names[one], names[other]), seen)
            for (one, other), seen in scratch.seen.items()
            if seen != "yes"
        )
        found = {seen for _, _, seen in pairs}
        rows.append(
            ProbeRow(
                sorted(set(scratch.paths.values())),
                scratch.taken,
                sorted(names[host] for host in scratch.paths),
                "no" if "no" in found else "unknown" if found else "yes",
                pairs,
            )
        )
    return sorted(
        rows, key=lambda row: (_ORDER[row.seen], len(row.hosts) == 1, row.paths, row.hosts)
    )


_ORDER = {"no": 0, "unknown": 1, "yes": 2}
