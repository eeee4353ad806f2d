"""What stands in for atheris where it has no wheel: the same inputs to begin with, changed blindly.

No coverage tells which change was worth anything, so a run finds less than one of atheris.
"""

from __future__ import annotations

import contextlib
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

_take: Callable[[bytes], object]
_options: dict[str, int] = {}
_seeds: list[bytes] = []


def instrument_imports(include: Sequence[str]) -> contextlib.AbstractContextManager[None]:
    """Import as always."""
    del include
    return contextlib.nullcontext()


def Setup(arguments: Sequence[str], take: Callable[[bytes], object]) -> None:  # noqa: N802
    """``arguments`` are libfuzzer's: its options, and the directory of the inputs to begin with."""
    global _take
    _take = take
    for argument in arguments[1:-1]:
        name, _, value = argument.removeprefix("-").partition("=")
        if value.isdecimal():  # else it is about files that only atheris writes
            _options[name] = int(value)
    _seeds.extend(path.read_bytes() for path in sorted(Path(arguments[-1]).iterdir()))


def Fuzz() -> None:  # noqa: N802
    """Have all inputs taken. One that ends in an exception is printed, and ends the run."""
    chance = random.Random(_options["seed"])
    for _ in range(_options["runs"]):
        data = _changed(chance, chance.choice(_seeds))[: _options["max_len"]]
        try:
            _take(data)
        except BaseException:
            print(f"the input: {data!r}", file=sys.stderr)
            raise
    print(f"Done {_options['runs']} runs", file=sys.stderr)


def _changed(chance: random.Random, data: bytes) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.randint(1, 8)):
        at, end = sorted(chance.randint(0, len(changed)) for _ in range(2))
        match chance.randrange(5):
            case 0:
                changed[at : at + 1] = chance.randbytes(1)
            case 1:
                changed[at:at] = chance.randbytes(chance.randint(1, 8))
            case 2:
                del changed[at:end]
            case 3:
                changed[at:at] = changed[at:end]
            case _:
                changed[at:] = chance.choice(_seeds)
    return bytes(changed)
