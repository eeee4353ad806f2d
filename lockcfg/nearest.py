"""What a misspelled word was probably meant to be."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

#: How long the part of a word is that is compared.
_MOST = 100


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that ``word`` is probably a misspelling of, or None."""
    word = word[:_MOST]
    letters = [(letter, word.count(letter)) for letter in set(word)]
    # A file may have thousands of unknown words: most have too few letters in common with a
    # candidate, which is sooner seen than what difflib looks at.
    near = [each for each in candidates if _may_be(word, letters, each)]
    if not near:
        return None
    from difflib import get_close_matches

    found = get_close_matches(word, near, n=1, cutoff=0.7)
    return found[0] if found else None


def _may_be(word: str, letters: list[tuple[str, int]], other: str) -> bool:
    """Whether two words can be as alike as they have to be: twice the letters that they have in
    common, by all their letters, is 0.7 or more."""
    wanted = 7 * (len(word) + len(other))
    if 20 * min(len(word), len(other)) < wanted:
        return False
    return 20 * sum([min(number, other.count(letter)) for letter, number in letters]) >= wanted
