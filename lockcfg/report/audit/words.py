"""The words for lock domains, the same in the terminal and on the page."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    from lockcfg.fleet.comparison.result import DomainRow

    #: The standings of a domain. apart: its hosts exclude each other, but not the rest of the
    #: group.
    Standing = Literal["yes", "apart", "unknown", "no"]

KIND_WORDS: Final = {
    "image": "image files",
    "block": "block devices",
    "lvm": "logical volumes",
    "scsi": "SCSI volumes",
    "lease": "leases",
}

#: The colour of a verdict.
LEVELS: Final = {"unsafe": "error", "unknown": "warning", "safe": "good"}

#: The colour of a standing.
COLOURS: Final[dict[Standing, str]] = {
    "yes": "good",
    "apart": "error",
    "unknown": "warning",
    "no": "error",
}


def standing_of(domain: DomainRow) -> Standing:
    """Whether the hosts of a domain exclude each other and the rest of their group."""
    return "apart" if domain.apart else domain.reach


def standing_in_words(domain: DomainRow) -> str:
    """A standing in words, for one host or for several."""
    alone = len(domain.hosts) == 1
    return {
        "yes": "excludes others" if alone else "exclude each other",
        "apart": "apart from the rest" if alone else "exclude each other, apart from the rest",
        "unknown": "not known",
        "no": "alone" if alone else "each alone",
    }[standing_of(domain)]
