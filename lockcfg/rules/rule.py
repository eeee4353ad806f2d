"""What a rule is, and what it looks at.

A rule is a module of this package. Its docstring is its manual, under fixed headings; ``RULE`` has
its code and name; ``check(subject, options)`` yields its findings. A rule does no I/O: its subject
has everything that it needs to know.
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
    from lockcfg.conf.guest import Guest
    from lockcfg.findings import Severity
    from lockcfg.host.host import Configuration

    #: file: one document. host: the files of one host together. repository: all hosts. run: the
    #: waivers and the baseline, which the linter itself checks. alike: hosts of a fleet that are
    #: alike. fleet: the whole fleet (:mod:`lockcfg.fleet`).
    Scope = Literal["file", "host", "repository", "run", "alike", "fleet"]

    #: safe: the file means the same to libvirt, or what its author plainly meant. unsafe: a person
    #: should check it.
    Safety = Literal["safe", "unsafe"]


class Rule(Frozen):
    """A rule: its stable code (``LK102``), its slug, and its default severity.

    ``lockcfg validate`` runs the rules with ``validates``: would libvirt start, and read what is
    written? ``fix`` is the safety of the fix that the rule may offer, or None. A rule of a host
    ``needs`` the files of these roles. If one of them exists and was not read, the rule does not
    run, as it would take settings of that file for absent. A rule of a file is about files in one
    of its ``grammars``.
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
    """What a reporter needs to know about a rule; ``url`` is the address of its manual."""

    __slots__ = ("code", "name", "severity", "summary", "url")

    def __init__(self, code: str, name: str, severity: str, summary: str, url: str) -> None:
        self.code: Final = code
        self.name: Final = name
        self.severity: Final = severity
        self.summary: Final = summary
        self.url: Final = url


class Options(Frozen):
    """What the rules know in addition to the files.

    ``libvirt_version`` is the release of libvirt that the files are for, as a tuple such as ``(9,
    0, 0)``, or None if unknown; then the release ``installed`` reads them. ``guests`` is the
    largest number of guests on a host, and ``spare_guests`` how many more come over when other
    hosts fail. ``descriptor_limit`` is how many files virtlockd may have open, by default what its
    systemd unit says. ``image_directories`` have the disk images. ``groups`` are the globs of host
    directories that should be alike, by the name of the group.
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
        """The release as text: ``9.0.0``."""
        return ".".join(map(str, self.release))

    @property
    def descriptors(self) -> int:
        """How many files virtlockd may have open: libvirt's unit sets 40960 in 9.0, and what
        systemd gives in 11.3. lockcfg does not know which release between them changed it."""
        if self.descriptor_limit is not None:
            return self.descriptor_limit
        return 524288 if self.release >= (11, 3) else 40960


class FileSubject:
    """One file. A rule asks as late as possible for its permission bits (:attr:`mode`) and whether
    version control has it (:attr:`tracked`): the engine looks both up only for files of which a
    rule ``asked``."""

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
        """The permission bits of the file; None if unknown."""
        self.asked = True
        return self._mode

    @property
    def tracked(self) -> bool | None:
        """Whether version control has the file; None if unknown."""
        self.asked = True
        return self._tracked


class HostSubject(Frozen):
    """The files of one host together: a directory with the driver's own file. ``guests`` are those
    of the driver's guests whose descriptions have ``<on_lockfailure>``; ``has_engine`` tells that
    the engine lockd has a file there."""

    __slots__ = ("configuration", "directory", "guests", "has_engine")

    def __init__(
        self,
        directory: str,
        configuration: Configuration,
        *,
        guests: Sequence[Guest] = (),
        has_engine: bool = False,
    ) -> None:
        self.directory: Final = directory
        self.configuration: Final = configuration
        self.guests: Final = tuple(guests)
        self.has_engine: Final = has_engine


class HostFiles(Frozen):
    """The files of one host in a repository of many hosts.

    ``documents`` has the existing files, by the name of their kind; None stands for a file that
    cannot be read or parsed, or that is a template. Most of 10,000 hosts have the same contents,
    and one document stands for all files with its content. So compare documents by identity, which
    costs nothing, and take paths from here, as a document knows only one path.
    """

    __slots__ = ("directory", "documents")

    def __init__(self, directory: str, documents: Mapping[str, Document | None]) -> None:
        self.directory: Final = directory
        self.documents: Final = documents

    def path(self, name: str) -> str:
        """The path of the host's file of the kind ``name``."""
        return os.path.join(self.directory, name)

    @property
    def host(self) -> str:
        """The host's own directory, without the end that is the same for every host.

        ``hosts/kvm01`` for ``hosts/kvm01/etc/libvirt``; empty if nothing else is left.
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
        """The name of the host, which is the name of its directory; empty if it has none."""
        return self.host.rpartition("/")[2]


#: The names of directories between a host's own directory and libvirt's.
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
    """Text that replaces the bytes of ``span``."""

    __slots__ = ("span", "text")

    def __init__(self, span: Span, text: str) -> None:
        self.span: Final = span
        self.text: Final = text


class Fix(Frozen):
    """A fix of a finding: a description in words, and the replacements, in order."""

    __slots__ = ("description", "replacements", "safety")

    def __init__(self, safety: Safety, description: str, *replacements: Replacement) -> None:
        self.safety: Final = safety
        self.description: Final = description
        self.replacements: Final = replacements


class RuleFinding(Frozen):
    """What a rule has found, and a fix for it or None."""

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
    """The removal of a setting, with its line if nothing else is on it."""
    from lockcfg.conf.edit import statement_span

    return Replacement(statement_span(document.text or b"", entry), "")


def text_of(document: Document, span: Span) -> str:
    """The text of a part of a document."""
    return decode((document.text or b"")[span.start : span.end])
