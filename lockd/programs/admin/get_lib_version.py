"""GET_LIB_VERSION: the release of libvirt that lockd speaks as. Arguments: none."""

from __future__ import annotations

from lockd.wire.xdr import pack_uhyper

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: AdminContext, session: Session, arguments: Reader) -> bytes:
    """The release of libvirt whose daemon lockd replaces, as one number."""
    major, minor, micro = context.dialect.release
    return pack_uhyper(major * 1_000_000 + minor * 1_000 + micro)
