"""Whether a host is this very host, by whatever name it is called."""

from __future__ import annotations

import os
import re
import socket

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

#: What a name or an address of a host is made of; a name can have more than DNS allows.
_NAME: Final = re.compile(r"[\w.:%-]+")


def is_name(text: str) -> bool:
    """Whether a host may have that name or address."""
    return bool(_NAME.fullmatch(text)) and text[0] not in ".-" and ".." not in text


def addresses_of(host: str) -> set[str]:
    """The addresses of a host's name; none if it has none."""
    try:
        found = socket.getaddrinfo(host, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError):
        return set()
    return {str(address[0]).partition("%")[0] for *_, address in found}


def is_this_host(host: str, address: str) -> bool:
    """Whether a name, or the ``address`` where one is given, is one of this host."""
    own, other = _plain(os.uname().nodename), _plain(host)
    if own == other or (
        # One of them may be the name without the domain.
        own.partition(".")[0] == other.partition(".")[0] and not ("." in own and "." in other)
    ):
        return True
    return any(_is_mine(each) for each in addresses_of(address or host))


def _plain(name: str) -> str:
    return name.rstrip(".").casefold()


def _is_mine(address: str) -> bool:
    """Whether this host has an address: the system binds no other."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as found:
            found.bind((address, 0))
    except OSError:
        return False
    return True
