#!/usr/bin/env python3
"""Write what decides the disk locking of this host as one JSON document, a snapshot.

This file stands alone: it needs only Python 3.6 and its standard library. So you can copy it to a
host and run it there: ``python3 -I collect.py``, where -I keeps Python from loading anything from
the environment. It needs root only for what only root may read, and says what it could not read. It
changes nothing: in each directory with locks or disks it makes one scratch file, locks it, and
removes it (with ``--no-probe`` it does not even do that). It gives up after a few seconds on
anything that hangs, such as a file system whose server is gone. It interprets nothing: the
configuration files go into the snapshot as they are, without passwords.

``schemas/snapshot.schema.json`` describes the document. Each of its members is on a line of its
own, so that members that many hosts share are the same bytes.

It also runs on a host in a probe (``lockcfg probe``), in which hosts together find out whose locks
they see. ``--probe-hold`` takes locks on scratch files and leaves a process that holds them.
``--probe-ask`` asks whose locks this host sees, and writes a snapshot with the answers.
``--probe-end`` ends the process and removes the files. It touches no file of a guest.
"""

import sys

if __name__ == "__main__" and not sys.flags.isolated:
    # Other users may have put an argparse.py beside the program or into the current directory.
    sys.path[:] = [path for path in sys.path if path.startswith(sys.base_prefix + "/")]

import argparse
import contextlib
import ctypes
import errno
import fcntl
import grp
import hashlib
import json
import os
import pwd
import re
import select
import signal
import socket
import stat
import struct
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from functools import lru_cache, partial
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Set, Tuple, Union

FORMAT = "lockcfg-snapshot"
VERSION = 2

#: libvirt's files that decide the locking, by base name.
FILES = ("qemu.conf", "qemu-lockd.conf", "libxl.conf", "libxl-lockd.conf", "virtlockd.conf")

#: The files of sanlock's plugin, by the file that names sanlock as lock manager. A snapshot has
#: them if they exist or if that file names sanlock.
SANLOCK_FILES = {"qemu.conf": "qemu-sanlock.conf", "libxl.conf": "libxl-sanlock.conf"}

#: libvirt reads no configuration file that is larger, in bytes.
MAX_FILE = 10 * 1024 * 1024

#: The largest description of a guest that is read, in bytes.
MAX_GUEST = 4 * 1024 * 1024

#: How many seconds one directory, one device or one command may take, and everything together.
PATIENCE = 3.0
DEADLINE = 20.0

#: The programs that libvirt asks for the names of block devices.
LVS = ("lvs", "--noheadings", "--unbuffered", "--nosuffix", "--options", "uuid")
SCSI_ID = "/lib/udev/scsi_id"
SCSI_ID_ARGUMENTS = ("--replace-whitespace", "--whitelisted", "--device")

#: Where the collector looks for programs, and nowhere else: another user may have set the
#: environment.
PROGRAMS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")

#: For how many seconds a host may have another idea of which names a shared directory has.
CACHED = 3

#: How many bytes of a program's output are read at most.
MAX_OUTPUT = 64 * 1024

#: How much drbdsetup and dmsetup may print, which list all devices of the host.
MAX_LISTED = 4 * 1024 * 1024

#: The compressions in which the collector writes a snapshot, by the end of its name.
COMPRESSIONS = {".gz": "gzip", ".xz": "lzma", ".bz2": "bz2"}

#: The daemons that read the files, and the daemons that hold the locks.
DAEMONS = ("libvirtd", "virtqemud", "virtxend", "virtlockd", "lockd", "sanlock")
LOCK_DAEMONS = ("virtlockd", "lockd")

#: What has to be installed for a lock manager, beside programs: its plugin. Where libraries are.
PLUGINS = ("lockd.so", "sanlock.so")
LIBRARIES = (
    *("/usr/lib64", "/usr/lib", "/lib64", "/lib", "/run/current-system/sw/lib"),
    *("/usr/local/lib64", "/usr/local/lib"),
)

#: For clock_gettime(2): the time since the boot. Python has a name for it from 3.7 on.
CLOCK_BOOTTIME = 7

#: For setns(2): a namespace of mounts.
CLONE_NEWNS = 0x00020000

#: How deep the collector follows a chain of images, and the longest name of an image in it.
MAX_CHAIN = 100
MAX_NAME = 4096

#: The formats of images that may have other images below, and the bit of a qcow2 header for data in
#: another file.
LAYERED = ("qcow2", "qcow", "qed", "vmdk")
EXTERNAL = 4

#: A setting whose name sounds like a secret, and its value: up to the end of the value or of the
#: line. In a comment, where people also keep such settings, it is everything after the name.
SECRET = re.compile(
    r"""(?P<name>(?:(?:^|(?<=[;\r]))[ \t]*|(?:^|(?<=[ \t]))\#[^\r\n]*?)
        \b[A-Za-z0-9_]*(?:pas+w|pwd|psw|secret)[A-Za-z0-9_]*(?:[ \t]*=)?[ \t]*)
        (?P<value>\"\"\"(?:.|\n)*?(?:\"\"\"|\Z)|\[[^\]]*(?:\]|\Z)|[^\r\n]+)""",
    re.IGNORECASE | re.VERBOSE | re.MULTILINE,
)
REMOVED = '"removed"'

#: A lockspace directory that a file may name. The audit decides which one is in force.
LOCKSPACE = re.compile(
    r"(?:^|(?<=[;\r]))[ \t]*(?:file|lvm|scsi)_lockspace_dir[ \t]*=[ \t]*(\"\"\"|\"|')(/.*?)\1",
    re.MULTILINE,
)

#: The same for sanlock: the setting that names it, the directory of its leases, and its default.
SANLOCK = re.compile(
    r"(?:^|(?<=[;\r]))[ \t]*lock_manager[ \t]*=[ \t]*(\"\"\"|\"|')sanlock\1", re.MULTILINE
)
LEASE_DIRECTORY = re.compile(
    r"(?:^|(?<=[;\r]))[ \t]*disk_lease_dir[ \t]*=[ \t]*(\"\"\"|\"|')(/.*?)\1", re.MULTILINE
)
LEASES = "/var/lib/libvirt/sanlock"

#: The types of storage pools in which a volume's name gives its path, and the type of disk of such
#: a volume.
POOLS = {"dir": "file", "fs": "file", "netfs": "file", "logical": "block", "disk": "block"}

#: The formats of a probe's plan and of a host's answer to the first round.
PLAN = "lockcfg-probe"
HELD = "lockcfg-probe-held"

#: The format of a report of held locks.
LOCKS = "lockcfg-locks"

#: The most hosts of a probe, the most directories of each, and the most seconds for which locks are
#: held.
MAX_HOSTS = 10_000
MAX_PROBED = 64
MAX_HOLD = 3600

#: The scratch file of a probe. Its first page is the nonce. The page of a host is its mark while
#: the host holds its locks. Each has a page of its own, as a client of NFS may write whole pages.
SCRATCH = ".lockcfg-probe-{}"
PAGE = 4096
NONCE = 32
MARK = b"held "

#: The offset of the bytes that the hosts lock, two for each host: after all data, as locks of CIFS
#: are mandatory. A host takes locks of both kinds: POSIX locks, like virtlockd, and locks of an
#: open file description, like lockd (fcntl(2); Python 3.6 does not have the numbers).
FIRST_BYTE = 1 << 30
F_OFD_GETLK = 36
F_OFD_SETLK = 37

#: Options of a mount that are about this host and not about the mount.
OWN_OPTIONS = ("clientaddr=", "user_id=", "group_id=", "size=", "nr_inodes=", "fd=", "pgrp=")

Json = Dict[str, Any]


#: How many links one path may lead through, as in the kernel.
MOST_LINKS = 40


# ---- Files below the root of a host


class Tree:
    """The files of the host whose root directory is ``root``. If that is not ``/``, a link leads
    where it would lead on that host, and nothing leads out of ``root``: the tree walks a path one
    name at a time, and looks each name up in the directory that it has just opened, like
    :mod:`lockcfg.rooted`."""

    def __init__(self, root: str = "/") -> None:
        self.root = root
        self.is_here = _is_own_root(root)

    def open(self, path: str, flags: int = 0) -> int:
        """Open a file to read; return the descriptor. It never waits, not even for the writer of a
        pipe. Raises OSError."""
        flags |= os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
        if self.is_here:
            return os.open(path, flags)
        directory, name = self._walk(path)
        try:
            return os.open(name, flags | os.O_NOFOLLOW, dir_fd=directory)
        finally:
            os.close(directory)

    def _walk(self, path: str) -> Tuple[int, str]:
        """The open directory that ``path`` leads to a name in, and the name."""
        directory = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
        opened = [os.open(self.root, directory & ~os.O_NOFOLLOW)]
        pending = [each for each in reversed(path.split("/")) if each not in ("", ".")]
        links = 0
        name = "."
        try:
            while pending:
                name = pending.pop()
                if name == "..":
                    if len(opened) > 1:
                        os.close(opened.pop())
                    name = "."
                    continue
                try:
                    target = os.readlink(name, dir_fd=opened[-1])
                except OSError as error:
                    if error.errno != errno.EINVAL:  # it is not a link
                        raise
                    if pending:
                        opened.append(os.open(name, directory, dir_fd=opened[-1]))
                        name = "."
                    continue
                links += 1
                if links > MOST_LINKS:
                    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP))
                if target.startswith("/"):
                    while len(opened) > 1:
                        os.close(opened.pop())
                pending += [each for each in reversed(target.split("/")) if each not in ("", ".")]
                name = "."
            return opened.pop(), name
        finally:
            for each in opened:
                os.close(each)

    def names_in(self, directory: str) -> List[str]:
        """The names in a directory. Raises OSError."""
        descriptor = self.open(directory, os.O_DIRECTORY)
        try:
            return os.listdir(descriptor)
        finally:
            os.close(descriptor)

    def exists(self, path: str) -> bool:
        """Whether the path exists."""
        try:
            os.close(self.open(path, os.O_PATH))
        except OSError:
            return False
        return True

    def line(self, path: str) -> str:
        """The first line of a file; empty if the file has none or does not exist."""
        try:
            with os.fdopen(self.open(path), encoding="utf-8", errors="replace") as stream:
                return stream.readline(4096).strip()
        except OSError:
            return ""


def _is_own_root(path: str) -> bool:
    """Whether a path leads to the root directory of this process. The root directory of a container
    (``/proc/PID/root``) may be the same directory, with other mounts in it."""
    if os.path.realpath(path) != "/":
        return False
    try:
        return _mount_id(path) == _mount_id("/")
    except OSError:
        return True


def _mount_id(path: str) -> List[str]:
    """The line of the kernel that has the number of the mount of a directory. Raises OSError."""
    descriptor = os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with open(f"/proc/self/fdinfo/{descriptor}", encoding="ascii") as stream:
            return [line for line in stream if line.startswith("mnt_id:")]
    finally:
        os.close(descriptor)


# ---- The collector: one method for each member of a snapshot


class Collector:
    """Collects a snapshot. ``etc``, ``run`` and ``lib`` are libvirt's directories, below ``root``.
    If ``root`` is not ``/``, it is the root of a host that does not run, and only its files are
    known."""

    def __init__(
        self,
        etc: str = "/etc/libvirt",
        run: str = "/run/libvirt",
        probe: bool = True,
        progress: bool = False,
        root: str = "/",
    ) -> None:
        self.etc = etc
        self.run = run
        self.tree = Tree(root)
        self.probe = probe and self.tree.is_here
        self.progress = progress
        self.end = time.monotonic() + DEADLINE
        self.daemons = _daemons() if self.tree.is_here else []
        self.lockers = _in_charge(self.daemons)
        # Files and mounts count as the lock daemon sees them.
        away = [each["pid"] for each in self.lockers if "namespace" in each]
        self.seer: Optional[int] = away[0] if away and os.geteuid() == 0 else None
        self.texts: Dict[str, str] = {}
        self.incomplete: List[str] = []
        #: The processes of the guests that libvirt knows.
        self.pids: Set[int] = set()
        #: Those of other guests, by process, and for whom lockd holds each lock: the processes.
        self.others: Dict[int, Json] = {}
        self.owners: Dict[str, Set[int]] = {}
        if not self.tree.is_here:
            self.incomplete.append(
                f"{root}: the host does not run here, so only its files are known: its processes,"
                " mounts and devices are not"
            )

    def snapshot(self, name: Optional[str] = None) -> Json:
        """The snapshot of this host; its name is ``name``, or else the host's own name."""
        files: Json = {}
        changed: Dict[str, int] = {}
        for base in FILES:
            files[base], when = self.file(base)
            if when is not None:
                changed[base] = when
        for driver, base in SANLOCK_FILES.items():
            told, when = self.file(base)
            if when is not None:
                changed[base] = when
            if len(told) > 1 or SANLOCK.search(self.texts.get(driver, "")):
                files[base] = told
        tools = self.tools()
        guests = self.guests()
        directories, identities = self.directories(guests)
        if self.tree.is_here:
            self.devices(guests, tools)
            self.locks(guests, directories)
            self.limits()
        document: Json = {"format": FORMAT, "version": VERSION}
        document["collector"] = {
            "privileged": os.geteuid() == 0,
            "probe": self.probe,
            "incomplete": sorted(set(self.incomplete)),
        }
        document.update(files)
        document["tools"] = tools
        document["versions"] = _versions() if self.tree.is_here else {}
        document["directories"] = directories
        document["host"] = {
            "name": name or self.name(),
            "machine_id": self.tree.line("/etc/machine-id"),
            "boot_id": _line("/proc/sys/kernel/random/boot_id") if self.tree.is_here else "",
            "taken": int(time.time()),
        }
        document["daemons"] = self.daemons
        document["changed"] = changed
        document["identities"] = identities
        document["guests"] = guests
        return document

    def name(self) -> str:
        """The host's own name; empty if unknown."""
        return socket.gethostname() if self.tree.is_here else self.tree.line("/etc/hostname")

    def tools(self) -> Json:
        """Which of the programs exist that libvirt asks for the names of block devices, and which
        parts of libvirt and of its lock managers are installed."""
        if self.tree.is_here:
            told: Json = {"lvs": _which("lvs") is not None, "scsi_id": _which(SCSI_ID) is not None}
        else:
            told = {
                "lvs": any(self.tree.exists(f"{each}/lvs") for each in PROGRAMS),
                "scsi_id": self.tree.exists(SCSI_ID),
            }
        if self.etc == "/etc/libvirt":  # files from elsewhere may be another host's
            told["parts"] = sorted(self.parts())
        return told

    def parts(self) -> Iterator[str]:
        """The daemons and the plugins of lock managers that are installed, by the names of their
        files."""
        directories = [*PROGRAMS, "/run/current-system/sw/bin"]
        running = {each["name"] for each in self.daemons}
        for daemon in DAEMONS:
            if daemon in running or any(self.tree.exists(f"{d}/{daemon}") for d in directories):
                yield daemon
            elif self.tree.exists(f"/etc/systemd/system/{daemon}.service"):
                yield daemon  # a local unit may start a program from any directory
        plugins: List[str] = []
        for library in LIBRARIES:
            with contextlib.suppress(OSError):
                names = self.tree.names_in(library)
                below = [f"{library}/{each}" for each in names if "-linux-" in each]
                plugins += [f"{each}/libvirt/lock-driver" for each in (library, *below)]
        for plugin in PLUGINS:
            if any(self.tree.exists(f"{each}/{plugin}") for each in plugins):
                yield plugin

    # The probe: see lockcfg/commands/probe.py

    def places(self, plan: Json) -> List[str]:
        """The directories of this host that a probe looks at: the directories with locks or disks,
        and the ones that the plan names."""
        self.probe = False
        for base in FILES:
            self.file(base)
        found = set(plan["directories"])
        for each in self.directories(self.guests())[0]:
            kind = each.get("mount", {}).get("type", "")
            if not ("missing" in each or "error" in each or kind in ("devtmpfs", "devfs")):
                found.add(each.get("resolved", each["path"]))
        if len(found) > MAX_PROBED:
            self.incomplete.append(
                f"there are more than {MAX_PROBED} directories: some were not probed"
            )
        return sorted(found)[:MAX_PROBED]

    def hold(self, plan: Json, number: int) -> Json:
        """The first round: take this host's locks, and leave a process that holds them. The answer
        has for each directory an empty string, or the reason why its lock is not held."""
        directories = self.places(plan)
        listener = _listener(plan["id"], number)
        secret = os.urandom(16).hex()
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.close(read)
                os.setsid()
                if not os.fork():
                    if self.seer is not None:
                        _enter(self.seer)
                    _supervise(plan, number, directories, secret, listener, write)
            finally:
                os._exit(0)
        os.close(write)
        os.waitpid(pid, 0)
        listener.close()
        held = dict.fromkeys(directories, "no answer")
        for line in _lines_until(read, PATIENCE + 1):
            held[line["path"]] = line["error"]
        os.close(read)
        return {
            "format": HELD,
            "version": 1,
            "id": plan["id"],
            "number": number,
            "host": plan["hosts"][number - 1],
            "secret": secret,
            "directories": held,
        }

    def end_probe(self, plan: Json, number: int) -> Json:
        """The last round: have the process release the locks. If the process has ended early, as by
        a reboot, remove the files that it has left."""
        ended = _holder(plan["id"], number, "end") is not None
        if not ended:
            for path in self.places(plan):
                self._bounded(partial(_remove, os.path.join(path, SCRATCH.format(plan["id"]))))
        return {"format": HELD, "version": 1, "id": plan["id"], "number": number, "ended": ended}

    def ask(self, questions: Json, number: int) -> Json:
        """The second round: whose locks this host sees, in the form of a snapshot. Raises
        ValueError."""
        secret = questions["held"].get(str(number))
        before = _holder(questions["id"], number, "state")
        if before is None:
            raise ValueError("the process that held the locks of this host has ended")
        if secret is None or before["secret"] != secret:
            raise ValueError("the questions are about other locks than this host holds")
        directories: List[Json] = []
        for path in sorted(before["held"]):
            told: Json = {"path": path}
            if before["held"][path]:
                told["error"] = before["held"][path]
            else:
                seen = self._bounded(partial(_seen, path, questions, number))
                told.update({"error": "no answer"} if seen is None else seen)
            directories.append(told)
        after = _holder(questions["id"], number, "state") or {"held": {}}
        for told in directories:
            lost = after["held"].get(told["path"], "the lock was released meanwhile")
            if lost:
                told["error"] = lost
        token = json.dumps(questions["held"], sort_keys=True)
        return {
            "probe": questions["id"],
            "round": hashlib.sha256(token.encode()).hexdigest()[:32],
            "number": number,
            "hosts": len(questions["hosts"]),
            "taken": int(time.time()),
            "directories": directories,
        }

    # The files

    def file(self, base: str) -> Tuple[Json, Optional[int]]:
        """One of libvirt's files, and the time of its last change."""
        path = os.path.join(self.etc, base)
        told: Json = {"path": path}
        try:
            descriptor = self.tree.open(path)
        except OSError as error:
            # A dangling link is not the same as a missing file.
            if error.errno != errno.ENOENT or base in _names_at(self.tree, self.etc):
                told["error"] = _reason(error)
            return told, None
        try:
            status = os.fstat(descriptor)
            told.update(_ownership(status))
            label = _label(descriptor)
            if label:
                told["label"] = label
            if not stat.S_ISREG(status.st_mode):
                told["error"] = "is not a regular file"
            else:
                with os.fdopen(os.dup(descriptor), "rb") as stream:
                    raw = stream.read(MAX_FILE + 1)
                if len(raw) > MAX_FILE:
                    told["error"] = "is larger than libvirt reads"
                else:
                    told.update(_text(raw))
                    self.texts[base] = told["text"]
        except OSError as error:
            told["error"] = _reason(error)
            return told, None
        finally:
            os.close(descriptor)
        return told, int(status.st_mtime)

    # Guests

    def guests(self) -> List[Json]:
        """The guests that are defined or running, by name."""
        found: Dict[str, Json] = {}
        for driver in ("qemu", "libxl"):
            for directory, running in (
                (os.path.join(self.etc, driver), False),
                (os.path.join(self.run, driver), True),
            ):
                if running and not self.tree.is_here:
                    continue  # from an earlier boot
                for path in self._descriptions(directory):
                    guest = self._guest(path, driver, running)
                    if guest is not None:
                        # The running guest counts, and not its description for the next start.
                        found[guest["uuid"] or guest["name"]] = guest
        for path, running in _of_sessions() if self.tree.is_here else ():
            guest = self._guest(path, "qemu", running)
            if guest is not None:
                guest["instance"] = "session"
                found[f"session {path.split('/')[3]} {guest['uuid'] or guest['name']}"] = guest
        guests = [*found.values()]
        if self.tree.is_here:
            self.others = dict(_without_libvirt(self.pids))
            guests += self.others.values()
        return sorted(guests, key=lambda guest: (guest["name"], guest["uuid"]))

    def running(self, directory: str) -> List[Json]:
        """The running guests of QEMU, by name, from the live descriptions in a directory: as in a
        snapshot, and with the members ``pid``, ``id``, ``state`` and ``why`` it is in that state,
        which are useful only on this host."""
        found: List[Json] = []
        for path in self._descriptions(directory):
            root = self._description(path)
            domain = None if root is None else root.find("domain")
            if domain is None or root.tag != "domstatus":
                continue
            guest = self._guest_of(root, domain, "qemu", True)
            for key, text in (("pid", root.get("pid")), ("id", domain.get("id"))):
                guest[key] = int(text) if text and text.isdigit() and len(text) < 11 else 0
            guest["state"] = root.get("state") or ""
            guest["why"] = root.get("reason") or ""
            found.append(guest)
        return sorted(found, key=lambda guest: (guest["name"], guest["uuid"]))

    def defined(self, directory: str) -> List[Json]:
        """The defined guests of QEMU, by name, from the descriptions in a directory."""
        found = [self._guest(path, "qemu", False) for path in self._descriptions(directory)]
        return sorted([guest for guest in found if guest], key=lambda guest: guest["name"])

    @staticmethod
    def daemons_running() -> List[Json]:
        """The running daemons, as in a snapshot."""
        return _daemons()

    @staticmethod
    def has(tool: str) -> bool:
        """Whether a program exists that libvirt asks for the names of block devices."""
        return _which("lvs") is not None if tool == "lvs" else os.access(SCSI_ID, os.X_OK)

    def _descriptions(self, directory: str) -> List[str]:
        try:
            names = sorted(each for each in self.tree.names_in(directory) if each.endswith(".xml"))
        except OSError as error:
            if error.errno != errno.ENOENT:
                self.incomplete.append(f"{directory}: {_reason(error)}")
            return []
        return [os.path.join(directory, name) for name in names]

    def _description(self, path: str) -> Any:
        """What libvirt describes in a file. None if that cannot be read, which is noted, and
        where the file is gone: the guest has ended, or is defined no longer."""
        try:
            return _description(path, self.tree)
        except (OSError, ValueError, ElementTree.ParseError) as error:
            reason = _reason(error) if isinstance(error, OSError) else "cannot be parsed"
            directory, name = os.path.split(path)
            is_missing = isinstance(error, OSError) and error.errno == errno.ENOENT
            if not is_missing or name in _names_at(self.tree, directory):
                self.incomplete.append(f"{path}: {reason}")
            return None

    def _guest(self, path: str, driver: str, running: bool) -> Optional[Json]:
        root = self._description(path)
        if root is None:
            return None
        domain = root if root.tag == "domain" else root.find("domain")
        if domain is None:
            return None  # for example a network or a checkpoint
        return self._guest_of(root, domain, driver, running)

    def _guest_of(self, root: Any, domain: Any, driver: str, running: bool) -> Json:
        guest: Json = {
            "name": domain.findtext("name") or "",
            "uuid": (domain.findtext("uuid") or "").lower(),
            "driver": driver,
        }
        if running:
            guest["running"] = True
            pid = root.get("pid") or ""
            if pid.isdigit():
                self.pids.add(int(pid))
            started = _started(int(pid)) if pid.isdigit() else None
            if started is not None:
                guest["started"] = started
        guest["disks"] = [
            self._of_pool(_disk(element), element) for element in domain.iterfind("devices/disk")
        ]
        passed_on = map(_passed_on, domain.iterfind("devices/hostdev"))
        guest["disks"] += [disk for disk in passed_on if disk is not None]
        leases = [_lease(element) for element in domain.iterfind("devices/lease")]
        if leases:
            guest["leases"] = leases
        on_lockfailure = domain.findtext("on_lockfailure")
        if on_lockfailure:
            guest["on_lockfailure"] = on_lockfailure
        return guest

    def _of_pool(self, disk: Json, element: Any) -> Json:
        """The disk; if it is a volume of a storage pool, with the path that libvirt finds for
        it."""
        source = element.find("source")
        if disk["type"] != "volume" or source is None:
            return disk
        pool, volume = source.get("pool") or "", source.get("volume") or ""
        for top in (self.run, self.etc):
            path = os.path.join(top, "storage", f"{pool}.xml")
            if not pool or not volume or "/" in pool or not self.tree.exists(path):
                continue
            try:
                root = _description(path, self.tree)
            except (OSError, ValueError, ElementTree.ParseError):
                continue
            found = root if root.tag == "pool" else root.find("pool")
            target = None if found is None else found.findtext("target/path")
            kind = "" if found is None else POOLS.get(found.get("type") or "", "")
            if target and kind:
                disk["type"] = kind
                disk["path"] = os.path.join(target.strip(), volume)
                break
        return disk

    # Devices

    def devices(self, guests: List[Json], tools: Json) -> None:
        """Ask for the names of the block devices, with the same commands as libvirt."""
        disks: Dict[str, List[Json]] = {}
        for guest in guests:
            for disk in guest["disks"]:
                path = disk.get("path", "")
                if path.startswith("/dev"):
                    disks.setdefault(path, []).append(disk)
        questions: List[Tuple[str, str, List[str]]] = []
        lvs = _which("lvs") or ""
        for path in sorted(disks):
            if tools["lvs"]:
                questions.append((path, "lvm_uuid", [lvs, *list(LVS[1:]), path]))
            if tools["scsi_id"]:
                questions.append((path, "scsi_id", [SCSI_ID, *list(SCSI_ID_ARGUMENTS), path]))
        for path, key, answer in self._ask(questions):
            for disk in disks[path]:
                disk[key] = answer

    def _ask(self, questions: List[Tuple[str, str, List[str]]]) -> Iterator[Tuple[str, str, str]]:
        """The first line of the output of each command that answers. A program that has not
        answered once is not asked again."""
        silent: Set[str] = set()
        for start in range(0, len(questions), 8):
            asked: List[Tuple[str, str, Any]] = []
            end = min(time.monotonic() + PATIENCE, self.end)
            for path, key, command in questions[start : start + 8]:
                if time.monotonic() > self.end or key in silent:
                    self.incomplete.append(f"{path}: no server could be asked for its name")
                    continue
                try:
                    process = _start(command)
                except OSError as error:
                    self.incomplete.append(f"{command[0]}: {_reason(error)}")
                    continue
                asked.append((path, key, process))
            for path, key, process in asked:
                output = _output(process, end - time.monotonic())
                if output is None:
                    silent.add(key)
                    self.incomplete.append(f"{path}: its server did not tell its name")
                    continue
                answer = output.decode("utf-8", "replace").lstrip().partition("\n")[0]
                if not process.returncode and answer:
                    yield path, key, answer

    # Locks

    def locks(self, guests: List[Json], directories: List[Json]) -> None:
        """Note for each disk of the running guests which lock is held for it, if that can be known:
        lockd itself answers, and the kernel shows virtlockd's locks."""
        running = [each for each in guests if each.get("running") and "instance" not in each]
        if not (running or self.others) or os.geteuid() != 0:
            return
        if not self.lockers and any(each["name"] in LOCK_DAEMONS for each in self.daemons):
            self.incomplete.append("it is unknown which lock daemon is in charge")
            return
        held: List[Json] = []
        for daemon in self.lockers:
            found = self._held_by(daemon)
            if found is None:
                daemon["error"] = "its locks could not be read"
                self.incomplete.append(f"{daemon['name']}: its locks could not be read")
                return
            daemon["held"] = {each["path"]: each.get("since", 0) for each in found}
            held += found
        configured = {each.get("resolved", each["path"]): each["path"] for each in directories}
        by_name: Dict[str, Json] = {}
        by_file: Dict[str, Json] = {}
        for lock in held:
            by_name.setdefault(os.path.basename(lock["path"]), lock)
            by_file.setdefault(lock["path"], lock)
        for pid, guest in self.others.items():
            # 'lockd run' has taken its locks, as the configuration names them.
            mine = {path for path, owners in self.owners.items() if pid in owners}
            names = {os.path.basename(path) for path in mine}
            if all(
                each["path"] in mine or _digest(each["path"]) in names for each in guest["disks"]
            ):
                del guest["instance"]
                running.append(guest)
        for guest in running:
            for disk in guest["disks"]:
                path = disk.get("path", "")
                if disk["type"] not in ("file", "block", "dir") or disk.get("readonly"):
                    continue
                digest = _digest(path)
                ids = (disk.get("lvm_uuid", ""), disk.get("scsi_id", ""), digest)
                named = [by_name[name] for name in ids if name and name in by_name]
                direct = by_file.get(path) or by_file.get(disk.get("resolved", path))
                if named:
                    directory = os.path.dirname(named[0]["path"])
                    disk["lock"] = configured.get(directory, directory)
                else:
                    disk["lock"] = "." if direct else ""
                if (named[0] if named else direct or {}).get("replaced"):
                    disk["replaced"] = True

    def _held_by(self, daemon: Json) -> Optional[List[Json]]:
        """The locks of a lock daemon, without the lock on its own PID file; None if they are
        unknown."""
        found = self._asked() if daemon["name"] == "lockd" else None
        if found is None:
            found = self._bounded(partial(_locks_of, daemon["pid"]))
        if found is None:
            return None
        return [
            each
            for each in found
            if not (each["path"].startswith("/run/") and each["path"].endswith(".pid"))
        ]

    def held(self) -> Json:
        """What the lock daemons of this host hold, and nothing else about the host. A daemon whose
        locks are unknown has an ``error`` instead."""
        told: List[Json] = []
        others = [each for each in self.daemons if each["name"] in LOCK_DAEMONS]
        for daemon in self.lockers or others:
            locks = None
            why = "its locks could not be read"
            if os.geteuid() != 0:
                why = "only root can read its locks"
            elif daemon not in self.lockers:
                why = "it is unknown which lock daemon is in charge"
            else:
                locks = self._held_by(daemon)
            told.append(dict(daemon, error=why) if locks is None else dict(daemon, locks=locks))
        return {"format": LOCKS, "version": 1, "daemons": told}

    def _asked(self) -> Optional[List[Json]]:
        """The locks that lockd reports; None if it does not answer."""
        program = _which("lockd")
        if program is None:
            return None
        try:
            output = _output(
                _start([program, "locks", "--json"]), min(PATIENCE, self.end - time.monotonic())
            )
            answer = json.loads((output or b"").decode("utf-8", "replace"))
            self.owners = {
                str(each["path"]): {int(owner["pid"]) for owner in each["owners"]}
                for each in answer
            }
            return [
                {
                    "path": str(each["path"]),
                    "replaced": bool(each["problem"]),
                    "since": int(each["since"]),
                    "mode": str(each["mode"]),
                    "disk": str(each["disk"]),
                    "guests": sorted({str(owner["guest"]) for owner in each["owners"]}),
                    "problem": str(each["problem"]),
                }
                for each in answer
            ]
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def limits(self) -> None:
        """The limits in force, as the lock daemon reports them; its file may have others."""
        program = _which("virt-admin")
        if program is None or os.geteuid() != 0:
            return
        for daemon in self.lockers:
            command = [program, "-c", "virtlockd:///system", "srv-clients-info", "virtlockd"]
            try:
                output = _output(_start(command), min(PATIENCE, self.end - time.monotonic()))
            except OSError:
                return
            match = re.search(rb"nclients_max\s*:\s*(\d+)", output or b"")
            if match:
                daemon["max_clients"] = int(match.group(1))
            return

    # Directories

    def directories(self, guests: List[Json]) -> Tuple[List[Json], Json]:
        """Each directory with locks or disks: what is the same wherever it is mounted, and the
        numbers that only this kernel gives."""
        uses: Dict[str, Set[str]] = {}
        for text in self.texts.values():
            for match in LOCKSPACE.finditer(text):
                uses.setdefault(match.group(2), set()).add("lockspace")
        for driver, base in SANLOCK_FILES.items():
            if SANLOCK.search(self.texts.get(driver, "")):
                named = LEASE_DIRECTORY.search(self.texts.get(base, ""))
                uses.setdefault(named.group(2) if named else LEASES, set()).add("lockspace")
        disks: Dict[str, List[Json]] = {}
        for guest in guests:
            for lease in guest.get("leases", ()):
                space = os.path.join(lease["target"], lease["lockspace"])
                uses.setdefault(space, set()).add("leases")
            for disk in guest["disks"]:
                path = disk.get("path")
                if not path:
                    disk.pop("format", None)
                elif disk["type"] in ("file", "block", "dir"):
                    directory = os.path.dirname(path) or "/"
                    disks.setdefault(directory, []).append(disk)
        told: Dict[str, Json] = {}
        identities: Json = {}
        pending = sorted(set(uses) | set(disks))
        while pending:
            directory = pending.pop(0)
            held = disks.get(directory, [])
            paths = [(disk["path"], disk.pop("format", "")) for disk in held]
            if not self.tree.is_here:
                told[directory] = {"path": directory, "error": "the host does not run here"}
                told[directory]["holds"] = sorted(
                    uses.get(directory, set()) | ({"disks"} if held else set())
                )
                continue
            answer = self._bounded(partial(self._look, directory, paths))
            told[directory] = {"path": directory, "error": "no answer"}
            if answer is not None:
                told[directory] = answer["directory"]
                if answer["identity"]:
                    identities[directory] = answer["identity"]
                for disk, more in zip(held, answer["disks"]):
                    disk.update(more)
            # A link may lead to another file system, and so may an image whose lower images are
            # there.
            for each in [*held, *(below for disk in held for below in disk.get("chain", ()))]:
                path = each.get("resolved", each["path"] if "chain" not in each else "")
                real = os.path.dirname(path)
                if real and real not in told and real not in pending:
                    pending.append(real)
            holds = uses.get(directory, set()) | ({"disks"} if held else set())
            told[directory]["holds"] = sorted(holds or {"disks"})
        return [told[directory] for directory in sorted(told)], identities

    def _bounded(self, work: Callable[[], Any]) -> Any:
        """The result of ``work``, which another process does; None if that process does not
        answer."""
        patience = min(PATIENCE, self.end - time.monotonic())
        if patience <= 0:
            return None
        read, write = os.pipe()
        pid = os.fork()
        if not pid:
            try:
                os.close(read)
                if self.seer is not None:
                    _enter(self.seer)
                with os.fdopen(write, "w") as stream:
                    json.dump(work(), stream)
            finally:
                os._exit(0)
        os.close(write)
        pieces: List[bytes] = []
        end = time.monotonic() + patience
        while True:
            left = end - time.monotonic()
            if left <= 0 or not select.select([read], [], [], left)[0]:
                break
            piece = os.read(read, 1 << 16)
            if not piece:
                break
            pieces.append(piece)
        os.close(read)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _reap(pid)
        try:
            return json.loads(b"".join(pieces).decode())
        except ValueError:
            return None

    def _look(self, directory: str, paths: List[Tuple[str, str]]) -> Json:
        told: Json = {"path": directory}
        identity: List[Any] = []
        try:
            resolved = os.path.realpath(directory)
            if resolved != directory:
                told["resolved"] = resolved
            with contextlib.suppress(OSError):
                os.stat(os.path.join(resolved, "."))  # an automount happens now
            mounts = _mounts()
            mount = _mount_of(resolved, mounts)
            if mount is not None:
                device = mount.pop("device")
                ids = list(_ids(mount, device, resolved))
                if ids:
                    mount["ids"] = sorted(ids)
                told["mount"] = mount
            status = os.stat(resolved)
        except OSError as error:
            if error.errno == errno.ENOENT:
                told["missing"] = True
            else:
                told["error"] = _reason(error)
        else:
            told.update(_ownership(status))
            label = _label(resolved)
            if label:
                told["label"] = label
            device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
            identity = [" ".join([device, *_volume(device)]), status.st_ino]
            if not stat.S_ISDIR(status.st_mode):
                told["error"] = "is not a directory"
            elif self.probe and mount is not None and mount["type"] not in ("devtmpfs", "devfs"):
                told["probe"] = probe(resolved)
        # The kernel's number of a local file identifies it, wherever it is mounted.
        is_local = mount is not None and mount["type"] in _ONE_HOST
        points = {point for point, each in mounts if not (is_local and each["type"] in _ONE_HOST)}
        return {
            "directory": told,
            "identity": identity,
            "disks": [
                _on_its_directory(path, _resolved(path, form), points) for path, form in paths
            ],
        }


# ---- The kernel's names, and a scratch lock


def _node(path: str, number: str) -> str:
    """The path of a device by the name that the kernel has for it: without udev, nodes in
    ``/dev/mapper`` are no links."""
    if os.path.exists(f"/sys/class/block/{os.path.basename(path)}"):
        return path
    return f"/dev/{os.path.basename(os.path.realpath(f'/sys/dev/block/{number}'))}"


def _kernel_names(path: str) -> Iterator[Tuple[str, Any]]:
    """The kernel's names for a device, which need no program. ``path`` has no links."""
    name = os.path.basename(path)
    for key, places in (("wwid", ("device/wwid", "wwid")), ("dm_uuid", ("dm/uuid",))):
        for place in places:
            found = _line(f"/sys/class/block/{name}/{place}")
            if found:
                yield key, found
                break
    part = _line(f"/sys/class/block/{name}/partition")
    if part:
        whole = os.path.basename(os.path.dirname(os.path.realpath(f"/sys/class/block/{name}")))
        yield "part", part
        yield from (each for each in _kernel_names(f"/dev/{whole}") if each[0] != "part")
    match = re.match(r"rbd(\d+)", name)
    if match:
        top = f"/sys/bus/rbd/devices/{match.group(1)}"
        cluster = _line(f"{top}/cluster_fsid")
        if cluster:
            parts = [_line(f"{top}/{each}") for each in ("pool", "pool_ns", "name", "current_snap")]
            yield "identity", "rbd:{}/{}".format(cluster, "/".join(parts))
    uuid = _line(f"/sys/class/block/{name}/md/uuid")
    if uuid:
        yield "identity", f"md:{uuid}"
    if re.match(r"bcache\d+\Z", name):
        uuid = _line(f"/sys/class/block/{name}/bcache/backing_dev_uuid")
        if uuid:
            yield "identity", f"bcache:{uuid}"
    match = re.match(r"drbd(\d+)\Z", name)
    if match:
        yield from _of_drbd(match.group(1))
    in_mapper = _line(f"/sys/class/block/{name}/dm/name")
    if in_mapper and not _line(f"/sys/class/block/{name}/dm/uuid").startswith(NAMED):
        table = _tables().get(in_mapper)
        if table:
            yield "table", table


#: The names in device-mapper that say what a device is, without its table.
NAMED = ("LVM-", "CRYPT-LUKS", "mpath-", "part")


@lru_cache(maxsize=1)
def _tables() -> Dict[str, List[str]]:
    """What the devices of device-mapper are made of, by their names there: which sectors of which
    devices, one part of it after the other. A key is left out, and so is all of a device that has a
    part of another kind."""
    program = _which("dmsetup")
    output = None
    with contextlib.suppress(OSError):
        if program is not None:
            output = _output(_start([program, "table"]), PATIENCE / 2, MAX_LISTED)
    found: Dict[str, List[str]] = {}
    others: Set[str] = set()
    for line in (output or b"").decode("utf-8", "replace").splitlines():
        name, _, table = line.rpartition(": ")
        words = table.split()
        if words[2:3] == ["crypt"] and len(words) > 7:
            words = [*words[:3], *words[6:8]]
        elif words[2:3] not in (["linear"], ["striped"]):
            others.add(name)
        found.setdefault(name, []).append(" ".join(words))
    return {name: table for name, table in found.items() if name not in others}


def _of_drbd(minor: str) -> Iterator[Tuple[str, Any]]:
    """The resource and the volume of a device of DRBD, what its connections are between, and the
    generations of its data, by which DRBD itself tells whether two peers have the same."""
    # DRBD 8.4 and 9 have it where debugfs is mounted.
    top = os.path.realpath(f"/sys/kernel/debug/drbd/minors/{minor}")
    volumes, links = _resources_of_drbd()
    found = re.search(r"/resources/([^/]+)/volumes/(\d+)\Z", top)
    resource, volume = found.groups() if found else volumes.get(minor, ("", ""))
    if not re.match(r"[\w.:-]+\Z", resource):
        return
    yield "identity", f"drbd:{resource}/{volume}"
    told: Json = {}
    if links.get(resource):
        told["links"] = sorted(links[resource])
    text = "\n".join(_lines(f"{top}/data_gen_id") if found else [])
    generations = {int(each, 16) & ~1 for each in re.findall(r"0x([0-9A-Fa-f]{16})", text)}
    # The last bit says who is primary. 0 and 4 say that there is none yet.
    generations -= {0, 4}
    if generations:
        told["generations"] = sorted(f"{each:016x}" for each in generations)
    if told:
        yield "drbd", told


@lru_cache(maxsize=1)
def _resources_of_drbd() -> Tuple[Dict[str, Tuple[str, str]], Dict[str, List[str]]]:
    """What ``drbdsetup`` tells of the resources of this host."""
    program = _which("drbdsetup")
    output = None
    with contextlib.suppress(OSError):
        if program is not None:
            output = _output(_start([program, "show"]), PATIENCE / 2, MAX_LISTED)
    return resources_in((output or b"").decode("utf-8", "replace"))


def resources_in(text: str) -> Tuple[Dict[str, Tuple[str, str]], Dict[str, List[str]]]:
    """The resource and the volume of each minor number of DRBD, and the two addresses of each
    connection of a resource, the own one first. ``text`` is from ``drbdsetup show`` of DRBD 8.4 or
    9."""
    volumes: Dict[str, Tuple[str, str]] = {}
    links: Dict[str, List[str]] = {}
    blocks: List[List[str]] = []
    #: The ends of each connection, by the block that has both.
    ends: Dict[int, Dict[str, str]] = {}
    numbers: List[int] = []
    words: List[str] = []
    for number, word in enumerate(re.findall(r'"[^"]*"|[{};]|[^\s{};"]+', text)):
        if word == "{":
            blocks.append(words)
            numbers.append(number)
        elif word == "}" and blocks:
            end = blocks.pop()
            both = ends.pop(numbers.pop(), {})
            top = (blocks or [end])[0]
            if top[:1] == ["resource"] and len(both) == 2:
                link = "{_this_host} {_remote_host}".format(**both)
                links.setdefault(top[-1], []).append(link)
        elif word == ";" and blocks:
            heads = [each[0] if each else "" for each in blocks]
            if words[:2] == ["device", "minor"] and heads[-2:] == ["_this_host", "volume"]:
                if blocks[0][:1] == ["resource"]:
                    volumes[words[-1]] = blocks[0][-1], blocks[-1][-1]
            elif (
                words[:1] == ["address"]
                and len(blocks) > 1
                and heads[-1] in ("_this_host", "_remote_host")
            ):
                ends.setdefault(numbers[-2], {})[heads[-1]] = words[-1]  # of 8.4
            elif words[:1] in (["_this_host"], ["_remote_host"]) and len(words) == 3:
                ends.setdefault(numbers[-1], {})[words[0]] = words[-1]  # of 9
        else:
            words.append(word.strip('"'))
            continue
        words = []
    return volumes, links


def probe(directory: str) -> Json:
    """What a lock on a scratch file in ``directory`` did.

    ``outcome`` is ``excludes`` (a second process was refused), ``grants`` (it was granted the
    lock as well), or ``fails``, with the ``step`` and the ``error``.
    """
    path = os.path.join(directory, f".lockcfg-probe-{os.urandom(8).hex()}")
    try:
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(path, flags, 0o600)
    except OSError as error:
        return {"outcome": "fails", "step": "create", "error": _reason(error)}
    step = "lock"
    try:
        # Byte 0, one byte, like the lock daemon.
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
        step = "check"
        outcome = "excludes" if _is_refused(path) else "grants"
        step = "remove"
        os.unlink(path)
        return {"outcome": outcome}
    except OSError as error:
        reason = _reason(error)
        if step != "remove":
            with contextlib.suppress(OSError):
                os.unlink(path)
        return {"outcome": "fails", "step": step, "error": reason}
    finally:
        os.close(descriptor)


def _is_refused(path: str) -> bool:
    """Whether the kernel refuses the lock to another process."""
    pid = os.fork()
    if not pid:
        try:
            other = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            fcntl.lockf(other, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, 0)
            os._exit(1)
        except OSError:
            os._exit(0)
        finally:
            os._exit(2)
    return os.waitpid(pid, 0)[1] == 0


# ---- The probe between hosts


def plan_of(text: str, *, asking: bool = False) -> Json:
    """The plan of a probe (``schemas/probe.schema.json``); ``text`` is its path or the plan itself.
    With ``asking`` it must have the questions of the second round. Raises OSError and
    ValueError."""
    if not text.lstrip().startswith("{"):
        with os.fdopen(_open(text), "rb") as stream:
            text = stream.read(MAX_GUEST + 1).decode("utf-8")
    plan = json.loads(text) if len(text) <= MAX_GUEST else None
    if not isinstance(plan, dict) or plan.get("format") != PLAN or plan.get("version") != 1:
        raise ValueError("is not a plan of a probe that this collector can read")
    hosts, paths, held = plan.get("hosts"), plan.get("directories"), plan.get("held", {})
    seconds = plan.get("seconds")
    if (
        not re.match(r"[0-9a-f]{32}\Z", str(plan.get("id")))
        or not isinstance(hosts, list)
        or not 0 < len(hosts) <= MAX_HOSTS
        or not all(isinstance(each, str) for each in hosts)
        or len(set(hosts)) != len(hosts)
        or not isinstance(seconds, int)
        or not 0 < seconds <= MAX_HOLD
        or not isinstance(paths, list)
        or not all(isinstance(each, str) and each.startswith("/") for each in paths)
        or not isinstance(held, dict)
    ):
        raise ValueError("is an invalid plan of a probe")
    if asking and not held:
        raise ValueError(
            "is a plan of the first round: 'lockcfg probe --questions' makes that of the second"
        )
    return plan


def number_of(plan: Json, name: Optional[str]) -> int:
    """The number of this host in a plan: by ``name``, or by the host's own name. Raises
    ValueError."""
    itself = socket.gethostname()
    for each in [name] if name else [itself, itself.partition(".")[0]]:
        if each in plan["hosts"]:
            return int(plan["hosts"].index(each)) + 1
    raise ValueError(f"names no host {name or itself}: name this host with --name")


def _byte(number: int, kind: int) -> int:
    """The byte that a host locks: with a POSIX lock (0), or with a lock of an open file description
    (1)."""
    return FIRST_BYTE + 2 * number + kind


def _flock(kind: int, start: int) -> bytes:
    """struct flock of 64 bit systems: type, whence, start, length, pid."""
    return struct.pack("hhqqi4x", kind, os.SEEK_SET, start, 1, 0)


def _supervise(
    plan: Json, number: int, directories: List[str], secret: str, listener: Any, report: int
) -> None:
    """Hold the locks until a command ends the probe or its time is over. Each directory has a
    process of its own, as any of them may hang."""
    null = os.open(os.devnull, os.O_RDWR)
    for each in (0, 1, 2):
        os.dup2(null, each)
    end = time.monotonic() + plan["seconds"]
    held = dict.fromkeys(directories, "no answer")
    waiting: Dict[int, str] = {}
    controls: List[int] = []
    pids: Dict[str, int] = {}
    for path in directories:
        read, write = os.pipe()
        control, ours = os.pipe()
        pids[path] = os.fork()
        if not pids[path]:
            try:
                # A process sees the end of this one, however it ends, if no other process has these
                # descriptors.
                for each in (read, ours, report, listener.fileno(), *controls, *waiting):
                    os.close(each)
                _hold(path, plan, number, secret, write, control)
            finally:
                os._exit(0)
        os.close(write)
        os.close(control)
        waiting[read] = path
        controls.append(ours)
    answers = time.monotonic() + PATIENCE
    while waiting and time.monotonic() < answers:
        for read in select.select(list(waiting), [], [], answers - time.monotonic())[0]:
            path = waiting.pop(read)
            said = os.read(read, 4096).decode("utf-8", "replace") or "it ended at once"
            held[path] = "" if said == "held" else said
            os.close(read)
            line = json.dumps({"path": path, "error": held[path]}) + "\n"
            with contextlib.suppress(OSError):  # the client may have given up
                os.write(report, line.encode())
    os.close(report)
    while time.monotonic() < end:
        if not select.select([listener], [], [], end - time.monotonic())[0]:
            break
        with contextlib.suppress(OSError), contextlib.closing(listener.accept()[0]) as client:
            client.settimeout(PATIENCE)
            if not _is_ours(client):
                continue
            word = client.recv(64)
            for path, pid in list(pids.items()):
                if os.waitpid(pid, os.WNOHANG)[0]:
                    del pids[path]
                    held[path] = held[path] or "the process that held the lock has ended"
            if word == b"end":
                _let_go(controls, [pid for path, pid in pids.items() if not held[path]])
                client.sendall(b"{}")
                return
            client.sendall(json.dumps({"secret": secret, "held": held}).encode())
    _let_go(controls, list(pids.values()))


def _is_ours(client: Any) -> bool:
    """Whether the process at the other end of a socket belongs to root or to the user of this
    process."""
    peer = client.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return struct.unpack("3i", peer)[1] in (0, os.geteuid())


def _let_go(controls: List[int], pids: List[int]) -> None:
    """Make the processes that hold locks end, and wait for the ones that do."""
    for control in controls:
        os.close(control)
    end = time.monotonic() + PATIENCE
    while pids and time.monotonic() < end:
        pids = [pid for pid in pids if not os.waitpid(pid, os.WNOHANG)[0]]
        time.sleep(0.01)


def _hold(directory: str, plan: Json, number: int, secret: str, report: int, control: int) -> None:
    """Lock this host's bytes in a directory, report it, and hold them until ``control`` is
    closed."""
    name = SCRATCH.format(plan["id"])
    mine = _mark(secret)
    descriptors: List[int] = []
    try:
        place = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        os.write(report, _reason(error).encode())
        return
    try:
        try:
            descriptors = _locked(name, place, number, mine)
            os.write(report, b"held")
        except OSError as error:
            os.write(report, _reason(error).encode())
        # The file stays until the end in any case: other hosts may have their locks on it.
        select.select([control], [], [], plan["seconds"])
        if descriptors:  # another process has them: the directory has two names on this host
            os.pwrite(descriptors[0], b"\0" * len(mine), number * PAGE)
            os.fsync(descriptors[0])
    finally:
        for each in descriptors:
            with contextlib.suppress(OSError):
                os.close(each)
        _remove(name, place)


def _remove(name: str, place: Optional[int] = None) -> None:
    """Remove a scratch file, if it exists."""
    with contextlib.suppress(OSError):
        os.unlink(name, dir_fd=place)


def _mark(secret: str) -> bytes:
    """What a host writes on its page of a scratch file: no other process writes the same."""
    return MARK + hashlib.sha256(secret.encode()).hexdigest().encode()


def _made(name: str, place: int, flags: int) -> int:
    """The descriptor of a scratch file, which is made if it does not exist. Raises OSError."""
    for _ in range(CACHED * 10):
        try:
            descriptor = os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=place)
        except FileExistsError:
            # Another host makes it at the same time. Names are cached: for this host it may not be
            # there yet, or one of an earlier probe no longer.
            with contextlib.suppress(FileNotFoundError):
                return os.open(name, flags, dir_fd=place)
            time.sleep(0.1)
            continue
        os.pwrite(descriptor, os.urandom(NONCE // 2).hex().encode(), 0)
        os.fsync(descriptor)
        return descriptor
    return os.open(name, flags, dir_fd=place)


def _locked(name: str, place: int, number: int, mine: bytes) -> List[int]:
    """The descriptors of a scratch file, which is made if it does not exist, with the host's locks
    on it. There are none if another process of this probe has the locks, because the file has
    several names on this host. Raises OSError."""
    flags = os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    first = _made(name, place, flags)
    if not stat.S_ISREG(os.fstat(first).st_mode):
        raise OSError(errno.EINVAL, "the path of the scratch file is not a regular file")
    second = os.open(name, flags, dir_fd=place)
    try:
        fcntl.fcntl(first, fcntl.F_SETLK, _flock(fcntl.F_WRLCK, _byte(number, 0)))
        with _without_new_kinds():
            fcntl.fcntl(second, F_OFD_SETLK, _flock(fcntl.F_WRLCK, _byte(number, 1)))
    except OSError as error:
        if error.errno not in (errno.EAGAIN, errno.EACCES):
            raise
        for _ in range(20):  # the other host may not have written it yet
            with contextlib.suppress(OSError):
                again = os.open(name, flags, dir_fd=place)
                found = os.pread(again, len(mine), number * PAGE)
                os.close(again)
                if found == mine:
                    return []
            time.sleep(0.1)
        raise OSError(
            errno.EBUSY, "another host has the number of this host: a name may be in the plan twice"
        ) from None
    os.pwrite(first, mine, number * PAGE)
    os.fsync(first)
    return [first, second]


@contextlib.contextmanager
def _without_new_kinds() -> Iterator[None]:
    """Ignore the error of a kernel that does not know locks of open file descriptions."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def _seen(directory: str, questions: Json, number: int) -> Json:
    """Whose marks and whose locks this host sees in the scratch file of a directory. It looks for a
    mark before and after the lock, and opens the file again each time, so that no cache answers."""
    path = os.path.join(directory, SCRATCH.format(questions["id"]))
    numbers = sorted(int(each) for each in questions["held"])
    end = time.monotonic() + PATIENCE - 1
    marked: Set[int] = set()
    nonce = ""
    try:
        while time.monotonic() < end:  # a client may cache names and contents for a second
            nonce, now = _marks(path, numbers)
            if len(nonce) == NONCE and (
                len(now) == len(numbers) or (number in now and now == marked)
            ):
                break
            marked = now
            time.sleep(0.4)
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            locked = [each for each in numbers if _both_locked(descriptor, each)]
        finally:
            os.close(descriptor)
        again, after = _marks(path, numbers)
    except OSError as error:
        return {"error": _reason(error)}
    if len(nonce) != NONCE or again != nonce:
        return {"error": "the scratch file has no nonce, or another one now"}
    return {"nonce": nonce, "marked": sorted(now & after), "locked": locked}


def _marks(path: str, numbers: List[int]) -> Tuple[str, Set[int]]:
    """The nonce of a scratch file, and the numbers of the hosts that have marked it."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        nonce = os.pread(descriptor, NONCE, 0).rstrip(b"\0").decode("ascii", "replace")
        found = {n for n in numbers if os.pread(descriptor, len(MARK), n * PAGE) == MARK}
        return nonce, found
    finally:
        os.close(descriptor)


def _both_locked(descriptor: int, number: int) -> bool:
    """Whether the bytes of a host are locked, with a lock of each kind. It asks, and does not try
    to lock."""
    found: List[bool] = []
    for kind, question in ((0, fcntl.F_GETLK), (1, F_OFD_GETLK)):
        try:
            answer = fcntl.fcntl(descriptor, question, _flock(fcntl.F_WRLCK, _byte(number, kind)))
        except OSError as error:
            if not kind or error.errno != errno.EINVAL:
                raise
            continue
        found.append(bool(struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK))
    return all(found)


def _address(probe_id: str, number: int) -> str:
    """The address of the process that holds the locks of a host: an abstract name without a
    file."""
    return f"\0lockcfg-probe-{probe_id}-{number}"


def _listener(probe_id: str, number: int) -> Any:
    """The socket at that address. Raises OSError if a process listens there already."""
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(_address(probe_id, number))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            raise
        raise OSError(error.errno, "this host holds the locks of that plan already") from None
    listener.listen(8)
    return listener


def _holder(probe_id: str, number: int, word: str) -> Optional[Json]:
    """The answer of the process that holds the locks of a host; None if there is no such
    process."""
    try:
        told = json.loads(_told(_address(probe_id, number), word.encode(), 2 * PATIENCE).decode())
    except (OSError, ValueError):
        return None
    return told if isinstance(told, dict) else None


def _told(address: str, question: bytes, patience: float) -> bytes:
    """What a process of root or of this user answers at a socket until it closes that; nothing of
    one of another user. Raises OSError."""
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)) as client:
        client.settimeout(patience)
        client.connect(address)
        if not _is_ours(client):
            return b""
        client.sendall(question)
        answer = b""
        while len(answer) <= MAX_GUEST:
            piece = client.recv(65536)
            if not piece:
                break
            answer += piece
        return answer


def _lines_until(read: int, patience: float) -> Iterator[Json]:
    """The lines that arrive within ``patience`` seconds, until the end of the stream."""
    end = time.monotonic() + patience
    rest = b""
    while True:
        left = end - time.monotonic()
        if left <= 0 or not select.select([read], [], [], left)[0]:
            return
        piece = os.read(read, 65536)
        if not piece:
            return
        *lines, rest = (rest + piece).split(b"\n")
        yield from (json.loads(line.decode()) for line in lines)


def _open(path: str) -> int:
    """Open a file to read; return the descriptor. It never waits, not even for the writer of a
    pipe."""
    return os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)


def _names_at(tree: Tree, directory: str) -> List[str]:
    try:
        return tree.names_in(directory)
    except OSError:
        return []


# ---- The description of a guest, its disks, and what is below them


def _description(path: str, tree: Tree) -> Any:
    """Libvirt's description of a guest or a pool. Raises OSError, ValueError, ParseError."""
    with os.fdopen(tree.open(path), "rb") as stream:
        if not stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            raise ValueError("is not a regular file")
        text = stream.read(MAX_GUEST + 1)
    if len(text) > MAX_GUEST or b"<!DOCTYPE" in text:
        raise ValueError("is not a description of a guest")
    return ElementTree.fromstring(text)  # noqa: S314 - what root wrote for libvirt


#: The classes of PCI devices by which a guest reaches storage: all mass storage; InfiniBand and
#: Fibre Channel.
_STORAGE = ("0x01", "0x0c04", "0x0c06")


def _disk(element: Any) -> Json:
    """The disk in a <disk> element."""
    kind = element.get("type") or "file"
    disk: Json = {"type": kind}
    source = element.find("source")
    if source is not None:
        path = source.get({"file": "file", "block": "dev", "dir": "dir"}.get(kind, ""))
        if path:
            disk["path"] = path
        elif kind == "network":
            disk["path"] = "{}:{}".format(source.get("protocol") or "", source.get("name") or "")
            servers = [_server(host) for host in source.findall("host")]
            if servers:
                disk["servers"] = sorted(servers)
        elif kind == "volume":
            disk["path"] = "{}/{}".format(source.get("pool") or "", source.get("volume") or "")
    driver = element.find("driver")
    if kind in ("file", "block") and driver is not None and driver.get("type"):
        disk["format"] = driver.get("type")
    if element.find("shareable") is not None:
        disk["shareable"] = True
    if element.find("readonly") is not None or element.get("device") == "cdrom":
        disk["readonly"] = True
    layers = 0
    below = element.find("backingStore")
    while below is not None and below.find("source") is not None:
        layers += 1
        below = below.find("backingStore")
    if layers:
        disk["layers"] = layers
    return disk


def _passed_on(element: Any) -> Optional[Json]:
    """The storage in a <hostdev> element, which gives a guest a device of the host as a whole. None
    if the device is no storage."""
    kind, source = element.get("type"), element.find("source")
    if kind == "pci" and not _may_be_storage(element.find("source/address")):
        return None
    if kind not in ("pci", "scsi", "scsi_host"):
        return None
    disk: Json = {"type": "hostdev"}
    if source is not None and source.get("protocol") == "iscsi":
        disk = {"type": "network", "path": "iscsi:{}".format(source.get("name") or "")}
        servers = [_server(host) for host in source.findall("host")]
        if servers:
            disk["servers"] = sorted(servers)
    if element.find("shareable") is not None:
        disk["shareable"] = True
    if element.find("readonly") is not None:
        disk["readonly"] = True
    return disk


def _may_be_storage(address: Any) -> bool:
    """Whether a PCI device is a controller of storage or an adapter of a storage network, or may be
    one: of a device that is not there nothing is known."""
    if address is None:
        return True
    try:
        numbers = [
            int(address.get(name) or "0", 16) for name in ("domain", "bus", "slot", "function")
        ]
    except ValueError:
        return True
    of_device = _line("/sys/bus/pci/devices/{:04x}:{:02x}:{:02x}.{:x}/class".format(*numbers))
    return not of_device or of_device.startswith(_STORAGE)


def _server(host: Any) -> str:
    """A server of a network disk, as the guest's description names it."""
    if host.get("socket"):
        return "unix:{}".format(host.get("socket"))
    port = host.get("port")
    return (host.get("name") or "").lower() + (f":{port}" if port else "")


def _lease(element: Any) -> Json:
    """The lease in a <lease> element."""
    target = element.find("target")
    path = (target.get("path") if target is not None else "") or ""
    return {
        "lockspace": element.findtext("lockspace") or "",
        "key": element.findtext("key") or "",
        "target": path,
    }


def _resolved(path: str, form: str) -> Json:
    """The file or device that a disk's path leads to. ``form`` is the format of its image in the
    guest's description: the guest itself writes a raw image, so its content may look like
    anything."""
    more: Json = {}
    try:
        real = os.path.realpath(path)
        if real != path:
            more["resolved"] = real
        status = os.stat(real)
        device = status.st_rdev if stat.S_ISBLK(status.st_mode) else status.st_dev
        more["device"] = f"{os.major(device)}:{os.minor(device)}"
        more["inode"] = status.st_ino
        if status.st_nlink > 1 and stat.S_ISREG(status.st_mode):
            more["links"] = status.st_nlink
        device_below: List[Json] = []
        if stat.S_ISBLK(status.st_mode):
            more.update(_kernel_names(_node(real, more["device"])))
            device_below = list(_devices_below(more["device"]))
        if form in LAYERED and (stat.S_ISREG(status.st_mode) or stat.S_ISBLK(status.st_mode)):
            more.update(_chain(real, form))
        if device_below and ("chain" in more or "layers" not in more):
            more["chain"] = more.get("chain", []) + device_below
    except OSError as error:
        more["error"] = _reason(error)
    return more


def _on_its_directory(path: str, told: Json, points: Set[str]) -> Json:
    """What is known of a disk, if its file is on the file system of its directory. A file that is
    mounted by itself (``points``) is not: nothing is known of it, nor of the chain that has it."""

    def is_mounted(path: str) -> bool:
        return path in points and stat.S_ISREG(os.stat(path).st_mode)

    with contextlib.suppress(OSError):
        if is_mounted(told.get("resolved", path)):
            return {"error": "is a mount of its own"}
        files = [each for each in told.get("chain", ()) if each["type"] == "file"]
        if any(is_mounted(each.get("resolved", each["path"])) for each in files):
            told.setdefault("layers", len(files))
            del told["chain"]
    return told


def _devices_below(number: str) -> Iterator[Json]:
    """The devices that a volume of LVM, LUKS or md is on, and the file of a loop device, in the
    form of images below a disk: a write to one of them is a write to the volume. The paths of a
    multipath device are the device itself."""
    pending = [os.path.realpath(f"/sys/dev/block/{number}")]
    seen: Set[str] = set()
    while pending and len(seen) < MAX_CHAIN:
        top = pending.pop()
        uuid = _line(f"{top}/dm/uuid")
        if top in seen or uuid.startswith("mpath-"):
            continue
        seen.add(top)
        for loop in (top, os.path.dirname(top)):  # the file of a partition is that of the whole
            with contextlib.suppress(OSError):
                yield _file_of_loop(_line(f"{loop}/loop/backing_file"))
        for name in sorted(_names_in(f"{top}/slaves")):
            slave = os.path.realpath(f"{top}/slaves/{name}")
            pending.append(slave)
            if uuid.startswith("part"):
                continue  # it has the name of its whole device
            # The snapshot has a device without a name, too, so that the audit knows of it.
            path = f"/dev/{os.path.basename(slave)}"
            told: Json = {"type": "block", "path": path, "device": _line(f"{slave}/dev")}
            told["above"] = _line(f"{top}/dev")
            with contextlib.suppress(OSError):
                told["inode"] = os.stat(path).st_ino
            yield {**told, **dict(_kernel_names(path))}


def _file_of_loop(path: str) -> Json:
    """The file of a loop device, by the path that the kernel has. Raises OSError if it is not
    there, as when it was removed, or when it is below another root."""
    status = os.stat(path)
    device = f"{os.major(status.st_dev)}:{os.minor(status.st_dev)}"
    told: Json = {"type": "file", "path": path, "device": device, "inode": status.st_ino}
    if status.st_nlink > 1:
        told["links"] = status.st_nlink
    return told


def _chain(path: str, form: str) -> Iterator[Tuple[str, Any]]:
    """The images below an image, and the devices that these are on: what QEMU opens when it opens
    the image. It has all of them or none."""
    below: List[Json] = []
    layers = 0
    while True:
        found = _backing(path) if form == "qcow2" else ""
        if found is None:
            break
        layers += 1
        if not found or layers > MAX_CHAIN:
            yield "layers", layers
            return  # the collector does not look further down
        path = os.path.join(os.path.dirname(path), found)
        more: Json = {"type": "file", "path": path}
        real = os.path.realpath(path)
        if real != path:
            more["resolved"] = real
        try:
            status = os.stat(real)
        except OSError:
            yield "layers", layers
            return  # what is below that is unknown
        block = stat.S_ISBLK(status.st_mode)
        device = status.st_rdev if block else status.st_dev
        more["device"] = f"{os.major(device)}:{os.minor(device)}"
        more["inode"] = status.st_ino
        below.append(more)
        if block:
            more["type"] = "block"
            more.update(_kernel_names(_node(real, more["device"])))
            below += _devices_below(more["device"])
    if layers:
        yield "layers", layers
        yield "chain", below


def _backing(path: str) -> Optional[str]:
    """The image below a qcow2 image, by its header (docs/interop/qcow2.txt of QEMU): None if there
    is none, empty if the collector does not look for it. A backing name that is not a file, such as
    a JSON description, stays as it is."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
    try:
        head = os.pread(descriptor, 80, 0)
        if len(head) < 20 or head[:4] != b"QFI\xfb":
            return None
        if int.from_bytes(head[4:8], "big") > 2 and len(head) == 80 and head[79] & EXTERNAL:
            return ""
        offset, size = int.from_bytes(head[8:16], "big"), int.from_bytes(head[16:20], "big")
        if not offset or not 0 < size <= MAX_NAME:
            return None
        return os.fsdecode(os.pread(descriptor, size, offset))
    finally:
        os.close(descriptor)


# ---- Locks in force


def _locks_of(pid: int) -> List[Json]:
    """The files on whose first byte a process holds a lock, by the kernel (proc_pid_fdinfo(5)): the
    path of each, and whether another file has that path now."""
    found: List[Json] = []
    for entry in os.listdir(f"/proc/{pid}/fdinfo"):
        try:
            with open(f"/proc/{pid}/fdinfo/{entry}", encoding="ascii", errors="replace") as stream:
                info = stream.read(65536)
            path = os.readlink(f"/proc/{pid}/fd/{entry}")
            if not path.startswith("/"):
                continue
            mine = os.stat(f"/proc/{pid}/fd/{entry}")
            told = re.search(r"^lock:.*(?:POSIX|OFDLCK) +\S+ +(READ|WRITE) .* 0 0$", info, re.M)
            # The kernel does not see the locks of a file system in user space, which answers when
            # it is asked.
            if not told and not (
                stat.S_ISREG(mine.st_mode) and _is_locked(f"/proc/{pid}/fd/{entry}")
            ):
                continue
        except OSError:
            continue  # it has just been closed
        gone = path.endswith(" (deleted)")
        path = path[: -len(" (deleted)")] if gone else path
        try:
            there = os.stat(path)
            replaced = (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)
        except OSError:
            replaced = True
        modes = {"READ": "shared", "WRITE": "exclusive"}
        mode = modes[told.group(1)] if told else ""
        found.append({"path": path, "replaced": replaced, "mode": mode})
    return found


def _is_locked(path: str) -> bool:
    """Whether another process holds a lock on the first byte of a file. It asks, and does not try
    to lock."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        # struct flock of 64 bit systems: type, whence, start, length, pid.
        question = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, 0, 1, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_GETLK, question)
        return bool(struct.unpack("hhqqi4x", answer)[0] != fcntl.F_UNLCK)
    except OSError:
        return False
    finally:
        os.close(descriptor)


# ---- Guests of users' sessions


def _of_sessions() -> Iterator[Tuple[str, bool]]:
    """The descriptions of the guests of users' own libvirts, and whether they run."""
    for user in sorted(_names_in("/run/user")):
        if not user.isdigit() or not os.path.isdir(f"/run/user/{user}/libvirt"):
            continue
        try:
            home = pwd.getpwuid(int(user)).pw_dir
        except KeyError:
            home = ""
        for directory, running in (
            (os.path.join(home, ".config/libvirt/qemu"), False),
            (f"/run/user/{user}/libvirt/qemu/run", True),
        ):
            for name in sorted(_names_in(directory)) if directory.startswith("/") else ():
                if name.endswith(".xml"):
                    yield os.path.join(directory, name), running


def _names_in(directory: str) -> List[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


# ---- Guests that run without libvirt


def _without_libvirt(known: Set[int]) -> Iterator[Tuple[int, Json]]:
    """The guests that QEMU runs and libvirt does not know, by process: their disks are the files
    that they have open to write."""
    for entry in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        pid = int(entry)
        name = _line(f"/proc/{pid}/comm")
        if pid in known or not name.startswith(("qemu-system", "qemu-kvm")):
            continue
        try:
            if os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"):
                continue  # in a container, whose libvirt may know the guest
        except OSError:
            continue
        words = _command(pid)
        disks: Dict[str, Json] = {}
        for descriptor in _names_in(f"/proc/{pid}/fd"):
            try:
                path = os.readlink(f"/proc/{pid}/fd/{descriptor}")
                with open(f"/proc/{pid}/fdinfo/{descriptor}", encoding="ascii") as stream:
                    flags = re.search(r"^flags:\s*([0-7]+)", stream.read(4096), re.M)
                status = os.stat(f"/proc/{pid}/fd/{descriptor}")
            except (OSError, ValueError):
                continue
            if not status.st_nlink and path.endswith(" (deleted)"):
                continue  # memory, of the guest or of its screen: no other process can open it
            mode = status.st_mode
            writes = flags is not None and int(flags.group(1), 8) & os.O_ACCMODE
            kind = "block" if stat.S_ISBLK(mode) else "file" if stat.S_ISREG(mode) else ""
            if path.startswith("/") and writes and kind and not path.endswith((".log", ".pid")):
                disks[path] = {"type": kind, "path": path}
        guest: Json = {
            "name": _argument(words, "-name").partition(",")[0].replace("guest=", "", 1) or name,
            "uuid": _argument(words, "-uuid").lower(),
            "driver": "qemu",
            "running": True,
            "instance": "process",
            "disks": [disks[path] for path in sorted(disks)],
        }
        started = _started(pid)
        if started is not None:
            guest["started"] = started
        if disks:
            yield pid, guest


def _digest(path: str) -> str:
    """The name of the lock of a path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()


def _command(pid: int) -> List[str]:
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as stream:
            return stream.read(1 << 20).decode("utf-8", "replace").split("\0")
    except OSError:
        return []


def _argument(words: List[str], option: str) -> str:
    """The word after an option on a command line."""
    return words[words.index(option) + 1] if option in words[:-1] else ""


# ---- Identities of block devices


def _ids(mount: Json, device: str, path: str) -> Iterator[str]:
    """The identities of a file system that are the same on all hosts, as what:value."""
    kind = mount["type"]
    if kind in ("nfs", "nfs4"):
        for line in _lines("/proc/fs/nfsfs/volumes"):
            fields = line.split()
            if len(fields) >= 5 and fields[3] == device:
                yield f"fsid{4 if kind == 'nfs4' else 3}:{fields[4]}"
    elif kind in ("ceph", "fuse.ceph-fuse"):
        cluster = _attribute(path, "ceph.cluster_fsid")
        if cluster:
            yield f"cluster:{cluster.lower()}"
        if kind == "fuse.ceph-fuse":
            # It may be mounted elsewhere too, and this be a directory of that.
            yield from _ceph_client(
                {point for point, each in _mounts() if each["device"] == device}
            )
    elif kind == "fuse.glusterfs":
        with contextlib.suppress(OSError):
            yield f"volume-id:{os.getxattr(mount['point'], 'trusted.glusterfs.volume-id').hex()}"
    elif kind == "gfs2":
        for table in _names_in("/sys/fs/gfs2"):
            if _line(f"/sys/fs/gfs2/{table}/id") == device:
                yield f"table:{table}"
                uuid = _line(f"/sys/fs/gfs2/{table}/uuid")
                if uuid:
                    yield f"uuid:{uuid.lower()}"
    elif kind == "ocfs2" or (kind in LOCAL and _exports()):
        uuid = _uuid(device)
        if uuid:
            yield f"uuid:{uuid.lower()}"


def _ceph_client(points: Set[str]) -> Iterator[str]:
    """The file system of a cluster that ceph-fuse has mounted, and which directory of it: the mount
    names neither, so the client is asked at its admin socket. Nothing if no client, or more than
    one, says that it is mounted at one of ``points``."""
    found: List[Json] = []
    listening = {line.split(" ")[-1] for line in _lines("/proc/net/unix")}
    for path in sorted(each for each in listening if each.endswith(".asok")):
        told = _ceph_status(path)
        of = told.get("metadata")
        if isinstance(of, dict) and of.get("mount_point") in points:
            found.append({"filesystem": told.get("fs_name"), "root": of.get("root")})
    if len(found) == 1 and all(each and isinstance(each, str) for each in found[0].values()):
        yield from (f"{what}:{each}" for what, each in found[0].items())


def _ceph_status(path: str) -> Json:
    """What a client of Ceph says of itself at its admin socket; nothing of what is none, and of one
    that belongs to another user."""
    try:
        if os.stat(path).st_uid not in (0, os.geteuid()):
            return {}
        answer = _told(path, b'{"prefix": "status", "format": "json"}\0', PATIENCE / 3)
        told = json.loads(answer[4:].decode())  # its length is before it
    except (OSError, ValueError):
        return {}
    return told if isinstance(told, dict) else {}


def _volume(device: str) -> Iterator[str]:
    """The name of the volume that a file system is on, which is the same on all hosts. A UUID is
    not such a name: hosts that were installed from one image have the same UUIDs, and the same
    names of virtual disks."""
    top = os.path.realpath(f"/sys/dev/block/{device}")
    names = dict(_kernel_names(top))
    wwid = names.get("wwid") or _wwid_below(top)
    if wwid.startswith(("naa.", "eui.", "uuid.")):
        which = names.get("dm_uuid", "").partition("mpath-")[0]
        yield "{}/{}/{}".format(wwid, which, names.get("part", ""))


def _wwid_below(path: str) -> str:
    """The world-wide name of the device below a device of device-mapper or md; empty if it is on
    devices with different names."""
    found = {_line(f"{each}/device/wwid") or _line(f"{each}/wwid") for each in _below(path)}
    return found.pop() if len(found) == 1 else ""


def _below(path: str) -> List[str]:
    """The lowest devices below a device, by their directories in sysfs: the ones that are on no
    other."""
    found: List[str] = []
    pending = [path]
    while pending and len(found) < MAX_CHAIN:
        top = pending.pop()
        slaves = [os.path.realpath(f"{top}/slaves/{name}") for name in _names_in(f"{top}/slaves")]
        pending += slaves
        if not slaves and top != path:
            part = os.path.exists(f"{top}/partition")
            found.append(os.path.dirname(top) if part else top)
    return found


#: Local file systems that a host may export by NFS.
LOCAL = ("ext4", "ext3", "xfs", "btrfs")

#: File systems of which no other host has the files.
_ONE_HOST = (*LOCAL, "ext2", "zfs", "tmpfs", "overlay")


def _exports() -> bool:
    """Whether this host serves files to others by NFS."""
    return any(not line.startswith("#") for line in _lines("/var/lib/nfs/etab"))


def _uuid(device: str) -> str:
    """The UUID of the file system on a block device, by udev."""
    for name in _names_in("/dev/disk/by-uuid"):
        with contextlib.suppress(OSError):
            number = os.stat(f"/dev/disk/by-uuid/{name}").st_rdev
            if f"{os.major(number)}:{os.minor(number)}" == device:
                return name
    return ""


def _attribute(path: str, name: str) -> str:
    try:
        return os.getxattr(path, name).rstrip(b"\0").decode("utf-8", "replace")
    except OSError:
        return ""


# ---- Text without secrets and comments


def _lines(path: str) -> List[str]:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read(1 << 20).splitlines()
    except OSError:
        return []


def _text(raw: bytes) -> Json:
    """The text of a file without its secrets, and the digest of that text."""
    told: Json = {}
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
        told["encoding"] = "latin-1"
    text, count = _without_secrets(text)
    if count:
        told["removed"] = count
    text = _without_comments(text)
    # The digest is of the text without secrets: a digest of the whole would help to guess a
    # password.
    encoding = told.get("encoding", "utf-8")
    told["sha256"] = hashlib.sha256(text.encode(encoding)).hexdigest()
    told["text"] = text
    return told


def _without_secrets(text: str) -> Tuple[str, int]:
    """The text without its secrets, and the number of secrets. The line ends within a secret follow
    its last line, so that later lines keep their numbers."""
    pieces: List[str] = []
    at = count = owed = 0
    for match in [*SECRET.finditer(text), None]:
        between = text[at : match.start() if match else len(text)]
        head, end, tail = between.partition("\n")
        if end:
            between = head + end * (1 + owed) + tail
            owed = 0
        pieces.append(between)
        if match:
            pieces += [match.group("name"), REMOVED]
            owed += match.group("value").count("\n")
            count += 1
            at = match.end()
    return "".join(pieces), count


#: A line with content: words, strings that end in it, and a comment.
STATEMENT = re.compile(r"""(?:[^"'#]|"[^"]*"|'[^']*')*(?:\#.*)?""", re.DOTALL)


def _without_comments(text: str) -> str:
    """The text with empty comments: a packaged file has 30 KB of them. Each comment stays in its
    place as a bare #. So lines keep their numbers, and libvirt still refuses a # where it takes no
    comment, as within a list. A text in which a string continues on the next line stays as it
    is."""
    if '"""' in text:
        return text
    parts = re.split(r"([\r\n]+)", text)
    for number in range(0, len(parts), 2):
        line = parts[number]
        if line.lstrip(" \t").startswith("#"):
            parts[number] = line[: line.index("#") + 1]
        elif not STATEMENT.fullmatch(line):
            return text
    return "".join(parts)


# ---- Owners and labels of files


def _ownership(status: os.stat_result) -> Json:
    return {
        "mode": f"{stat.S_IMODE(status.st_mode):04o}",
        "owner": _name(pwd.getpwuid, status.st_uid),
        "group": _name(grp.getgrgid, status.st_gid),
    }


def _name(database: Callable[[int], Any], number: int) -> str:
    try:
        return str(database(number)[0])
    except KeyError:
        return str(number)


def _label(path: Union[str, int]) -> str:
    try:
        return os.getxattr(path, "security.selinux").rstrip(b"\0").decode("utf-8", "replace")
    except OSError:
        return ""


# ---- Mounts


def _mounts() -> List[Tuple[str, Json]]:
    """The mounts that this process sees, by their mount points, in the order of the kernel."""
    found: List[Tuple[str, Json]] = []
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as stream:
            lines = stream.read().splitlines()
    except OSError:
        return found
    for line in lines:
        before, _, after = line.partition(" - ")
        fields, rest = before.split(" "), after.split(" ")
        if len(fields) < 6 or len(rest) < 3:
            continue
        options = set(fields[5].split(",")) | set(rest[2].split(","))
        point = _unescaped(fields[4])
        mount: Json = {
            "point": point,
            "root": _unescaped(fields[3]),
            "type": rest[0],
            "source": _unescaped(rest[1]),
            "options": sorted(o for o in options if not o.startswith(OWN_OPTIONS)),
            "device": fields[2],
        }
        found.append((point, mount))
    if any(mount["type"] == "fuse.glusterfs" for _, mount in found):
        of_clients = _gluster_options()
        for point, mount in found:
            if mount["type"] == "fuse.glusterfs":
                mount["options"] = sorted(mount["options"] + of_clients.get(point, []))
    return found


def _gluster_options() -> Dict[str, List[str]]:
    """How the clients of GlusterFS cache, by their mount points: no mount option says so."""
    found: Dict[str, List[str]] = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        if _line(f"/proc/{entry}/comm") not in ("glusterfs", "glusterfsd"):
            continue
        try:
            with open(f"/proc/{entry}/cmdline", "rb") as stream:
                point, options = gluster_command(stream.read(65536))
        except OSError:
            continue
        found[point] = options
    return found


def gluster_command(command: bytes) -> Tuple[str, List[str]]:
    """The mount point of a client of GlusterFS with that command line, and how the client
    caches."""
    words = command.decode("utf-8", "replace").rstrip("\0").split("\0")
    timeouts = ("--entry-timeout=", "--attribute-timeout=")
    return words[-1], sorted(word[2:] for word in words if word.startswith(timeouts))


def _mount_of(path: str, mounts: List[Tuple[str, Json]]) -> Optional[Json]:
    best: Optional[Json] = None
    length = -1
    for point, mount in mounts:
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        if inside and len(point) >= length:
            best, length = mount, len(point)
    return best


def _unescaped(field: str) -> str:
    return re.sub(r"\\([0-7]{3})", lambda match: chr(int(match.group(1), 8)), field)


# ---- Daemons and versions


def _daemons() -> List[Json]:
    """The running daemons, with the time of their start in seconds since the epoch."""
    found: List[Json] = []
    for entry in sorted(filter(str.isdigit, os.listdir("/proc")), key=int):
        pid = int(entry)
        name = _line(f"/proc/{pid}/comm")
        if name not in DAEMONS:
            continue
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as stream:
                if not stream.read(1):
                    continue  # a thread of the kernel: NFS has a thread named lockd
            if os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"):
                continue  # in a container
        except OSError:
            pass
        started = _started(pid)
        if started is not None:
            daemon: Json = {"name": name, "pid": pid, "started": started}
            try:
                namespace = os.readlink(f"/proc/{pid}/ns/mnt")
                if namespace != os.readlink("/proc/self/ns/mnt"):
                    daemon["namespace"] = namespace
            except OSError:
                pass
            found.append(daemon)
    return found


def _in_charge(daemons: List[Json]) -> List[Json]:
    """The lock daemons that this host's libvirt talks to: the ones that see the same mounts as this
    process or, if none does, the ones that all see the same mounts."""
    lock = [daemon for daemon in daemons if daemon["name"] in LOCK_DAEMONS]
    here = [daemon for daemon in lock if "namespace" not in daemon]
    if not here and len({daemon["namespace"] for daemon in lock}) == 1:
        return lock
    return here


def _enter(pid: int) -> None:
    """See the files and mounts that another process sees."""
    descriptor = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    library = ctypes.CDLL(None, use_errno=True)
    if library.setns(descriptor, CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    os.close(descriptor)


def _started(pid: int) -> Optional[int]:
    """When a process has started, in seconds since the epoch (proc(5)). With the time of the boot
    from /proc/stat, which is cut off, it would be up to a second too early."""
    status = _line(f"/proc/{pid}/stat")
    fields = status.rpartition(")")[2].split()
    try:
        after_boot = (int(fields[19]) + 1) / os.sysconf("SC_CLK_TCK")
        return int(time.time() - time.clock_gettime(CLOCK_BOOTTIME) + after_boot)
    except (OSError, ValueError, IndexError):
        return None


def _versions() -> Json:
    """The installed releases of libvirt and QEMU, as far as they can be found out."""
    found: Json = {}
    for name, programs in (
        ("libvirt", ("libvirtd", "virtqemud", "virtxend", "virtlockd")),
        ("qemu", ("qemu-system-x86_64", "qemu-kvm", "/usr/libexec/qemu-kvm")),
    ):
        for program in programs:
            path = _which(program)
            if path is None:
                continue
            try:
                output = _output(_start([path, "--version"]), PATIENCE) or b""
            except OSError:
                continue
            match = re.search(r"\d+\.\d+(\.\d+)?", output.decode("utf-8", "replace"))
            if match:
                found[name] = match.group()
                break
    return found


def _which(program: str) -> Optional[str]:
    """The path of a program with that name or at that path. Root runs no program that other users
    may have changed."""
    places = (program,) if program.startswith("/") else [f"{d}/{program}" for d in PROGRAMS]
    for path in places:
        if os.path.isfile(path) and os.access(path, os.X_OK) and _is_trusted(path):
            return path
    return None


def _is_trusted(path: str) -> bool:
    """Whether only root may change the file at ``path``, or this process is not root."""
    if os.geteuid() != 0:
        return True
    real = os.path.realpath(path)
    try:
        found = [os.stat(real), os.stat(os.path.dirname(real)), os.stat(os.path.dirname(path))]
    except OSError:
        return False
    return all(each.st_uid == 0 and not each.st_mode & 0o022 for each in found)


def _line(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.readline(4096).strip()
    except OSError:
        return ""


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


# ---- Other programs, with limits


def _start(command: List[str]) -> Any:
    """Start a program to read its output; return the process. It gets nothing of this
    environment."""
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env={},
        start_new_session=True,
    )


def _output(process: Any, patience: float, most: int = MAX_OUTPUT) -> Optional[bytes]:
    """The output of a program; None if it hangs or prints without end. Such a program is killed,
    with the processes that it has started, and the collector does not wait for it: neither for a
    process that keeps its output open, nor for the program itself if it hangs in the kernel."""
    end = time.monotonic() + max(0.1, patience)
    output = b""
    try:
        while len(output) <= most:
            left = end - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                break
            piece = os.read(process.stdout.fileno(), 1 << 16)
            if not piece:
                process.wait(timeout=max(0.1, end - time.monotonic()))
                return output
            output += piece
    except subprocess.TimeoutExpired:
        pass
    finally:
        process.stdout.close()
    with contextlib.suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.1)
    return None


def _reap(pid: int) -> None:
    """Wait for a killed process; a process that hangs in a file system is left to the kernel."""
    for _ in range(20):
        if os.waitpid(pid, os.WNOHANG)[0]:
            return
        time.sleep(0.005)


# ---- The command line


def render(document: Json) -> str:
    """A snapshot as JSON in ASCII, each member on a line of its own."""
    members = [
        "{}:{}".format(json.dumps(key), json.dumps(value, separators=(",", ":"), sort_keys=True))
        for key, value in document.items()
    ]
    return "{\n" + ",\n".join(members) + "\n}\n"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the program, which are the same for ``lockcfg collect``."""
    parser.add_argument(
        "--output",
        metavar="FILE",
        help="write there instead of standard output; compressed if it ends in .gz, .xz or .bz2",
    )
    parser.add_argument("--name", metavar="HOST", help="the name of the host (default: its own)")
    parser.add_argument(
        "--root",
        metavar="DIR",
        default="/",
        help="read only the files of the host whose root directory is DIR, and which does not run"
        " here",
    )
    parser.add_argument("--etc", metavar="DIR", default="/etc/libvirt", help="libvirt's files")
    parser.add_argument("--run", metavar="DIR", default="/run/libvirt", help="libvirt's state")
    parser.add_argument("--no-probe", action="store_true", help="make no scratch locks")
    parser.add_argument(
        "--locks", action="store_true", help="only say which locks the lock daemons hold"
    )
    rounds = parser.add_argument_group(
        "rounds of a probe", "PLAN is a file of 'lockcfg probe', or its text"
    ).add_mutually_exclusive_group()
    for step, what in (
        ("hold", "take locks on scratch files, and leave a process that holds them"),
        ("ask", "write a snapshot that says whose locks are seen"),
        ("end", "release the locks, and remove the scratch files"),
    ):
        rounds.add_argument(f"--probe-{step}", metavar="PLAN", help=what)


def run(arguments: argparse.Namespace) -> int:
    """Collect and write a snapshot, and return the exit status."""
    if not os.path.isdir(arguments.root):
        sys.stderr.write(f"{arguments.root}: there is no such directory\n")
        return 2
    collector = Collector(
        arguments.etc, arguments.run, probe=not arguments.no_probe, root=arguments.root
    )
    in_probe = arguments.probe_hold or arguments.probe_ask or arguments.probe_end
    if arguments.locks and (in_probe or not collector.tree.is_here):
        sys.stderr.write("--locks is for a host that runs here, and does not go with a probe\n")
        return 2
    if in_probe and not collector.tree.is_here:
        sys.stderr.write("--root does not go with a probe: the host does not run here\n")
        return 2
    if not (arguments.name or collector.name()):
        sys.stderr.write(f"{arguments.root}: no file there has the name of the host: use --name\n")
        return 2
    try:
        text = _told_by(collector, arguments)
    except (OSError, ValueError) as error:
        reason = _reason(error) if isinstance(error, OSError) else str(error)
        sys.stderr.write(f"the probe cannot be made: {reason}\n")
        return 3
    if not arguments.output:
        sys.stdout.write(text)
        return 0
    try:
        _put(arguments.output, _compressed(arguments.output, text.encode("ascii")))
    except OSError as error:
        sys.stderr.write(f"{arguments.output}: {_reason(error)}\n")
        return 3
    return 0


def _told_by(collector: Collector, arguments: argparse.Namespace) -> str:
    """The answer of a round of a probe, or the snapshot. Raises OSError and ValueError."""
    text = arguments.probe_hold or arguments.probe_ask or arguments.probe_end
    if arguments.locks:
        return render(collector.held())
    if text is None:
        return render(collector.snapshot(arguments.name))
    plan = plan_of(text, asking=arguments.probe_ask is not None)
    number = number_of(plan, arguments.name)
    if arguments.probe_hold is not None:
        return render(collector.hold(plan, number))
    if arguments.probe_end is not None:
        return render(collector.end_probe(plan, number))
    evidence = collector.ask(plan, number)
    document = collector.snapshot(plan["hosts"][number - 1])
    document["evidence"] = evidence
    return render(document)


def _compressed(path: str, text: bytes) -> bytes:
    """The bytes to write to ``path``, compressed as the end of its name says."""
    end = os.path.splitext(path)[1]
    if end == ".zst":
        raise OSError(errno.EINVAL, "cannot be compressed with zstd: use .gz or .xz")
    if end not in COMPRESSIONS:
        return text
    compressed: bytes = __import__(COMPRESSIONS[end]).compress(text)
    return compressed


def _put(path: str, content: bytes) -> None:
    """Write a file whole or not at all, in a directory that other users may write. Whatever has
    that name is neither followed nor opened: a file or a link is replaced, and nothing else is.
    Raises OSError."""
    stream = re.match(r"(?:/dev/(?:std(out|err)|fd/(\d+))|/proc/self/fd/(\d+))\Z", path)
    if stream:
        number = {"out": 1, "err": 2}.get(stream.group(1)) or int(
            stream.group(2) or stream.group(3)
        )
        with os.fdopen(os.dup(number), "wb") as out:
            out.write(content)
        return
    above, name = os.path.split(path)
    draft = f".lockcfg-snapshot-{os.urandom(16).hex()}.new"
    directory = os.open(above or ".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _refuse_all_but_files(name, directory)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(draft, flags, 0o644, dir_fd=directory)
        try:
            with os.fdopen(descriptor, "wb") as out:
                out.write(content)
                out.flush()
                os.fsync(descriptor)
                os.replace(draft, name, src_dir_fd=directory, dst_dir_fd=directory)
                now = os.stat(name, dir_fd=directory, follow_symlinks=False)
                if not os.path.samestat(now, os.fstat(descriptor)):
                    raise OSError(errno.EBUSY, "another program has put another file there")
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(draft, dir_fd=directory)
            raise
    finally:
        os.close(directory)


def _refuse_all_but_files(name: str, directory: int) -> None:
    """Raise OSError if the path is neither a file nor a link: a device is not replaced."""
    try:
        mode = os.stat(name, dir_fd=directory, follow_symlinks=False).st_mode
    except FileNotFoundError:
        return
    if not (stat.S_ISREG(mode) or stat.S_ISLNK(mode)):
        raise OSError(errno.EEXIST, "is not a regular file")


def main(argv: Optional[Iterable[str]] = None) -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    add_arguments(parser)
    return run(parser.parse_args(None if argv is None else list(argv)))


if __name__ == "__main__":
    sys.exit(main())
