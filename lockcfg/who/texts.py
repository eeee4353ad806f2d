"""The texts that a person sees when a lock is refused: which program writes each, what it means,
and what to do. Pure.

They are the errors of lockd and virtlockd, of libvirt's lockd plugin, and of QEMU. A test takes
lockd's errors from its source and the plugin's from the installed plugin, and fails if one is
missing here.
"""

from __future__ import annotations

import re

from lockcfg.frozen import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, Literal

    #: The program that writes a text. lock-daemon: lockd or virtlockd. plugin: libvirt's lockd
    #: plugin, within libvirtd. qemu: QEMU itself, about its own image locks.
    Layer = Literal["lock-daemon", "plugin", "qemu"]


class KnownText(Frozen):
    """A text: its ``pattern``, the program that writes it, what it ``means``, and what to do
    (``help``)."""

    __slots__ = ("help", "layer", "means", "pattern")

    def __init__(self, pattern: str, layer: Layer, means: str, help: str) -> None:
        self.pattern: Final = re.compile(pattern)
        self.layer: Final[Layer] = layer
        self.means: Final = means
        self.help: Final = help


_VERSIONS: Final = "update lockcfg and libvirt to releases that know each other"
_REPORT: Final = "read the log of the lock daemon, and report a bug with it"
_CALLER: Final = "this is a fault of the program that called; libvirt never makes this call"
_STORAGE: Final = "look after the file system: 'lockcfg doctor' on that host tries its lockspaces"
_ADMIN: Final = (
    "this is about the administration of the daemon, not about a lock: see 'man virt-admin'"
)

#: What to do first if nothing shows who has the lock.
FIND_HOLDER: Final = "find the holder before anything else; never delete the lock file"
FIND_PROCESS: Final = "find that process; the lock daemon does not know this lock"

_DAEMON: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"one guest has this disk twice",
        "the description of the guest names one file by two names",
        "remove one of the two disks from the guest",
    ),
    (
        r"Lockspace resource '.*' is locked.*, and this lock is not safe: ",
        "a guest of this host shares the disk, and its lock is lost, or is not known to be held",
        "see what 'lockd status' says of that lock; the guest can start once it is safe again",
    ),
    (
        r"Lockspace resource '.*' is locked",
        "another guest or host holds the lock of this disk",
        FIND_HOLDER,
    ),
    (
        r"Lockspace resource '.*' is not locked",
        "libvirt released a lock that no guest holds: it was lost, or was never taken",
        "'lockcfg doctor' says which guests run without their locks; 'lockd adopt' takes them",
    ),
    (
        r"owner -?\d+ does not hold the resource lock",
        "libvirt released a lock for a guest that does not hold it: another one does",
        "'lockcfg doctor' says which guest holds what",
    ),
    (
        r"Lockspace for path .* does not exist",
        "the lock daemon does not know this lockspace: it was restarted without lockd's journal",
        "restart libvirtd or virtqemud, which makes its lockspaces known",
    ),
    (
        r"Lockspace for path .* already exists",
        "libvirt made a lockspace that exists already",
        "nothing to do",
    ),
    (
        r"Lockspace location .* exists, but is not a directory",
        "a file is in the place of the lockspace",
        "correct the path in qemu-lockd.conf, or remove the file",
    ),
    (r"Unable to create lockspace", "the directory of the lockspace cannot be made", _STORAGE),
    (
        r"Unable to (?:open/create|open|create) resource",
        "the lock file, or the disk of a direct lock, cannot be opened",
        _STORAGE,
    ),
    (r"Unable to acquire lock on", "the file system refuses the lock itself", _STORAGE),
    (r"Unable to delete lockspace resource", "the lock file cannot be removed", _STORAGE),
    (r"cannot create file '", "the lock file cannot be made", _STORAGE),
    (
        r"was removed each time it had been locked",
        "another program removes the lock file again and again",
        "find that program: only the lock daemon may change a lockspace",
    ),
    (
        r"Unable to tell which disk '.*' is",
        "the description of the guest, or its disk, cannot be read",
        _STORAGE,
    ),
    (r"Unable to look for the process", "the guest's process cannot be looked for", _REPORT),
    (
        r"is .*, no lock file",
        "the file with that name is not a lock file",
        "find the program that made it, and remove it: only lock files belong in a lockspace",
    ),
    (
        (
            r"lockspace '.*' must be an absolute path|resource '.*' must be an absolute path|"
            r"resource '.*' must be the name of a file|the default lockspace already exists"
        ),
        "the lock daemon was asked for a name that cannot be one",
        "correct the path in qemu-lockd.conf or in the guest's <lease>",
    ),
    (
        r"lock owner details have not been registered|lock manager connection has been restricted",
        "a program made a call that it may not make, or made it too early",
        _CALLER,
    ),
    (
        (
            r"unsupported flags \(0x[0-9a-f]+\)|Cannot find program|unknown procedure|"
            r"Unexpected message|Unable to decode message payload"
        ),
        "two programs do not know each other's protocol",
        _VERSIONS,
    ),
    (
        r"Too many active clients: (?:admin_)?max_clients is \d+",
        "more guests run than the lock daemon accepts clients",
        "run 'lockcfg set max_clients N', with N above all guests that may run after a failure",
    ),
    (
        r"the lock daemon has logged an error of its own",
        "lockd met an error that is a defect of lockd; it continued from what it has written",
        _REPORT,
    ),
    (
        r"the guest to adopt is invalid|pid \d+\) has ended",
        "'lockd adopt' was called for a guest that has ended",
        "nothing to do: a guest that has ended writes nothing",
    ),
    (
        r"operation forbidden: Disallowing client|Disallowing client -?\d+ with uid",
        "a user connected without permission",
        "only the user that the daemon runs as may connect",
    ),
    (
        (
            r"No (?:server named|client with matching ID) '|no (?:server|client) with matching |"
            r"parameter '?\S+ (?:not supported|occurs multiple times|too big for destination)|"
            r"parameter '.*' (?:not supported|occurs multiple times)|"
            r"(?:min|max)Workers (?:cannot|must)|no tls service found|"
            r"No identity information available|Unable to retrieve threadpool parameters|"
            r"Too many (?:servers|clients) '"
        ),
        "a call of virt-admin was refused",
        _ADMIN,
    ),
    (
        r"DISK IN DANGER|was not kept",
        "a guest runs, and its lock is lost or cannot be confirmed",
        "stop the guest if another host may have its disk; 'lockd locks' tells which locks",
    ),
)

_PLUGIN: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"Read/write, exclusive access, disks were present, but no leases specified",
        "require_lease_for_disks is 1, and the guest has a disk and no <lease>",
        "give it a <lease>, or run 'lockcfg set auto_disk_leases 1 require_lease_for_disks 0'",
    ),
    (
        (
            r"Missing path or lockspace for lease|Offset must be zero for this lock manager|"
            r"Unexpected parameter .* for lease resource|Unexpected parameters for disk resource"
        ),
        "the <lease> of the guest has a field that the lockd plugin refuses",
        "a <lease> needs <lockspace>, <key> and <target path='…'/> without an offset",
    ),
    (
        (
            r"Missing (?:ID|PID|name|UUID) parameter for domain object|"
            r"Unexpected parameter .* for object|Unknown lock manager object type"
        ),
        "libvirt and its lockd plugin are of two releases",
        _VERSIONS,
    ),
    (
        r"Unable to access config.file",
        "qemu-lockd.conf cannot be read",
        "'lockcfg validate' tells more",
    ),
    (
        (
            r"Failed to connect socket to '[^']*virtlockd-sock'|virtlockd-sock.*"
            r"(?:No such file|Connection refused)|Cannot find .*virtlockd"
        ),
        "libvirt does not reach the lock daemon",
        "start virtlockd.socket; 'lockcfg doctor' says what else is wrong",
    ),
    (
        r"(?:Trying to find|Got) an (?:LVM UUID|SCSI ID)|Using (?:in)?direct lease",
        "the plugin tells in the log how it names the lock of a disk",
        "nothing to do",
    ),
)

_QEMU: Final[tuple[tuple[str, str, str], ...]] = (
    (
        r"Failed to get (?:shared )?(?:\"|')?[\w -]+(?:\"|')? lock|Failed to lock byte \d+",
        "QEMU itself refused: another QEMU, or qemu-img, has this image open",
        FIND_PROCESS,
    ),
    (
        r"Is another process using the image",
        "QEMU itself refused: another QEMU, or qemu-img, has this image open",
        FIND_PROCESS,
    ),
    (
        r"Failed to unlock byte \d+|Failed to check byte \d+",
        "the file system refuses QEMU's own image locks",
        _STORAGE,
    ),
)

#: All of them, the most telling first.
TEXTS: Final[tuple[KnownText, ...]] = (
    *(KnownText(pattern, "lock-daemon", means, advice) for pattern, means, advice in _DAEMON),
    *(KnownText(pattern, "plugin", means, advice) for pattern, means, advice in _PLUGIN),
    *(KnownText(pattern, "qemu", means, advice) for pattern, means, advice in _QEMU),
)


def texts_in(text: str) -> list[KnownText]:
    """The known texts in what a person has pasted, each once."""
    found = {each.means: each for each in reversed(TEXTS) if each.pattern.search(text)}
    return [each for each in TEXTS if found.get(each.means) is each]
