"""The disks in a command line of QEMU: those of ``-drive``, ``-blockdev``, ``-hda`` and similar
options, and the files of persistent memory. Pure: it reads only the words.

Sources: qemu-options.hx and qapi/block-core.json of QEMU 7.2 and 10.0.
"""

from __future__ import annotations

import json
import re

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from typing import Any, Final

#: The options whose value is the name of a file, a disk that is written.
_PLAIN: Final = ("hda", "hdb", "hdc", "hdd", "fda", "fdb", "mtdblock", "sd", "pflash")

#: All options whose value is a disk or describes one.
_WITH_DISKS: Final = (*_PLAIN, "drive", "blockdev", "device", "object", "add-fd")

#: The devices that have a file as their persistent memory.
_PERSISTENT: Final = ("nvdimm", "virtio-pmem", "virtio-pmem-pci")

#: The drivers that pass on what stands below them as it is.
_THROUGH: Final = ("throttle", "copy-on-read", "preallocate", "compress", "blkdebug")

#: The devices that only read what is in them.
_CD: Final = ("ide-cd", "scsi-cd")

#: The formats whose images have one writer, whatever a device allows.
_ONE_WRITER: Final = (
    *("qcow2", "qcow", "qed", "vmdk", "vdi", "vhdx", "vpc", "parallels", "luks", "bochs", "dmg"),
)

#: The options that read more of the command line from elsewhere. Those of -set that change a disk
#: count as well.
_HIDING: Final = ("readconfig", "daemonize")

#: The options without a value.
_ALONE: Final = {
    *("h", "help", "version", "snapshot", "no-fd-bootchk", "full-screen", "nographic"),
    *("no-acpi", "no-hpet", "no-reboot", "no-shutdown", "no-user-config", "nodefaults", "S"),
    *("daemonize", "only-migratable", "preconfig", "win2k-hack", "sdl", "alt-grab"),
    *("ctrl-grab", "singlestep", "one-insn-per-tb", "portrait", "usb", "s", "mem-prealloc"),
    *("xen-attach", "xen-domid-restrict", "semihosting", "old-param", "audio-help"),
    *("enable-kvm", "no-kvm", "enable-sync-profile", "enable-fips", "show-cursor"),
    *("no-quit", "no-frame", "nodefconfig", "perfmap", "jitdump"),
}

#: The drivers of a file or a device of the host, each with the member that names it.
_FILES: Final = {
    "file": "filename",
    "host_device": "filename",
    "host_cdrom": "filename",
    "io_uring": "filename",
    "nvme-io_uring": "path",
}

#: What -set changes of a device that matters here; of a drive everything does.
_SET_OF_DEVICE: Final = ("drive", "share-rw")

#: The members of a block node that are only read, whatever the node is.
_ONLY_READ: Final = ("backing", "bottom")

#: The members of a block node whose value may be the name of another one.
_BELOW: Final = {
    *("file", "backing", "bottom", "data-file", "image", "raw", "test", "children", "log"),
    *("target", "header"),
}

#: The prefixes of names of local files; any other protocol is not local.
_SCHEMES: Final = ("file:", "host_device:", "host_cdrom:")
#: The prefixes of names that have the name of a file, or of two, behind a colon.
_FILTERS: Final = ("blkdebug:", "blkverify:")
_PROTOCOL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")

_DEEPEST: Final = 40


class CommandError(Exception):
    """The command line cannot be understood; the text says why."""


class QemuDisk:
    """A file or device that QEMU opens as a disk, by its name; whether it is only read, and whether
    others may write it too (``share-rw``). ``may_be_qcow2`` tells that QEMU takes it for qcow2 if
    it is: then it may name a file that has the data."""

    __slots__ = ("may_be_qcow2", "path", "readonly", "shareable")

    def __init__(
        self, path: str, *, readonly: bool, shareable: bool = False, may_be_qcow2: bool = False
    ) -> None:
        self.path: Final = path
        self.readonly: Final = readonly
        self.shareable: Final = shareable
        self.may_be_qcow2: Final = may_be_qcow2


class _Use:
    """How a file is used: only read; by others, too (``shareable``), but for a format that has one
    writer (``alone``); and as qcow2, if it is that."""

    __slots__ = ("alone", "may_be_qcow2", "readonly", "shareable")

    def __init__(
        self, *, readonly: bool, shareable: bool, may_be_qcow2: bool = False, alone: bool = False
    ) -> None:
        self.readonly: Final = readonly
        self.shareable: Final = shareable
        self.may_be_qcow2: Final = may_be_qcow2
        self.alone: Final = alone

    def below(self, *, may_be_qcow2: bool, alone: bool) -> _Use:
        """What is below that, perhaps below a format that has one writer."""
        return _Use(
            readonly=self.readonly,
            shareable=self.shareable,
            may_be_qcow2=may_be_qcow2,
            alone=self.alone or alone,
        )

    def only_read(self) -> _Use:
        """The same, where nothing is written."""
        return _Use(
            readonly=True,
            shareable=self.shareable,
            may_be_qcow2=self.may_be_qcow2,
            alone=self.alone,
        )


class QemuCommand:
    """The contents of a QEMU command line: its disks, the name and the UUID of the guest, empty if
    absent, the sets of descriptors by their numbers, and the options that hide disks. Raises
    :class:`CommandError`."""

    def __init__(self, arguments: Sequence[str]) -> None:
        self.name = ""
        self.uuid = ""
        self.hiding: Final[list[str]] = []
        self.fd_sets: Final[dict[str, list[str]]] = {}
        self._found: Final[list[tuple[str, _Use]]] = []
        #: Files of memory by the names of their objects; and by those names, whether a device that
        #: has one as its persistent memory only reads it.
        self._memory: Final[dict[str, Mapping[str, Any]]] = {}
        self._persistent: Final[dict[str, bool]] = {}
        #: What -drive and similar options say; block nodes by name; and what devices write, only
        #: read, and allow others to write.
        self._drives: Final[list[Mapping[str, Any]]] = []
        self._nodes: Final[dict[str, Mapping[str, Any]]] = {}
        self._attached: Final[set[str]] = set()
        self._only_read: Final[set[str]] = set()
        self._shared: Final[set[str]] = set()
        self._all_snapshots = False
        left = iter(arguments)
        for word in left:
            self._read(word, left)
        self.disks: Final = [*self._disks()]

    def _read(self, word: str, left: Iterator[str]) -> None:
        if not word.startswith("-") or word == "-":
            self._drives.append({"file": word})  # as -hda
            return
        option = word[2:] if word.startswith("--") else word[1:]
        if option in _HIDING:
            self.hiding.append(word)
        if option in _ALONE:
            self._all_snapshots |= option == "snapshot"
            return
        value = next(left, None)
        if value is None:
            if option in _WITH_DISKS:
                raise CommandError(f"{word} has no value")
            return
        if (
            option not in (*_WITH_DISKS, "append")
            and value.lstrip("-") in _WITH_DISKS
            and value[0] == "-"
        ):
            # An option of another release that stands alone.
            self._read(value, left)
            return
        if option in _PLAIN:
            self._drives.append({"file": value})
        elif option == "drive":
            self._drives.append(_drive(value))
        elif option == "blockdev":
            self._add_node(
                _object(value) if value.startswith("{") else _nested(_fields(value, "driver"))
            )
        elif option == "device":
            device = _object(value) if value.startswith("{") else _fields(value, "driver")
            if device.get("drive"):
                self._attach(device, str(device["drive"]))
            if device.get("driver") in _PERSISTENT:
                self._persistent[str(device.get("memdev"))] = _is_on(device.get("unarmed", False))
        elif option == "object":
            made = _object(value) if value.startswith("{") else _fields(value, "qom-type")
            if made.get("qom-type") == "memory-backend-file":
                self._memory[str(made.get("id"))] = made
        elif option == "add-fd":
            given = _fields(value, "fd")
            self.fd_sets.setdefault(str(given.get("set")), []).append(str(given.get("fd")))
        elif option == "set":
            group, _, argument = value.partition(".")
            argument = argument.partition(".")[2].partition("=")[0]
            if group == "drive" or (group == "device" and argument in _SET_OF_DEVICE):
                self.hiding.append(f"{word} {value}")
        elif option == "name":
            self.name = str(_fields(value, "guest").get("guest", ""))
        elif option == "uuid":
            self.uuid = value

    def _attach(self, device: Mapping[str, Any], name: str) -> None:
        if device.get("driver") in _CD:
            self._only_read.add(name)
        else:
            self._attached.add(name)
        if _is_on(device.get("share-rw", False)):
            self._shared.add(name)

    def _use(self, *names: object, readonly: bool) -> _Use:
        """How a device uses what has one of these names."""
        known = {name for name in names if isinstance(name, str)}
        is_only_read = bool(known & self._only_read) and not known & self._attached
        return _Use(readonly=readonly or is_only_read, shareable=bool(known & self._shared))

    def _add_drive(self, fields: Mapping[str, Any]) -> None:
        readonly = _is_on(fields.get("read-only", False)) or fields.get("media") == "cdrom"
        readonly |= _is_on(fields.get("snapshot", self._all_snapshots))
        use = self._use(fields.get("id"), fields.get("node-name"), readonly=readonly)
        driver = str(fields.get("format", fields.get("driver", "")))
        if fields.get("file"):
            is_qcow2 = driver in ("", "qcow2") and not _has_data_file(fields)
            self._add_name(
                str(fields["file"]), use.below(may_be_qcow2=is_qcow2, alone=driver in _ONE_WRITER)
            )
        self._walk(_options(fields), use, depth=0)

    def _add_name(self, text: str, use: _Use) -> None:
        """Add a file by its name, as QEMU reads it: it may have a protocol, or be JSON."""
        if text.startswith("json:"):
            self._walk(_nested(_object(text.removeprefix("json:"))), use, depth=0)
            return
        for scheme in _SCHEMES:
            if text.startswith(scheme):
                self._found.append((text.removeprefix(scheme), use))
                return
        for scheme in _FILTERS:
            if text.startswith(scheme):
                before, _, behind = text.removeprefix(scheme).partition(":")
                if scheme == "blkverify:":
                    self._add_name(before, use.below(may_be_qcow2=False, alone=False))
                self._add_name(behind, use)
                return
        if text and not _PROTOCOL.match(text):
            self._found.append((text, use))

    def _add_node(self, node: Mapping[str, Any]) -> None:
        name = node.get("node-name")
        if not isinstance(name, str):
            raise CommandError("a -blockdev has no node-name")
        self._nodes[name] = node

    def _walk(self, node: Mapping[str, Any], use: _Use, depth: int) -> None:
        """The files below a block node that are written with it."""
        if depth > _DEEPEST:
            raise CommandError("block nodes stand on each other without end")
        if _is_on(node.get("read-only", False)):
            use = use.only_read()
        driver = str(node.get("driver", ""))
        file = node.get(_FILES.get(driver or "file", ""))
        if isinstance(file, str):
            self._found.append((file, use))
        below_is_qcow2 = (driver in ("", "qcow2") and not _has_data_file(node)) or (
            use.may_be_qcow2 and driver in _THROUGH
        )
        for key, below in node.items():
            for each in below if isinstance(below, list) else [below]:
                if key in _ONLY_READ or key in ("node-name", "driver", "format", "filename"):
                    continue
                if isinstance(each, str):
                    each = self._nodes.get(each)
                if isinstance(each, dict):
                    is_qcow2 = below_is_qcow2 and key in ("file", "image")
                    under = use.below(may_be_qcow2=is_qcow2, alone=driver in _ONE_WRITER)
                    self._walk(each, under, depth + 1)

    def _disks(self) -> Iterator[QemuDisk]:
        """Each file once: it is written if anything writes it."""
        for fields in self._drives:
            self._add_drive(fields)
        tops = [*self._nodes.values(), *map(_options, self._drives)]
        named = {each for node in tops for each in _names_in(node, self._nodes, depth=0)}
        for name, node in self._nodes.items():
            # What stands on it tells whether it is written.
            if name not in named or name in self._attached:
                self._walk(node, self._use(name, readonly=False), depth=0)
        found: dict[str, list[_Use]] = {}
        for path, use in self._found:
            found.setdefault(path, []).append(use)
        for path, uses in found.items():
            yield QemuDisk(
                path,
                readonly=all(each.readonly for each in uses),
                shareable=all(each.shareable and not each.alone for each in uses),
                may_be_qcow2=any(each.may_be_qcow2 for each in uses),
            )
        for object_id, is_read in self._persistent.items():
            memory = self._memory.get(object_id, {})
            if memory.get("mem-path"):
                # What is not shared stays in the memory of this process.
                is_read = is_read or not _is_on(memory.get("share", False))
                is_read = is_read or _is_on(memory.get("readonly", False))
                yield QemuDisk(str(memory["mem-path"]), readonly=is_read)


def _names_in(node: Mapping[str, Any], known: Mapping[str, Any], depth: int) -> Iterator[str]:
    """The nodes that a node stands on by their names, those that it only reads among them."""
    if depth > _DEEPEST:
        raise CommandError("block nodes stand on each other without end")
    for key, below in node.items():
        for each in below if isinstance(below, list) else [below]:
            if isinstance(each, dict):
                yield from _names_in(each, known, depth + 1)
            elif isinstance(each, str) and each in known and (key in _BELOW or key.isdecimal()):
                yield each


def _pairs(text: str, first: str) -> Iterator[tuple[str, str]]:
    """``a=b,c=d`` as QEMU reads it: two commas are one in a value; the first value may lack its
    name, which is ``first``; and any other its value, which is ``on``, or ``off`` behind ``no``."""
    for index, part in enumerate(re.split(r",(?!,)", text.replace(",,", "\0"))):
        key, equals, value = part.replace("\0", ",").partition("=")
        if not equals and index == 0:
            key, value = first, key
        elif not equals:
            key, value = (key[2:], "off") if key.startswith("no") else (key, "on")
        if key:
            yield key, value


def _fields(text: str, first: str) -> dict[str, Any]:
    return dict(_pairs(text, first))


def _drive(text: str) -> dict[str, Any]:
    """The fields of a -drive. Of several values for ``readonly`` QEMU takes the first or the last,
    by how it is written: here it is read-only if all of them say so."""
    pairs = [*_pairs(text, "file")]
    names = ("readonly", "read-only")
    found: dict[str, Any] = {key: value for key, value in pairs if key not in names}
    readonly = [_is_on(value) for key, value in pairs if key in names]
    if readonly:
        found["read-only"] = all(readonly)
    return found


def _options(drive: Mapping[str, Any]) -> dict[str, Any]:
    """What a -drive says of its block node, as -blockdev has it."""
    options = {
        key: value
        for key, value in _nested(drive).items()
        if key not in ("file", "read-only") or isinstance(value, dict)
    }
    if "format" in drive or "driver" in drive:
        options["driver"] = drive.get("format", drive.get("driver"))
    return options


def _nested(fields: Mapping[str, Any]) -> dict[str, Any]:
    """``file.driver`` and the like as an object in an object."""
    found: dict[str, Any] = {}
    for key, value in fields.items():
        *path, last = key.split(".")
        at = found
        for part in path[:_DEEPEST]:
            below = at.get(part)
            if not isinstance(below, dict):
                below = at[part] = {}
            at = below
        at[last] = value
    return found


#: A string of JSON, in the quotes that JSON has or in those that QEMU takes, too.
_STRING: Final = re.compile(r"""("(?:[^"\\]|\\.)*")|'((?:[^'\\]|\\.)*)'""", re.DOTALL)


def _in_double_quotes(match: re.Match[str]) -> str:
    if match[1] is not None:
        return match[1]
    return '"' + match[2].replace("\\'", "'").replace('"', '\\"') + '"'


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(_STRING.sub(_in_double_quotes, text))
    except (ValueError, RecursionError) as error:
        raise CommandError(f"{text[:60]}: it is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise CommandError(f"{text[:60]}: it is not an object")
    return found


def _is_on(value: object) -> bool:
    return value is True or value in ("on", "yes", "true", "y")


def _has_data_file(node: Mapping[str, Any]) -> bool:
    """Whether a block node says itself where its data are, whatever its image says."""
    return any(key == "data-file" or key.startswith("data-file.") for key in node)


#: The beginning of a qcow2 image: the magic number and the version; where the features are, the
#: one that tells of a file with the data, and where the length of the header is; and the extension
#: that has the name of that file.
QCOW2: Final = b"QFI\xfb\0\0\0\3"
_FEATURES: Final = slice(72, 80)
_EXTERNAL: Final = 4
_HEADER_LENGTH: Final = slice(100, 104)
_NAME_OF_DATA: Final = b"DATA"

#: How much of an image :func:`data_file` needs, in bytes.
HEAD: Final = 65536


def data_file(head: bytes) -> str:
    """The name of the file that has the data of a qcow2 image, by the beginning of the image; empty
    if the image itself has them, or is no qcow2. Raises :class:`CommandError` if the name is
    missing: then QEMU needs it in the command line."""
    if not head.startswith(QCOW2) or not int.from_bytes(head[_FEATURES]) & _EXTERNAL:
        return ""
    at = int.from_bytes(head[_HEADER_LENGTH])
    while at + 8 <= len(head) and (kind := head[at : at + 4]) != bytes(4):
        length = int.from_bytes(head[at + 4 : at + 8])
        if kind == _NAME_OF_DATA:
            return head[at + 8 : at + 8 + length].decode("utf-8", "surrogateescape")
        at += 8 + (length + 7) // 8 * 8
    raise CommandError("its data are in another file, and it does not name it")
