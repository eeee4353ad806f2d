"""How the fleet store has many disks, keys or UUIDs in one value."""

from __future__ import annotations

import re
from array import array
from collections import Counter
from hashlib import blake2b

from lockcfg.workers import processes, share

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Final

#: What is packed of a disk, one after the other: see :class:`StoredDisk`.
PACKED: Final = ("way", "name", "path", "lvm_uuid", "scsi_id", "guest", "uuid")
WIDTH: Final = len(PACKED)

#: How many bytes the two numbers of a disk take.
BYTES_OF_A_DISK: Final = 16

#: How many bytes of numbers make it pay to look through them in several processes.
_MANY: Final = 1 << 21

#: No text of a snapshot has it.
BETWEEN: Final = "\0"


def packed_uuids(uuids: Sequence[str]) -> bytes:
    """The UUIDs of guests, as the store has them: 64 bits of each, its halves put together. Who
    makes UUIDs by hand changes the end of one."""
    if {36}.issuperset(map(len, uuids)) and _UUIDS.fullmatch("".join(uuids)):
        raw = bytes.fromhex("".join(uuids).replace("-", ""))
        both = int.from_bytes(raw)
        return numbers_in((both ^ both >> 64).to_bytes(len(raw)))[1::2].tobytes()
    return b"".join(map(_number_of, uuids))


def _number_of(uuid: str) -> bytes:
    if len(uuid) == 36 and _UUIDS.fullmatch(uuid):
        return packed_uuids([uuid])
    return blake2b(uuid.encode(), digest_size=8).digest()


#: Some UUIDs, one after the other.
_UUIDS: Final = re.compile(r"(?:[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})*")


def packed_keys(keys: Iterable[int]) -> bytes:
    """The keys and numbers of some disks, as the store has them."""
    return array("q", keys).tobytes()


def packed_disks(texts: Iterable[str]) -> bytes:
    """Some disks, as the store has them: the way, the name, the path, the UUID of the logical
    volume, the SCSI id, the guest, and its UUID of one after the other."""
    return BETWEEN.join(texts).encode()


def with_ways(packed: bytes, of: int, ways: Mapping[int, int]) -> bytes:
    """Some disks, as the store has them, with other numbers of ways: ``ways`` has them by the
    number in the store, which is ``of`` more than the one that is packed."""
    texts = packed.decode().split(BETWEEN)
    texts[::WIDTH] = [str(ways[int(way) + of]) for way in texts[::WIDTH]]
    return packed_disks(texts)


def all_doubled(*lists: tuple[bytes, slice]) -> list[set[int]]:
    """The numbers that are more than once in each list: a part of the numbers in some bytes."""

    def work(jobs: Iterator[int]) -> dict[int, set[int]]:
        return {job: _doubled(numbers_in(lists[job][0])[lists[job][1]]) for job in jobs}

    many = sum(len(packed) for packed, _ in lists) >= _MANY
    others = [work] * (processes() - 1) if many else []
    found: dict[int, set[int]] = {}
    for part in share(len(lists), work, others, whose="audit", help="memory may be short"):
        found |= part
    return [found[job] for job in range(len(lists))]


def _doubled(numbers: Iterable[int]) -> set[int]:
    """The numbers that are there more than once."""
    return {number for number, times in Counter(numbers).items() if times > 1}


def numbers_in(packed: bytes) -> array[int]:
    """The numbers of 64 bits that are in some bytes, in the order of this machine's bytes."""
    numbers = array("q")
    numbers.frombytes(packed)
    return numbers
