"""libvirt's RPC protocol, sans-IO: bytes in, messages out, and back. Nothing here reads a socket.

:mod:`~lockd.wire.xdr` is the encoding (RFC 4506), :mod:`~lockd.wire.message` the header of a
message, :mod:`~lockd.wire.inbox` cuts a stream into messages, and :mod:`~lockd.wire.fault` is
the error that a reply may carry.
"""
