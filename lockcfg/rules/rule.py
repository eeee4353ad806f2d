"""What a rule is, and what it is given to look at.

A rule is a module of this package. Its docstring is its manual, under fixed headings; ``RULE``
says what it is called; ``check(subject, options)`` yields what it finds. A rule does no I/O:
whatever it needs to know of the world is in its subject.
"""

from __future__ import annotations

import os

from lockcfg.conf.document import Span, decode
from lockcfg.findings import Finding
from lockcfg.frozen import Frozen
from lockcfg.host.installed import NEWEST

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final, Literal

    from lockcfg.conf.document import Document, Entry
    from lockcfg.conf.files import Grammar, Role
    from lockcfg.findings import Severity
    from lockcfg.host.host import Configuration

    #: file: one document. host: the files of one host together. repository: all hosts.
    #: run: what the linter itself finds out about waivers and baselines.
    #: alike: hosts of a fleet that are alike. fleet: all of a fleet (:mod:`lockcfg.fleet`).
    Scope = Literal["file", "host", "repository", "run", "alike", "fleet"]

    #: safe: means the same to libvirt, or what was plainly meant. unsafe: a person should look.
    Safety = Literal["safe", "unsafe"]


class Rule(Frozen):
    """A rule's stable code (``LK102``), its slug, and how bad what it finds is by default.

    ``validates`` rules are those of ``lockcfg validate``: would libvirt start, and read what
    is written? ``fix`` is the safety of the fix it may offer, or None. A rule of a host ``needs``
    the files of these roles: where one of them is there and was not read, it does not run, as what
    it would say may rest on the absence of what is there. A rule of a file is about those
    that are written in one of its ``grammars``.
    """

    __slots__ = ("code", "fix", "grammars", "name", "needs", "scope", "severity", "validates")

    def __init__(
        self,
        code: str,
        name: str,
        severity: Severity,
        *,
        scope: Scope = "file",
        fix: Safety | None = None,
        validates: bool = False,
        needs: tuple[Role, ...] = ("driver", "lockd", "daemon"),
        grammars: tuple[Grammar, ...] = ("libvirt",),
    ) -> None:
        self.grammars: Final = grammars
        self.needs: Final = needs
        self.code: Final = code
        self.name: Final = name
        self.severity: Final = severity
        self.scope: Final = scope
        self.fix: Final = fix
        self.validates: Final = validates


class RuleInfo(Frozen):
    """What a reporter needs to know of a rule: ``url`` is where its manual is."""

    __slots__ = ("code", "name", "severity", "summary", "url")

    def __init__(self, code: str, name: str, severity: str, summary: str, url: str) -> None:
        self.code: Final = code
        self.name: Final = name
        self.severity: Final = severity
        self.summary: Final = summary
        self.url: Final = url


class Options(Frozen):
    """What the rules know besides the files.

    ``libvirt_version`` is the libvirt that the files are for, as a tuple such as ``(9, 0, 0)``, or
    None if unknown; ``installed`` the one that then reads them; ``guests`` the largest number of
    guests on a host, ``spare_guests`` how many more come over when others fail;
    ``descriptor_limit`` how many files virtlockd may have open, by default what its systemd unit
    says; ``image_directories`` where disk images are kept; ``groups`` the globs of host directories
    that should be alike, by name of the group.
    """

    __slots__ = (
        "descriptor_limit",
        "groups",
        "guests",
        "image_directories",
        "installed",
        "libvirt_version",
        "spare_guests",
    )

    def __init__(
        self,
        *,
        libvirt_version: tuple[int, ...] | None = None,
        installed: tuple[int, ...] = NEWEST,
        guests: int | None = None,
        spare_guests: int = 0,
        descriptor_limit: int | None = None,
        image_directories: Sequence[str] = ("/var/lib/libvirt/images",),
        groups: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        self.libvirt_version: Final = libvirt_version
        self.installed: Final = installed
        self.guests: Final = guests
        self.spare_guests: Final = spare_guests
        self.descriptor_limit: Final = descriptor_limit
        self.image_directories: Final = tuple(image_directories)
        self.groups: Final = dict(groups or {})

    @property
    def release(self) -> tuple[int, ...]:
        """The release of the libvirt that reads the files."""
        return self.libvirt_version or self.installed

    @property
    def release_text(self) -> str:
        """The same in words: ``9.0.0``."""
        return ".".join(map(str, self.release))

    @property
    def descriptors(self) -> int:
        """How many files virtlockd may have open: libvirt's unit has 40960 in 9.0, and as much as
        systemd gives in 11.3. Where between them that changed is not known here."""
        if self.descriptor_limit is not None:
            return self.descriptor_limit
        return 524288 if self.release >= (11, 3) else 40960


class FileSubject:
    """One file. A rule asks for its permission bits (:attr:`mode`) and whether version control
    has it (:attr:`tracked`) as late as it can: the engine looks both up for the files of which
    a rule ``asked``, and for no others."""

    __slots__ = ("_mode", "_tracked", "asked", "document")

    def __init__(
        self, document: Document, *, mode: int | None = None, tracked: bool | None = None
    ) -> None:
        self.document: Final = document
        self.asked = False
        self._mode: Final = mode
        self._tracked: Final = tracked

    @property
    def mode(self) -> int | None:
        """The permission bits of the file; None if they are not known."""
        self.asked = True
        return self._mode

    @property
    def tracked(self) -> bool | None:
        """Whether version control has the file; None if that is not known."""
        self.asked = True
        return self._tracked


class HostSubject(Frozen):
    """The files of one host together: a directory that holds the driver's own file."""

    __slots__ = ("configuration", "directory")

    def __init__(self, directory: str, configuration: Configuration) -> None:
        self.directory: Final = directory
        self.configuration: Final = configuration


class HostFiles(Frozen):
    """The files of one host, as a repository of many holds them.

    ``documents`` are those that are there, by the name of their kind; None is one that cannot be
    read or parsed, or is a template. Of 10,000 hosts most have the same contents, and one document
    then stands for all files with its content: compare documents by identity, which is the same
    and costs nothing, and take paths from here, as a document knows only one of its own.
    """

    __slots__ = ("directory", "documents")

    def __init__(self, directory: str, documents: Mapping[str, Document | None]) -> None:
        self.directory: Final = directory
        self.documents: Final = documents

    def path(self, name: str) -> str:
        """Where the host's file of the kind called ``name`` is."""
        return os.path.join(self.directory, name)

    @property
    def host(self) -> str:
        """The host's own directory, without the tail that is the same for every host.

        ``hosts/kvm01`` for ``hosts/kvm01/etc/libvirt``; empty where nothing else is there.
        """
        directory = self.directory.rstrip("/")
        while directory:
            parent, _, name = directory.rpartition("/")
            if name not in _TAIL:
                return directory
            directory = parent
        return ""

    @property
    def name(self) -> str:
        """The name of the host, as its directory is called; empty where it has none."""
        return self.host.rpartition("/")[2]


#: What the directories between a host's own and libvirt's are called.
_TAIL: Final = frozenset(
    (".", "config", "etc", "files", "fs", "libvirt", "overlay", "root", "rootfs", "usr", "")
)


class RepositorySubject(Frozen):
    """All hosts of a repository, in any order."""

    __slots__ = ("hosts",)

    def __init__(self, hosts: Sequence[HostFiles]) -> None:
        self.hosts: Final = tuple(hosts)

    def groups(self, options: Options) -> dict[str, tuple[HostFiles, ...]]:
        """The hosts of each group that the settings name. A glob matches a host's directory
        or one above it; a host may be in several groups."""
        from fnmatch import fnmatchcase

        return {
            name: tuple(
                host
                for host in self.hosts
                if any(
                    fnmatchcase(host.directory, glob) or fnmatchcase(host.directory, f"{glob}/*")
                    for glob in globs
                )
            )
            for name, globs in options.groups.items()
        }


class Replacement(Frozen):
    """Text that takes the place of the bytes of ``span``."""

    __slots__ = ("span", "text")

    def __init__(self, span: Span, text: str) -> None:
        self.span: Final = span
        self.text: Final = text


class Fix(Frozen):
    """How to fix a finding: what it does in words, and the replacements, in order."""

    __slots__ = ("description", "replacements", "safety")

    def __init__(self, safety: Safety, description: str, *replacements: Replacement) -> None:
        self.safety: Final = safety
        self.description: Final = description
        self.replacements: Final = replacements


class RuleFinding(Frozen):
    """What a rule found, and how it could be fixed, or None."""

    __slots__ = ("finding", "fix")

    def __init__(self, finding: Finding, fix: Fix | None = None) -> None:
        self.finding: Final = finding
        self.fix: Final = fix


def at_key(
    rule: Rule,
    document: Document,
    entry: Entry,
    message: str,
    *,
    help: str = "",
    severity: Severity | None = None,
) -> Finding:
    """A finding about the name of a setting."""
    return _finding(rule, document, entry, entry.key_span, message, help, severity)


def at_value(
    rule: Rule,
    document: Document,
    entry: Entry,
    message: str,
    *,
    help: str = "",
    severity: Severity | None = None,
) -> Finding:
    """A finding about the value of a setting."""
    return _finding(rule, document, entry, entry.value_span, message, help, severity)


def about_file(rule: Rule, document: Document, message: str, *, help: str = "") -> Finding:
    """A finding about a file as a whole."""
    return Finding(rule.name, rule.severity, message, path=document.path, help=help)


def _finding(
    rule: Rule,
    document: Document,
    entry: Entry,
    span: Span,
    message: str,
    help: str,
    severity: Severity | None,
) -> Finding:
    return Finding(
        rule.name,
        severity or rule.severity,
        message,
        path=document.path,
        place=document.place(span),
        key=entry.key,
        help=help,
    )


def whole_line(document: Document, entry: Entry) -> Replacement:
    """The removal of a setting, with its line where it has the line for itself."""
    from lockcfg.conf.edit import statement_span

    return Replacement(statement_span(document.text or b"", entry), "")


def text_of(document: Document, span: Span) -> str:
    """The text of a stretch of a document."""
    return decode((document.text or b"")[span.start : span.end])
