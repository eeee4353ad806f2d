"""GET_LIB_VERSION: which libvirt it is. Arguments: none."""

from __future__ import annotations

from lockd.wire.xdr import pack_uhyper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader

#: 9.0.0: a million for the major version, a thousand for the minor one.
_VERSION: Final = 9_000_000


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """The version of libvirt whose daemon this one stands in for."""
    return pack_uhyper(_VERSION)
