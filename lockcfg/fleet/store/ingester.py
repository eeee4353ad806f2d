"""From snapshots to a fleet store: read, check, parse, and reduce each to what counts.

Everything is done once for each distinct content: a line of a snapshot that was seen before is
known by its bytes, the facts that follow from such lines by the lines, and what a host's guests do
with their disks by its shape. For each host, it only reads the file, parses the few lines that
differ, and goes through the disks.
"""

from __future__ import annotations

import os
from itertools import count
from json.encoder import encode_basestring_ascii
from zlib import crc32

from lockcfg.conf.document import Document, decode
from lockcfg.errors import LockcfgError
from lockcfg.fleet.model.evidence import evidence_of
from lockcfg.fleet.model.facts import NOT_LIVE, Facts, document_of, facts_of, lines_of
from lockcfg.fleet.model.serialised import dumped
from lockcfg.fleet.model.tables import with_tables
from lockcfg.fleet.model.uses import (
    PART,
    VOLUME,
    NumberedUse,
    Use,
    below_of,
    devices_of,
    shape_of,
    traits_of,
    use_of,
    whole_of,
)
from lockcfg.fleet.snapshots.format import (
    EVIDENCE,
    FILES,
    OWN,
    SANLOCK_FILES,
    SnapshotError,
    check_header,
    check_member,
)
from lockcfg.fleet.snapshots.reading import (
    PLAIN_DISK,
    as_written,
    digest,
    head_of,
    is_own,
    member,
    own_members,
    own_members_behind,
    pieces_of,
    rewritten,
)
from lockcfg.fleet.snapshots.sources import as_text, files_of, texts_of
from lockcfg.fleet.store.circumstances import circumstances_of
from lockcfg.fleet.store.packing import BETWEEN, packed_disks, packed_keys, packed_uuids
from lockcfg.fleet.store.sections import Common, IngestedHost, Profile, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from typing import Any, Final

    from lockcfg.fleet.model.uses import Shape
    from lockcfg.fleet.snapshots.reading import Own
    from lockcfg.fleet.snapshots.sources import Source
    from lockcfg.fleet.store.store import Store

#: How many lines of one member are compared before a line is looked up by its digest.
_RECENT: Final = 4

#: How many snapshots are compared as a whole, up to the lines that only one host has. A comparison
#: costs little: it ends where two differ.
_HEADS: Final = 40

#: How many rows are handed to the store at a time.
_BATCH: Final = 2000

#: To make a number one that SQLite takes.
_POSITIVE: Final = (1 << 63) - 1


class Ingester:
    """Reads snapshots into ``store``. ``progress`` is told how many, now and then."""

    def __init__(self, store: Store, progress: Callable[[int], None] | None = None) -> None:
        self._store = store
        self._progress = progress
        self._numbers = count(1)
        self._heads: list[tuple[bytes, Common]] = []
        self._recent: dict[bytes, list[tuple[bytes, Section]]] = {}
        self._sections: dict[bytes, Section] = {}
        self._common: dict[tuple[int, ...], Common] = {}
        self._profiles: dict[str, Profile] = {}
        self._cells: dict[tuple[int, str, frozenset[int]], int] = {}
        self._ways: dict[Use, int] = {}
        self._hosts = 0
        self._rows: dict[str, list[tuple[object, ...]]] = {
            "host": [],
            "disks": [],
            "evidence": [],
            "held": [],
            "problem": [],
        }

    def read(self, sources: Iterable[Source]) -> None:
        """Read all there is in ``sources``."""
        for source in sources:
            if source.kind == "host":
                self._directory(source.path)
                continue
            for text in texts_of(source):
                if text.error:
                    self._problem(text.source, "", text.error)
                    continue
                try:
                    self.snapshot(text.source, text.data)
                except SnapshotError as error:
                    text.refused = True
                    self._problem(text.source, error.host, error.message)
        self._flush()

    def snapshot(self, source: str, data: bytes) -> None:
        """One snapshot. Raises :class:`SnapshotError`, and then nothing of it is kept."""
        source = as_text(source)
        common, own = self._read(data)
        host = own.host
        try:
            profile = self._profile(common, own.identities)
            self._add(source, profile, own, version=common.by_name["version"].value)
            if own.evidence is not None:
                told = evidence_of(own.evidence, common.by_name["directories"].value)
                self._rows["evidence"].append((self._hosts, dumped(told)))
        except LockcfgError as error:
            raise SnapshotError(error.message, host=host["name"]) from error

    # Members

    def _read(self, data: bytes) -> tuple[Common, Own]:
        """The members of a snapshot. Raises :class:`SnapshotError`."""
        for at, (head, common) in enumerate(self._heads):
            own = own_members_behind(head, data)
            if own is not None:
                if at:  # the next host is likely to be like this one
                    self._heads.insert(0, self._heads.pop(at))
                return common, own
        try:
            pieces = pieces_of(data)
            new = head_of(data, pieces)
            own = own_members_behind(new, data) if new else None
            common, own = self._members(pieces, own)
            if new is not None:
                self._heads.insert(0, (new, common))
                del self._heads[_HEADS:]
        except SnapshotError:
            # Perhaps it is in another layout. If it is not, this says better what is wrong.
            common, own = self._members(rewritten(data))
        return common, own

    def _members(self, pieces: list[bytes], own: Own | None = None) -> tuple[Common, Own]:
        """The members that hosts have in common, and those that only this one has: ``own``, if
        these were read already."""
        sections: list[Section] = []
        mine: list[bytes] = []
        for piece in pieces:
            if is_own(piece):
                mine.append(piece)
            else:
                sections += self._known(piece)
        own = own or own_members(mine)
        numbers = tuple([section.number for section in sections])
        common = self._common.get(numbers)
        if common is None:
            by_name = {section.name: section for section in sections}
            if len(by_name) != len(sections):
                raise SnapshotError("has one of its members twice")
            told = {name: section.value for name, section in by_name.items()}
            check_header(told | dict.fromkeys(OWN))
            common = self._common[numbers] = Common(by_name)
        return common, own

    def _known(self, piece: bytes) -> list[Section]:
        """The sections of a piece: one, if it comes from the collector."""
        beginning = piece[: piece.find(b":")]
        recent = self._recent.setdefault(beginning[:64], [])
        for known, seen in recent:
            if known == piece:
                return [seen]
        key = digest(piece)
        section = self._sections.get(key)
        if section is None:
            parsed = member(piece)
            if len(parsed) != 1:
                return [self._section(name, value) for name, value in parsed.items()]
            ((name, value),) = parsed.items()
            section = self._sections[key] = self._section(name, value)
        recent.insert(0, (piece, section))
        del recent[_RECENT:]
        return [section]

    def _section(self, name: str, value: Any) -> Section:
        if name in OWN or name == EVIDENCE:
            raise SnapshotError("has members that are not where they belong")
        check_member(name, value)
        return Section(next(self._numbers), name, value)

    def _profile(self, common: Common, identities: Mapping[str, Any]) -> Profile:
        """The facts that follow from common members and from the numbers of directories."""
        if common.last is not None and common.last[0] is identities:
            return common.last[1]
        inodes = {path: identities[path][1] for path in common.remote if path in identities}
        key = tuple(inodes.items())
        profile = common.profiles.get(key)
        if profile is None:
            by_name = common.by_name
            documents = {
                name: by_name[name].document for name in (*FILES, *SANLOCK_FILES) if name in by_name
            }
            shared = {name: section.value for name, section in by_name.items()}
            lines = {name: by_name[name].lines for name in FILES}
            facts = facts_of(documents, shared, inodes, lines)  # type: ignore[arg-type]
            profile = common.profiles[key] = self._profile_of(facts)
        common.last = identities, profile
        return profile

    def _profile_of(self, facts: Facts) -> Profile:
        text = dumped(facts)
        profile = self._profiles.get(text)
        if profile is None:
            profile = self._profiles[text] = Profile(len(self._profiles) + 1, facts)
            self._store.insert("profile", [(profile.number, text)])
        return profile

    # Hosts

    def _add(self, source: str, profile: Profile, own: Own, *, version: int) -> None:
        told = own.host
        number = self._hosts = self._hosts + 1
        host = IngestedHost(number, profile, own, version)
        self._plain_guests(host, own.plain)
        for guest in own.guests:
            self._guest(host, guest)
        for rows in host.local.values():
            if len(rows) > 1:
                for file, row in rows:
                    host.keys += (_key_of(row[1]), file)
                    host.disks += row
        held = {
            path: min(since, _POSITIVE)
            for daemon in own.daemons
            if "held" in daemon
            for path, since in daemon["held"].items()
        }
        if held:
            self._rows["held"].append((number, dumped(held)))
        circumstances = circumstances_of(
            source,
            own,
            profile.facts,
            profile.readers,
            runs=bool(host.running),
            first_start=host.first_start,
        )
        self._rows["host"].append(
            (
                number,
                told["name"],
                told["machine_id"],
                told["boot_id"],
                min(told["taken"], 2**63 - 1),
                len(host.running),
                len(own.plain) + len(own.guests),
                self._cell(profile, circumstances, frozenset(host.uses)),
                source,
                f"[{','.join(map(encode_basestring_ascii, host.running))}]",
                packed_uuids(host.uuids),
            )
        )
        if host.disks:
            packed = packed_keys(host.keys), packed_disks(host.disks)
            self._rows["disks"].append((number, 0, *packed))
        if not number % _BATCH:
            self._flush()
            if self._progress is not None:
                self._progress(number)

    def _plain_guests(self, host: IngestedHost, guests: Sequence[tuple[str, ...]]) -> None:
        """The guests of a host that are written in the usual way: most of a fleet's."""
        known = host.profile.plain.get
        special = host.volumes or host.is_of_version_1
        uses, keys, disks = host.uses, host.keys, host.disks
        running, uuids, starts = host.running, host.uuids, host.starts
        own = host.profile.facts.driver
        for guest in guests:
            _, _, inode, path, last, only, links, real, kind = guest[:9]
            more, driver, name, runs, start, uuid = guest[9:]
            found = known((path, only, links, kind, driver, runs))
            if found is None or more or special:
                self._usual(host, guest)
                continue
            # What follows is runs() and _image(): a large fleet comes here a million times.
            if runs:
                running.append(name if driver == own else f"{name}{BETWEEN}{driver}")
                uuids.append(uuid)
                starts.add(start)
            way, directory = found
            uses.add(way.number)
            if way.is_passed_over:
                continue
            real = real or last
            shown = way.prefix + real
            key = _key_of(shown) if PART in shown else crc32(shown.encode())
            keys += (key, (int(inode) << 32 | crc32(real.lower().encode())) & _POSITIVE)
            disks += (way.text, shown, directory + last, "", "", name, uuid)

    def _usual(self, host: IngestedHost, guest: Sequence[str]) -> None:
        """Such a guest, if it has several disks, or if it is the first of its kind."""
        *first, more, driver, name, runs, start, uuid = guest[1:]
        known = host.profile.plain
        disks = [first, *PLAIN_DISK.findall(more)]
        keys = [(disk[2], *disk[4:6], disk[7], driver, runs) for disk in disks]
        special = host.volumes or host.is_of_version_1
        if special or not all(map(known.__contains__, keys)):
            told = as_written(guest)
            ways = self._guest(host, told)
            if not special:
                for key, disk, way in zip(keys, told["disks"], ways, strict=True):
                    if way.prefix and way.has_numbers:
                        path = disk["path"]
                        known[key] = way, path[: path.rfind("/") + 1]
            return
        if runs:
            host.runs(name, uuid, start, driver)
        for key, disk in zip(keys, disks, strict=True):
            _image(host, known[key], (disk[1], disk[3], disk[6]), name, uuid)

    def _guest(self, host: IngestedHost, guest: Mapping[str, Any]) -> list[NumberedUse]:
        """A guest, whatever is written of it; returns the uses of its disks."""
        runs = guest.get("running", False)
        if runs:
            whose = guest.get("instance", guest["driver"])
            host.runs(guest["name"], guest["uuid"], guest.get("started", ""), whose)
        return self._disks(host, guest, runs=runs)

    def _disks(
        self, host: IngestedHost, guest: Mapping[str, Any], *, runs: bool
    ) -> list[NumberedUse]:
        """The disks of a guest, and what is below them; returns their uses."""
        profile = host.profile
        ways: list[NumberedUse] = []
        of_guest = [with_tables(disk) for disk in guest["disks"]]
        if not runs and host.is_of_version_1:
            # That version tells what is below an image only of guests that run.
            of_guest = [
                {**disk, "unasked": True} if _is_unasked(disk) else disk for disk in of_guest
            ]
        for disk in of_guest:
            path = disk.get("path", "")
            shape = shape_of(disk, path, runs, guest)
            way = profile.ways.get(shape) or self._way(profile, shape)
            ways.append(way)
            host.uses.add(way.number)
            if way.has_chain:  # what is appended here is gone through next
                of_guest += below_of(disk, way)
            if host.below and way.is_image:
                real = disk.get("resolved", path)
                volume = host.below.pop(real[: real.rfind("/")], "")
                of_guest += devices_of(volume, way.storage)
            if not way.is_passed_over:
                self._disk(host, guest, disk, path, way)
        return ways

    def _disk(
        self,
        host: IngestedHost,
        guest: Mapping[str, Any],
        disk: Mapping[str, Any],
        path: str,
        way: NumberedUse,
    ) -> None:
        """A disk that others might have too."""
        name = way.name_of(disk, path)
        inode = disk.get("inode")
        file = 0
        if way.is_image and inode is not None:
            # One file has one number, whatever names of its storage the hosts use.
            last = disk.get("resolved", path)
            # A file with several names has one number alone.
            several = way.prefix and disk.get("links", 1) > 1
            file = _file_of(
                inode if way.has_numbers else 0, "" if several else last[last.rfind("/") + 1 :]
            )
        rows = None
        if not name:
            if inode is None:
                return
            # It has no name that other hosts know.
            name = f"{host.boot_id}:{disk.get('device', '')}:{inode}"
            if way.is_image and host.volumes:
                real = disk.get("resolved", path)
                volume = host.volumes.get(real[: real.rfind("/")])
                name = f"{VOLUME}{volume}:inode {inode}" if volume else name
            if not file:  # but two guests of this host may have it
                rows = host.local.setdefault(name, [])
        lvm, scsi = disk.get("lvm_uuid", ""), disk.get("scsi_id", "")
        row = way.text, name, path, lvm, scsi, guest["name"], guest["uuid"]
        if rows is None:
            host.keys += (_key_of(name), file)
            host.disks += row
        else:
            rows.append((file, row))

    def _way(self, profile: Profile, shape: Shape) -> NumberedUse:
        use = use_of(shape, profile.facts)
        number = self._ways.get(use)
        if number is None:
            number = self._ways[use] = len(self._ways) + 1
            self._store.insert("way", [(number, dumped(use))])
        way = profile.ways[shape] = NumberedUse(
            number,
            use,
            profile.storages.get(use.storage),
            has_chain="chain" in traits_of(shape) and not (use.backing or use.readonly),
        )
        return way

    def _cell(self, profile: Profile, circumstances: list[str], uses: frozenset[int]) -> int:
        key = (profile.number, dumped(circumstances) if circumstances else "[]", uses)
        number = self._cells.get(key)
        if number is None:
            number = self._cells[key] = len(self._cells) + 1
            self._store.insert("cell", [(number, *key[:2])])
            self._store.insert("cell_way", [(number, way) for way in sorted(uses)])
        return number

    def _directory(self, path: str) -> None:
        """A host of a repository: its files are all that is known of it."""
        from lockcfg.rules.rule import HostFiles

        texts, errors = files_of(path)
        documents: dict[str, tuple[Document, str]] = {}
        for name in (*FILES, *SANLOCK_FILES):
            if name in SANLOCK_FILES and name not in texts and name not in errors:
                continue  # what it says is not known, where it may be that of another place
            told: dict[str, Any] = {"path": os.path.join(path, name)}
            if name in texts:
                told["text"] = decode(texts[name])
            if name in errors:
                told["error"] = errors[name]
            documents[name] = document_of(name, told)
        name = as_text(HostFiles(path, {}).name or path)
        if not any(documents[name][0].exists or documents[name][1] for name in FILES):
            return
        lines = {name: lines_of(document) for name, (document, _) in documents.items()}
        profile = self._profile_of(facts_of(documents, NOT_LIVE, {}, lines))
        self._hosts += 1
        cell = self._cell(profile, [], frozenset())
        row = (self._hosts, name, "", "", 0, 0, 0, cell, as_text(path), "[]", b"")
        self._rows["host"].append(row)

    def _problem(self, source: str, host: str, reason: str) -> None:
        self._rows["problem"].append((as_text(source), host, as_text(reason)))

    def _flush(self) -> None:
        for table, rows in self._rows.items():
            if rows:
                self._store.insert(table, rows)
                rows.clear()


def _image(
    host: IngestedHost,
    found: tuple[NumberedUse, str],
    disk: tuple[str, str, str],
    name: str,
    uuid: str,
) -> None:
    """The disk of a guest that is an image file which other hosts might have: how it is used and
    its directory, then its inode number, the last part of its path and that without links."""
    way, directory = found
    host.uses.add(way.number)
    if way.is_passed_over:
        return
    inode, last, real = disk
    real = real or last
    shown = way.prefix + real
    host.keys += (_key_of(shown), _file_of(int(inode), real))
    host.disks += (way.text, shown, directory + last, "", "", name, uuid)


def _is_unasked(disk: Mapping[str, Any]) -> bool:
    """Whether a disk of a guest that does not run may have images below it that the first version
    of snapshots does not tell."""
    return disk["type"] == "file" and not disk.get("readonly") and "chain" not in disk


def _key_of(name: str) -> int:
    """A number that stands for the name of a disk: that of a partition is its device's."""
    return crc32((name if PART not in name else whole_of(name)).encode())


def _file_of(inode: int, name: str) -> int:
    """A number that stands for an image file, whatever its directory is called. A server of CIFS
    takes no notice of case, and the model decides what that means."""
    return (inode << 32 | crc32(name.lower().encode())) & _POSITIVE
