"""What a misspelled word was probably meant to be."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable


def nearest(word: str, candidates: Iterable[str]) -> str | None:
    """The candidate that ``word`` is probably a misspelling of, or None."""
    from difflib import get_close_matches

    found = get_close_matches(word[:100], list(candidates), n=1, cutoff=0.7)
    return found[0] if found else None
