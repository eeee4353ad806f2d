"""LOCKS: every lock that is held. It answers with a list of objects."""

from __future__ import annotations

import json
import uuid

from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lockd.daemon import Daemon
    from lockd.session import Session
    from lockd.space import Resource
    from lockd.wire.xdr import Reader


def call(daemon: Daemon, session: Session, arguments: Reader) -> bytes:
    """The locks, by lockspace and resource."""
    locks = [_lock(daemon, resource) for resource in daemon.engine.resources()]
    locks.sort(key=lambda lock: (lock["lockspace"], lock["resource"]))
    return pack_string(json.dumps(locks))


def _lock(daemon: Daemon, resource: Resource) -> dict[str, Any]:
    return {
        "lockspace": resource.space.directory,
        "resource": resource.name,
        "path": resource.path,
        "disk": resource.disk or ("" if resource.space.directory else resource.name),
        "mode": "shared" if resource.shared else "exclusive",
        "owners": [
            {
                "guest": owner.name,
                "uuid": str(uuid.UUID(bytes=owner.uuid)),
                "id": owner.id,
                "pid": owner.pid,
            }
            for owner in resource.owners
        ],
        "since": resource.since,
        "kind": "posix" if resource.lock.posix else "ofd",
        "problem": resource.problem,
    }
