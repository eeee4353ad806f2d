"""What a misspelled word was meant to be."""

from __future__ import annotations

import random
from difflib import get_close_matches

from lockcfg.conf.files import KINDS
from lockcfg.conf.settings import settings_of
from lockcfg.nearest import nearest


def test_what_is_left_out_at_once_is_nothing_that_would_be_found() -> None:
    """For settings with some letters more, less, or others."""
    chance = random.Random(1)
    settings = [*settings_of(KINDS["qemu.conf"])]
    found = 0
    for _ in range(1_000):
        word = chance.choice(settings)
        for _ in range(chance.randrange(8)):
            at = chance.randrange(len(word) + 1)
            word = word[:at] + chance.choice(("", "", *"aekl_")) + word[at + chance.randrange(2) :]
        expected = get_close_matches(word, settings, n=1, cutoff=0.7)
        assert nearest(word, settings) == (expected[0] if expected else None), word
        found += bool(expected)
    assert 300 < found < 1_000
