"""Folded pairs are the pairs."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from lockcfg.fleet.comparison.pairs import folded_pairs

NAMES = st.sampled_from("abcdefg")


@given(st.sets(st.tuples(NAMES, NAMES)))
def test_every_pair_is_there_and_no_other(pairs: set[tuple[str, str]]) -> None:
    """Whatever they are, and in any order."""
    found: list[frozenset[str]] = []
    for one, other in folded_pairs(pairs):
        if one == other and len(one) > 1:
            found += [frozenset(pair) for pair in itertools.combinations(one, 2)]
        else:
            found += [frozenset(pair) for pair in itertools.product(one, other)]
    assert len(found) == len(set(found))
    assert set(found) == {frozenset(pair) for pair in pairs}
    assert folded_pairs(sorted(pairs, reverse=True)) == folded_pairs(sorted(pairs))


def test_many_pairs_are_few_lines() -> None:
    """Two halves do not see each other; no two of the hosts do; no other host sees one of them."""
    halves = list(itertools.product("abc", "xyz"))
    assert folded_pairs(halves) in (
        [(["a", "b", "c"], ["x", "y", "z"])],
        [(["x", "y", "z"], ["a", "b", "c"])],
    )
    assert folded_pairs(itertools.combinations("abcd", 2)) == [(list("abcd"), list("abcd"))]
    assert folded_pairs([("a", "b"), ("a", "c"), ("a", "d")]) in (
        [(["a"], ["b", "c", "d"])],
        [(["b", "c", "d"], ["a"])],
    )
    assert folded_pairs([("a", "a")]) == [(["a"], ["a"])]
