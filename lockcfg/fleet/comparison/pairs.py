"""Folds pairs of hosts, so that a few lines say which of many hosts do not exclude each other."""

from __future__ import annotations

from itertools import combinations

from lockcfg.fleet.policy.host_ranges import fold

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Final


def folded_pairs(
    pairs: Iterable[tuple[str, str]], hosts: Mapping[str, Sequence[str]] | None = None
) -> list[tuple[list[str], list[str]]]:
    """The pairs as pairs of sorted lists of names: every name of the first list is paired with
    every name of the second. Two equal lists stand for any two of their names, and two lists of the
    same single name pair it with itself. Each given pair is in exactly one of them, and no other
    pair is.

    If a name stands for several ``hosts``, a pair stands for every two of them, and a pair of a
    name with itself for any two of its own; there is none if it stands for one."""
    partners: dict[str, set[str]] = {}
    found: list[tuple[list[str], list[str]]] = []
    left: set[frozenset[str]] = set()
    #: The names of which any two hosts are a pair, as far as they have two.
    close: set[str] = set()

    def listed(names: Iterable[str]) -> list[str]:
        return sorted(names if hosts is None else [host for each in names for host in hosts[each]])

    for name, partner in pairs:
        of_both = partners.setdefault(name, set()), partners.setdefault(partner, set())
        if name == partner:
            close.add(name)
            if hosts is None:
                found.append(([name], [name]))
            continue
        of_both[0].add(partner)
        of_both[1].add(name)
        left.add(frozenset((name, partner)))
    alike: dict[frozenset[str], list[str]] = {}
    for name, others in partners.items():
        if hosts is None or name in close or len(hosts[name]) == 1:
            alike.setdefault(frozenset((name, *others)), []).append(name)
    for names in alike.values():
        every = listed(names)
        if len(every) > 1:  # they have the same partners, and are partners of each other
            found.append((every, every))
            left -= {frozenset(both) for both in combinations(names, 2)}
    while left:
        rest: dict[frozenset[str], list[str]] = {}
        for name, others in partners.items():
            apart = frozenset(other for other in others if frozenset((name, other)) in left)
            if apart:
                rest.setdefault(apart, []).append(name)
        # The longest lists come first, however many hosts a name stands for.
        lists = [(listed(names), listed(apart), names, apart) for apart, names in rest.items()]
        for one, other, names, apart in sorted(lists, key=lambda each: (-len(each[1]), each[0])):
            mine = {frozenset((a, b)) for a in names for b in apart}
            if mine <= left:
                found.append((one, other))
                left -= mine
    unique = {(tuple(one), tuple(other)) for one, other in found}
    return [([*one], [*other]) for one, other in sorted(unique)]


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
