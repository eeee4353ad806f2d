"""Texts that are not a configuration file yet: templates and encrypted files."""

from __future__ import annotations

import re
from itertools import pairwise

from lockcfg.conf.syntax import between

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: The marks around values that template languages fill in, and around their logic and comments.
_FILLED_IN: Final = ((b"{{", b"}}"), (b"<%=", b"%>"))
_LOGIC: Final = ((b"{%", b"%}"), (b"<%", b"%>"))
_COMMENT: Final = (b"{#", b"#}")
_VARIABLE: Final = (b"${", b"}")

#: What encrypted files begin with.
_BEGINNINGS: Final = (
    (b"\0GITCRYPT\0", "git-crypt"),
    (b"Salted__", "openssl"),
    (b"U2FsdGVkX1", "openssl"),
    (b"age-encryption.org/", "age"),
    (b"-----BEGIN AGE ENCRYPTED FILE-----", "age"),
    (b"-----BEGIN PGP MESSAGE-----", "gpg"),
    (b"-----BEGIN PKCS7-----", "openssl"),
    (b"-----BEGIN CMS-----", "openssl"),
    (b"# STRONGBOX ENCRYPTED RESOURCE", "strongbox"),
)

#: What stands in them anywhere: a mark, and the pattern of what it is a part of.
_INSIDE: Final = (
    (b"$ANSIBLE_VAULT;", rb"(?m:^[ \t]*\$ANSIBLE_VAULT;)", "ansible-vault"),
    (b"ENC[AES256_GCM,", rb"\bENC\[AES256_GCM,", "SOPS"),
)

#: A session key at the beginning, for a key (version, identity, algorithm) or for a passphrase
#: (version, cipher, how the key is made): RFC 9580, sections 5.1 and 5.3.
_OPENPGP: Final = (
    rb"(?s:(?:\x84.|\x85..|\xc1.{1,2})\x03.{8}[\x01\x02\x10\x12\x19\x1a]"
    rb"|[\x8c\xc3].\x04[\x01-\x0d][\0\x01\x03])"
)


def is_template(text: bytes) -> bool:
    """Whether a text cannot be read because it is a template."""
    if not _is_text(text):
        return False
    bare = b"".join(
        text[end:start]
        for (_, end), (start, _) in pairwise([(0, 0), *between(text), (len(text), 0)])
    )
    if any(_encloses(bare, *mark) for mark in (*_FILLED_IN, *_LOGIC)) or _encloses(text, *_COMMENT):
        return True
    unquoted = re.sub(rb"\"[^\"\n]*+\"|'[^'\n]*+'", b"", bare)
    return _encloses(unquoted, *_VARIABLE)


def encrypted_by(text: bytes) -> str:
    """The program that has encrypted a text; empty if none has."""
    for beginning, name in _BEGINNINGS:
        if text.startswith(beginning):
            return name
    for mark, pattern, name in _INSIDE:
        if mark in text and re.search(pattern, text):
            return name
    return "gpg" if text[:1] >= b"\x80" and re.match(_OPENPGP, text) else ""


def may_be_template(text: bytes) -> bool:
    """Whether a text has any mark of a template, wherever it stands.

    Template languages read only UTF-8 without NUL bytes: in any other text the marks occur by
    chance.
    """
    marks = (*_FILLED_IN, *_LOGIC, _COMMENT, _VARIABLE)
    return any(_encloses(text, *mark) for mark in marks) and _is_text(text)


def has_logic(text: bytes) -> bool:
    """Whether a text has a mark of template logic, even in a comment."""
    return any(_encloses(text, *mark, but=b"<%=") for mark in _LOGIC)


def is_filled_in(values: bytes) -> bool:
    """Whether a readable text has values that a template language fills in."""
    return any(_encloses(values, *mark) for mark in _FILLED_IN)


def _is_text(text: bytes) -> bool:
    if b"\0" in text:
        return False
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True


def _encloses(text: bytes, opening: bytes, closing: bytes, but: bytes | None = None) -> bool:
    """Whether anything but text that begins with ``but`` stands between two marks."""
    at = text.find(opening)
    while at >= 0:
        end = text.find(closing, at + len(opening))
        if end < 0:
            return False
        if but is None or not text.startswith(but, at):
            return True
        at = text.find(opening, end)
    return False
