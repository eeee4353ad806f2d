"""Folds pairs of hosts, so that a few lines say which of many hosts do not exclude each other."""

from __future__ import annotations

from lockcfg.fleet.policy.host_ranges import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Final


def folded_pairs(pairs: Iterable[tuple[str, str]]) -> list[tuple[list[str], list[str]]]:
    """The pairs as pairs of sorted lists of names: every name of the first list is paired with
    every name of the second. Two equal lists stand for any two of their names, and two lists of the
    same single name pair it with itself. Each given pair is in exactly one of them, and no other
    pair is."""
    partners: dict[str, set[str]] = {}
    found: list[tuple[list[str], list[str]]] = []
    left: set[frozenset[str]] = set()
    for one, other in pairs:
        if one == other:
            if ([one], [one]) not in found:
                found.append(([one], [one]))
            continue
        partners.setdefault(one, set()).add(other)
        partners.setdefault(other, set()).add(one)
        left.add(frozenset((one, other)))
    alike: dict[frozenset[str], list[str]] = {}
    for name, others in partners.items():
        alike.setdefault(frozenset((name, *others)), []).append(name)
    for names in alike.values():
        if len(names) > 1:  # they have the same partners, and are partners of each other
            found.append((sorted(names), sorted(names)))
            left -= {frozenset((a, b)) for a in names for b in names if a != b}
    rest: dict[frozenset[str], list[str]] = {}
    for name, others in partners.items():
        apart = frozenset(other for other in others if frozenset((name, other)) in left)
        if apart:
            rest.setdefault(apart, []).append(name)
    for apart, names in sorted(rest.items(), key=lambda each: (-len(each[0]), sorted(each[1]))):
        mine = {frozenset((a, b)) for a in names for b in apart}
        if mine <= left:
            found.append((sorted(names), sorted(apart)))
            left -= mine
    found += [(sorted(pair)[:1], sorted(pair)[1:]) for pair in sorted(left, key=sorted)]
    return sorted(found)


#: The words for two hosts that are not shown to exclude each other.
WORDS: Final = {
    "no": "do not exclude each other",
    "unknown": "are not known to exclude each other",
}


def sentences(pairs: Iterable[tuple[str, Sequence[str], Sequence[str]]]) -> Iterator[str]:
    """The folded pairs as sentences."""
    for seen, one, other in pairs:
        if one != other:
            who = f"{', '.join(fold(one))} and {', '.join(fold(other))}"
        elif len(one) > 1:
            who = f"any two of {', '.join(fold(one))}"
        else:
            who = f"two guests of {one[0]}"
        yield f"{who} {WORDS[seen]}"
