"""Host names in ranges: ``kvm[01-40,43]`` stands for 41 hosts."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase

from lockcfg.errors import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Final

#: The last number in a name, and the text around it.
_NUMBER: Final = re.compile(r"(.*?)([0-9]{1,18})([^0-9]*)\Z", re.DOTALL)

#: A range in brackets, as :func:`fold` writes it.
_RANGES: Final = re.compile(r"\[([0-9]+(?:-[0-9]+)?(?:,[0-9]+(?:-[0-9]+)?)*)\]")

#: The most hosts that one range may stand for.
_MOST: Final = 1_000_000


def natural(name: str) -> tuple[object, ...]:
    """A key that sorts kvm9 before kvm10."""
    parts = re.split(r"([0-9]{1,18})", name)
    return tuple(int(part) if number % 2 else part for number, part in enumerate(parts))


def fold(names: Iterable[str]) -> list[str]:
    """The names, sorted, with names that differ only in one number folded into ranges. That number
    is the last one before the first dot (kvm07.dc1.example.com is host seven), or else the last one
    of all."""
    families: dict[tuple[str, int, str], list[int]] = {}
    single: list[str] = []
    for name in set(names):
        parts = None if "[" in name else _parts(name)
        if parts is None:
            single.append(name)
            continue
        before, digits, after = parts
        # kvm1 and kvm01 are two hosts, so hosts of one range have numbers of one width.
        width = len(digits) if digits.startswith("0") else 0
        families.setdefault((before, width, after), []).append(int(digits))
    folded = [_join(*family, numbers) for family, numbers in _merged(families).items()]
    return sorted(single + folded, key=natural)


def shortened(names: Iterable[str], most: int) -> str:
    """The first ``most`` ranges of the names, separated by commas, and the number of the rest."""
    ranges = fold(names)
    shown = ", ".join(ranges[:most])
    return shown if len(ranges) <= most else f"{shown} and {len(ranges) - most} more"


def _parts(name: str) -> tuple[str, str, str] | None:
    """The number by which ranges count a host, with the text before and after it."""
    label, dot, domain = name.partition(".")
    match = None if label.isdigit() else _NUMBER.match(label)
    if match is not None:
        return match[1], match[2], match[3] + dot + domain
    match = _NUMBER.match(name)  # an address, or counted by the domain
    return (match[1], match[2], match[3]) if match else None


def _merged(
    families: dict[tuple[str, int, str], list[int]],
) -> dict[tuple[str, int, str], list[int]]:
    """Families of names, with numbers without leading zeros merged into the family of their width:
    kvm09, kvm10."""
    for before, width, after in [family for family in families if family[1]]:
        plain = families.get((before, 0, after), [])
        fitting = [number for number in plain if len(str(number)) == width]
        if fitting:
            families[before, width, after] += fitting
            families[before, 0, after] = [n for n in plain if len(str(n)) != width]
    return {family: numbers for family, numbers in families.items() if numbers}


def _join(before: str, width: int, after: str, numbers: Sequence[int]) -> str:
    ranges: list[str] = []
    ordered = sorted(numbers)
    start = last = ordered[0]
    for number in [*ordered[1:], -1]:
        if number == last + 1:
            last = number
            continue
        first = f"{start:0{width}}"
        ranges.append(first if start == last else f"{first}-{last:0{width}}")
        start = last = number
    inside = ",".join(ranges)
    return f"{before}{inside if inside.isdigit() else f'[{inside}]'}{after}"


def expand(pattern: str) -> list[str]:
    """The names that a range stands for; the pattern itself if it has no range.

    Raises :class:`UsageError` for more than a million.
    """
    match = _RANGES.search(pattern)
    if match is None:
        return [pattern]
    found: list[str] = []
    for part in match[1].split(","):
        first, _, last = part.partition("-")
        if int(last or first) - int(first) > _MOST:
            raise UsageError(f"'{pattern}' stands for too many hosts")
        for number in range(int(first), int(last or first) + 1):
            digits = f"{number:0{len(first)}}"
            found += expand(f"{pattern[: match.start()]}{digits}{pattern[match.end() :]}")
            if len(found) > _MOST:
                raise UsageError(f"'{pattern}' stands for too many hosts")
    return found


class HostPatterns:
    """A set of names, ranges and globs (``kvm*``)."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(patterns)
        expanded = [name for pattern in self.patterns for name in expand(pattern)]
        self.named = frozenset(name for name in expanded if not _is_glob(name))
        # A bracket that does not hold a range stands for itself.
        self._globs = tuple(name.replace("[", "[[]") for name in expanded if _is_glob(name))

    @property
    def globs(self) -> tuple[str, ...]:
        """The globs, whose hosts cannot be listed."""
        return tuple(pattern for pattern in self.patterns if _is_glob(pattern))

    def __contains__(self, name: str) -> bool:
        return name in self.named or any(fnmatchcase(name, glob) for glob in self._globs)


def _is_glob(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern
