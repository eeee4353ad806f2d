"""Edits of a host's configuration: several settings, several files, all or nothing."""

from __future__ import annotations

from lockcfg.conf.edit import set_value, unset
from lockcfg.conf.files import kinds_of
from lockcfg.conf.save import Write, save
from lockcfg.conf.settings import settings_of
from lockcfg.errors import ConfSyntaxError, RefusedError, UsageError, WriteError
from lockcfg.findings import Finding
from lockcfg.frozen import Frozen
from lockcfg.host.host import LOCKSPACE_KEYS, Configuration
from lockcfg.host.installed import libvirt_release
from lockcfg.host.lacking import lacking
from lockcfg.host.protection import leaves_disks, locks_disks
from lockcfg.rooted import below, make_directories
from lockcfg.rules import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Document, Value
    from lockcfg.conf.files import FileKind, Role
    from lockcfg.host.host import Host


class Change(Frozen):
    """One file before and after."""

    __slots__ = ("after", "before")

    def __init__(self, before: Document, after: Document) -> None:
        self.before: Final = before
        self.after: Final = after


class Transaction:
    """Edits that are decided on together and written together.

    Nothing is written before :meth:`commit`. Use one for each set of edits: it remembers what
    the files were when it first read them, and refuses to write over a later change.

        edit = Transaction(Host())
        edit.set("lock_manager", "lockd")
        edit.set("file_lockspace_dir", "/srv/locks")
        edit.commit()

    ``unprotected`` says that a host left without protection is what is wanted.
    """

    def __init__(self, host: Host, *, unprotected: bool = False) -> None:
        self.host = host
        self._unprotected_is_fine = unprotected
        self._release = libvirt_release(host.root)
        self._before: dict[str, Document] = {}
        self._after: dict[str, Document] = {}
        self._edited: set[str] = set()

    def set(self, key: str, value: Value, kind: FileKind | None = None) -> None:
        """Set ``key`` to ``value``, in the file of ``kind``, else in the one it belongs in.

        Raises :class:`UnknownKeyError`, and as :func:`lockcfg.load_file` does.
        """
        kind = kind or self.host.kind_of(key)
        self._after[kind.name] = set_value(self.document(kind), key, value)
        self._edited.add(key)

    def unset(self, key: str, kind: FileKind | None = None) -> None:
        """Take ``key`` out of its file, so that libvirt's default holds."""
        kind = kind or self.host.kind_of(key)
        self._after[kind.name] = unset(self.document(kind), key)
        self._edited.add(key)

    def document(self, kind: FileKind) -> Document:
        """The file of a kind as it would be written now."""
        if kind.name not in self._after:
            document = self.host.load(kind)
            self._before[kind.name] = self._after[kind.name] = document
        return self._after[kind.name]

    @property
    def changes(self) -> tuple[Change, ...]:
        """The files that differ, in the order in which they are written.

        Whoever is killed between two of them leaves a host that is no less protected than
        before or after: lock_manager is switched on last and switched off first.
        """
        changed = [
            Change(before, self._after[name])
            for name, before in self._before.items()
            if before.text != self._after[name].text
        ]
        if len(changed) > 1:
            off = not locks_disks(self.configuration())
            changed.sort(key=lambda change: (change.after.kind.role == "driver") != off)
        return tuple(changed)

    def configuration(self, *, before: bool = False) -> Configuration:
        """What would hold after the edits (or did ``before`` them)."""
        documents: dict[Role, Document] = {}
        for kind in kinds_of(self.host.driver):
            self.document(kind)
            documents[kind.role] = (self._before if before else self._after)[kind.name]
        return Configuration(self.host.driver, documents)

    def objections(self) -> list[Finding]:
        """Why the result would stop a daemon or protect nothing; empty where it is fine.

        An edit that mends some of a file's errors and not all of them passes.
        """
        changes = self.changes
        found: list[Finding] = []
        for change in changes:
            errors = [f for f in check(change.after, self._release) if f.severity == "error"]
            errors_before = [
                f for f in check(change.before, self._release) if f.severity == "error"
            ]
            if errors and len(errors) >= len(errors_before):
                found.extend(errors)
            # Some values libvirt starts with, and they do nothing good: not by our hand.
            found.extend(
                f
                for f in check(change.after, self._release)
                if f.rule == "bad-value" and f.severity != "error" and f.key in self._edited
            )
        if self.host.is_this_one:
            found.extend(
                f
                for change in changes
                for f in lacking(change.after)
                if f.key in self._edited or f not in lacking(change.before)
            )
        daemon_only = all(change.after.kind.role == "daemon" for change in changes)
        if not found and not daemon_only and not self._unprotected_is_fine:
            found.extend(self._unprotected())
        return found

    def _unprotected(self) -> list[Finding]:
        """The finding that the edits leave the host without protection, by what they set."""
        before, after = self.configuration(before=True), self.configuration()
        if locks_disks(after):
            return []
        if leaves_disks(after) and self._edited & {"auto_disk_leases", "require_lease_for_disks"}:
            return [
                self._objection(
                    after,
                    "lockd",
                    "auto_disk_leases",
                    "with auto_disk_leases and require_lease_for_disks both 0, guests start"
                    " without any lock",
                    "leave one of the two at 1",
                )
            ]
        switched_off = "lock_manager" in self._edited and after.documents["driver"].get(
            "lock_manager"
        )
        if after.lock_manager == "nop" and (switched_off or locks_disks(before)):
            return [
                self._objection(
                    after,
                    "driver",
                    "lock_manager",
                    "without a lock manager, guests start without any lock",
                    "if that is what you want, say 'lockcfg disable'",
                )
            ]
        return []

    def _objection(
        self, after: Configuration, role: Role, key: str, message: str, help: str
    ) -> Finding:
        document = after.documents[role]
        entry = document.get(key)
        place = document.place_of(entry) if entry else None
        return Finding(
            "protects-nothing",
            "error",
            message,
            path=document.path,
            place=place,
            key=key,
            help=help,
        )

    def warnings(self) -> list[Finding]:
        """What the result does not do, though it is no reason to refuse it."""
        found = [
            finding
            for change in self.changes
            for finding in check(change.after, self._release)
            if finding.severity == "warning"
            and finding.key in self._edited
            and finding.rule != "bad-value"
        ]
        if self._unprotected_is_fine or not self._edited & {
            "lock_manager",
            "auto_disk_leases",
            *LOCKSPACE_KEYS,
        }:
            return found
        after = self.configuration()
        driver = after.documents["driver"]
        lockd = after.documents["lockd"]
        if after.lock_manager == "nop" and self._edited & set(LOCKSPACE_KEYS):
            found.append(
                Finding(
                    "protects-nothing",
                    "warning",
                    f"nothing is locked yet: {driver.kind.name} sets no lock_manager",
                    path=driver.path,
                    key="lock_manager",
                    help="say 'lockcfg set lock_manager lockd', or 'lockcfg enable'",
                )
            )
        spaces = [key for key in LOCKSPACE_KEYS if after.lockspace(key)]
        if spaces and not after.auto_disk_leases:
            found.append(
                Finding(
                    "dead-lockspace",
                    "warning",
                    f"{' and '.join(spaces)} is not used while auto_disk_leases is 0",
                    path=lockd.path,
                    key="auto_disk_leases",
                    help="say 'lockcfg unset auto_disk_leases'",
                )
            )
        return found

    def commit(self, *, force: bool = False, backup: str | None = None) -> tuple[Change, ...]:
        """Write what has changed, and say what that was; nothing where nothing has.

        Raises :class:`RefusedError` for :meth:`objections`, unless ``force``, and what
        :func:`lockcfg.conf.save.save` does. ``backup`` is a suffix to keep the old files under.
        """
        changes = self.changes
        objections = self.objections()
        if objections and not force:
            raise RefusedError(
                "refused: nothing was written", objections, help="--force writes it anyway"
            )
        if changes:
            if self.host.session:
                _make_session_directory(self.host)
            root = self.host.root
            save([_write(change, root) for change in changes], backup=backup)
        return changes


def value_of(key: str, text: str, kind: FileKind, path: str) -> Value:
    """The value that a person means by ``text`` for ``key``.

    An integer for a setting that takes one, a list for ``[ "…", "…" ]`` in libvirt's own
    syntax, else a string. Raises :class:`UsageError` for a list that cannot be read.
    """
    from lockcfg.conf.load import parse

    setting = settings_of(kind).get(key)
    digits = text[1:] if text[:1] in ("+", "-") else text
    is_integer = digits.isascii() and digits.isdigit()
    if is_integer and (setting is None or setting.takes_integer):
        return int(text[:100])
    if text.startswith("[") and (setting is None or setting.takes_list):
        try:
            entry = parse(f"{key} = {text}\n".encode(), kind, path).get(key)
        except (ConfSyntaxError, UnicodeEncodeError) as error:
            reason = error.reason if isinstance(error, ConfSyntaxError) else "not UTF-8"
            raise UsageError(
                f"cannot read the list for '{key}': {reason}",
                help='write it as libvirt does: [ "first", "second" ]',
            ) from None
        if entry is not None:
            return entry.value
    if setting is not None and setting.takes_list and not setting.takes_string:
        return (text,)
    return text


def _write(change: Change, root: str) -> Write:
    after = change.after
    return Write(after.path, change.before.text, after.text or b"", after.kind.mode, root=root)


def _make_session_directory(host: Host) -> None:
    """An unprivileged user's libvirt makes its directory when it first needs it; so do we."""
    try:
        make_directories(host.root, below(host.root, host.directory), 0o700)
    except OSError as error:
        raise WriteError(host.directory, f"cannot be made: {error.strerror}") from error
