"""Edits of a host's configuration: several settings, several files, all or nothing."""

from __future__ import annotations

from lockcfg.change.managed import managed
from lockcfg.change.verdict import start_errors, verdict_on
from lockcfg.conf.edit import set_value, unset
from lockcfg.conf.files import kinds_of
from lockcfg.conf.save import Write, save
from lockcfg.conf.settings import settings_of, spell
from lockcfg.errors import ChangedError, ConfSyntaxError, RefusedError, UsageError, WriteError
from lockcfg.findings import Finding
from lockcfg.frozen import Frozen
from lockcfg.host.host import LOCKSPACE_KEYS, Configuration, look_at_host
from lockcfg.host.installed import libvirt_release
from lockcfg.host.lacking import lacking
from lockcfg.host.parts import missing_parts
from lockcfg.host.protection import leaves_disks, locks_disks
from lockcfg.rooted import below, make_directories
from lockcfg.rules import check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Document, Value
    from lockcfg.conf.files import FileKind, Role
    from lockcfg.host.host import Host
    from lockcfg.host.protection import Protection


#: The settings that decide whether disks are locked, and those that decide where.
_LOCKING: Final = frozenset(("lock_manager", "auto_disk_leases", "require_lease_for_disks"))
_SPACES: Final = frozenset(LOCKSPACE_KEYS)

#: Values with which libvirt starts but which do not do what they say: no edit writes them.
_NOT_BY_OUR_HAND: Final = (
    "wrong-type",
    "bad-value",
    "integer-overflow",
    "wrong-file",
    "quotes-in-value",
    "list-in-string",
)


#: How often to make an edit again in files that another program has changed in the meantime.
_TRIES: Final = 200


class Change(Frozen):
    """One file before and after."""

    __slots__ = ("after", "before")

    def __init__(self, before: Document, after: Document) -> None:
        self.before: Final = before
        self.after: Final = after


class Transaction:
    """Edits that are decided on together and written together.

    Nothing is written before :meth:`commit`. Use one for each set of edits: it remembers what the
    settings that it edits were when it first read them, and refuses to write over a later change of
    one of these. Other changes that were made in the meantime stay.

        edit = Transaction(Host())
        edit.set("lock_manager", "lockd")
        edit.set("file_lockspace_dir", "/srv/locks")
        edit.commit()

    ``unprotected`` tells that leaving the host without protection is intended.
    """

    def __init__(self, host: Host, *, unprotected: bool = False) -> None:
        self.host = host
        self._unprotected_is_fine = unprotected
        self._release = libvirt_release(host.root)
        self._before: dict[str, Document] = {}
        self._after: dict[str, Document] = {}
        self._edited: set[str] = set()
        self._set: set[str] = set()
        #: Every edit, in order; None takes the setting out.
        self._edits: list[tuple[FileKind, str, Value | None]] = []

    def set(self, key: str, value: Value, kind: FileKind | None = None) -> None:
        """Set ``key`` to ``value``, in the file of ``kind``, else in the one it belongs in.

        Raises :class:`UnknownKeyError`, and as :func:`lockcfg.load_file` does.
        """
        kind = kind or self.host.kind_of(key)
        self._edit(kind, key, value)
        self._set.add(key)

    def unset(self, key: str, kind: FileKind | None = None) -> None:
        """Take ``key`` out of its file, so that libvirt's default holds."""
        kind = kind or self.host.kind_of(key)
        self._edit(kind, key, None)

    def _edit(self, kind: FileKind, key: str, value: Value | None) -> None:
        document = self.document(kind)
        self._after[kind.name] = (
            unset(document, key) if value is None else set_value(document, key, value)
        )
        self._edited.add(key)
        self._edits.append((kind, key, value))

    def _read_again(self) -> None:
        """Read the files again and make the edits in their current text. Raises
        :class:`ChangedError` if a setting that is edited here has changed."""
        before, edits = self._before, self._edits
        self._before, self._after, self._edits = {}, {}, []
        for kind, key, value in edits:
            self.document(kind)
            old, new = before[kind.name], self._before[kind.name]
            was, now = old.get(key), new.get(key)
            what = ""
            if old.exists and not new.exists:
                what = "was removed"
            elif (was and was.value) != (now and now.value):
                what = f"'{key}' was changed by another program"
            if what:
                raise ChangedError(
                    self.host.path(kind),
                    f"{what} in the meantime; nothing was written",
                    help="check the new value and try again",
                )
            self._edit(kind, key, value)

    def document(self, kind: FileKind) -> Document:
        """The file of a kind as it would be written now."""
        if kind.name not in self._after:
            document = self.host.load(kind)
            self._before[kind.name] = self._after[kind.name] = document
        return self._after[kind.name]

    @property
    def changes(self) -> tuple[Change, ...]:
        """The files that differ, in the order in which they are written.

        A process that is killed between two of them leaves a host that is no less protected than
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
        """The configuration after the edits, or ``before`` them."""
        documents: dict[Role, Document] = {}
        for kind in kinds_of(self.host.driver):
            self.document(kind)
            documents[kind.role] = (self._before if before else self._after)[kind.name]
        return Configuration(self.host.driver, documents)

    def protection(self) -> Protection:
        """The verdict on the host with the edits: what is protected, and against whom."""
        files = look_at_host(self.host)
        for kind in kinds_of(self.host.driver):
            if kind.name in self._after:
                files[kind.role] = self._after[kind.name]
        return verdict_on(self.host, files)

    def objections(self) -> list[Finding]:
        """Why the result would stop a daemon or protect nothing; empty if it is fine.

        An edit that mends some of a file's errors and not all of them passes.
        """
        changes = self.changes
        found: list[Finding] = []
        for change in changes:
            after = check(change.after, self._release)
            errors = [f for f in after if f.severity == "error"]
            errors_before = [
                f for f in check(change.before, self._release) if f.severity == "error"
            ]
            if errors and len(errors) >= len(errors_before):
                found.extend(errors)
            # libvirt starts with some values that do harm: lockcfg does not write them.
            found.extend(
                f
                for f in after
                if f.rule in _NOT_BY_OUR_HAND and f.severity != "error" and f.key in self._set
            )
        if self.host.is_this_one:
            found.extend(
                f
                for change in changes
                for f in lacking(change.after)
                if f.key in self._edited or f not in lacking(change.before)
            )
        daemon_only = bool(changes) and all(c.after.kind.role == "daemon" for c in changes)
        if not found and not daemon_only and not self._unprotected_is_fine:
            found.extend(self._unprotected())
        if not found and self._turns_on:
            found.extend(self._in_the_way())
        return found

    @property
    def _turns_on(self) -> bool:
        """Whether the edits switch a lock manager on."""
        return "lock_manager" in self._set and self.configuration().lock_manager != "nop"

    def _in_the_way(self) -> list[Finding]:
        """What prevents the lock manager that the edits name from protecting anything, in files
        that they do not change and on the host itself."""
        before, after = self.configuration(before=True), self.configuration()
        changed = {change.after.kind.role for change in self.changes}
        found = [
            finding
            for document in after.in_use()
            if document.kind.role not in changed
            for finding in start_errors(document, self._release)
        ]
        manager, driver = after.lock_manager, after.documents["driver"]
        found += missing_parts(self.host, driver)
        if before.lock_manager not in ("nop", manager):
            found.append(
                self._objection(
                    after,
                    "driver",
                    "lock_manager",
                    f"{before.lock_manager} locks the disks of this host: with {manager} its"
                    f" guests and those of the hosts that stay with {before.lock_manager} no"
                    " longer exclude each other",
                    "change all hosts that share disks while no guest runs on any, with --force",
                    rule="other-lock-manager",
                )
            )
        return found

    def _unprotected(self) -> list[Finding]:
        """The finding that the edits leave the host without protection, by the settings that they
        change."""
        locking = self._edited & _LOCKING
        if not locking:
            return []
        before, after = self.configuration(before=True), self.configuration()
        if locks_disks(after):
            return []
        if after.lock_manager == "sanlock":
            return [
                self._objection(
                    after,
                    "sanlock",
                    "auto_disk_leases",
                    "with sanlock's auto_disk_leases and require_lease_for_disks both 0, guests"
                    " start without any lock",
                    "leave one of the two at 1",
                )
            ]
        if leaves_disks(after) and (after.lock_manager == "lockd" or locking - {"lock_manager"}):
            advice = "leave one of the two at 1"
            if locking == {"lock_manager"}:
                advice = "say 'lockcfg enable', which sets auto_disk_leases = 1 as well"
            return [
                self._objection(
                    after,
                    "lockd",
                    "auto_disk_leases",
                    "with auto_disk_leases and require_lease_for_disks both 0, guests start"
                    " without any lock",
                    advice,
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
        self,
        after: Configuration,
        role: Role,
        key: str,
        message: str,
        help: str,
        *,
        rule: str = "protects-nothing",
    ) -> Finding:
        document = after.documents[role]
        entry = document.get(key)
        place = document.place_of(entry) if entry else None
        return Finding(
            rule,
            "error",
            message,
            path=document.path,
            place=place,
            key=key,
            help=help,
        )

    def warnings(self) -> list[Finding]:
        """What the result does not achieve, although that is no reason to refuse it."""
        found = [
            finding
            for change in self.changes
            for finding in check(change.after, self._release)
            if finding.severity == "warning"
            and finding.key in self._edited
            and (finding.rule not in _NOT_BY_OUR_HAND or finding.key not in self._set)
        ]
        found += [each for change in self.changes if (each := managed(change.before)) is not None]
        if self._unprotected_is_fine or not self._edited & _LOCKING | self._edited & _SPACES:
            return found
        after = self.configuration()
        driver = after.documents["driver"]
        lockd = after.documents["lockd"]
        if after.lock_manager == "nop" and self._set & (_SPACES | _LOCKING - {"lock_manager"}):
            found.append(
                Finding(
                    "protects-nothing",
                    "warning",
                    f"no disk is locked yet: {driver.kind.name} sets no lock_manager",
                    path=driver.path,
                    key="lock_manager",
                    help="say 'lockcfg set lock_manager lockd', or 'lockcfg enable'",
                )
            )
        if after.lock_manager == "sanlock":
            changed = [change.after for change in self.changes if change.after.kind.role == "lockd"]
            return found + [
                Finding(
                    "lockd-not-in-use",
                    "warning",
                    f"lock_manager is sanlock: {document.kind.name} has no effect",
                    path=document.path,
                    help=f"sanlock's settings are in {driver.kind.name[:-5]}-sanlock.conf: say"
                    f" --file {driver.kind.name[:-5]}-sanlock.conf",
                )
                for document in changed
            ]
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
        if after.lock_manager == "lockd" and not (after.auto_disk_leases or leaves_disks(after)):
            found.append(
                Finding(
                    "leases-only",
                    "warning",
                    "disks are not locked themselves while auto_disk_leases is 0: guests with"
                    " writable disks and no <lease> do not start",
                    path=lockd.path,
                    key="auto_disk_leases",
                    help="say 'lockcfg set auto_disk_leases 1', unless every guest has <lease>"
                    " elements",
                )
            )
        return found

    def commit(self, *, force: bool = False, backup: str | None = None) -> tuple[Change, ...]:
        """Write the files that have changed. Returns the changes; empty if there are none.

        Raises :class:`RefusedError` for :meth:`objections`, unless ``force``, and what
        :func:`lockcfg.conf.save.save` does. ``backup`` is a suffix to keep the old files under.
        """
        for left in reversed(range(_TRIES)):
            changes = self.changes
            objections = self.objections()
            if objections and not force:
                raise RefusedError(
                    "refused: nothing was written", objections, help="--force writes it anyway"
                )
            try:
                self._save(changes, backup)
                break
            except ChangedError:
                # Another writer was faster; each of them succeeds in the end.
                if not left:
                    raise
                self._read_again()
        return changes

    def _save(self, changes: tuple[Change, ...], backup: str | None) -> None:
        if not changes:
            return
        if self.host.session:
            _make_session_directory(self.host)
        save([_write(change, self.host.root) for change in changes], backup=backup)


def value_of(key: str, text: str, kind: FileKind, path: str) -> Value:
    """The value that a person means by ``text`` for ``key``.

    An integer for a setting that takes one, a list for ``[ "…", "…" ]`` in libvirt's own syntax,
    else a string; quotes around it are those of the file's syntax, and no part of it. Raises
    :class:`UsageError` for text that cannot be read so, and for a list written as a string.
    """
    from lockcfg.conf.load import parse
    from lockcfg.conf.meant import QUOTES, parts_of, unquoted

    setting = settings_of(kind).get(key)
    inner = unquoted(text)
    if inner is not None:
        if setting is None or (setting.takes_string and setting.objection(inner, "") is None):
            return inner
        text = inner
    elif (text[:1] in QUOTES or text[-1:] in QUOTES.values()) and not (setting and setting.secret):
        raise UsageError(
            f"the value of '{key}' has a quote at one end and none at the other",
            help=f"leave the quotes out: lockcfg set {key} VALUE",
        )
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
    if setting is not None and setting.takes_list:
        if parts := parts_of(text):
            raise UsageError(
                f"'{key}' takes a list, and this is one string with {len(parts)} elements in it",
                help=f"say: lockcfg set {key} '{spell(parts)}'",
            )
        if not setting.takes_string:
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
