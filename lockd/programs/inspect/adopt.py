"""ADOPT: take the locks that a running guest should have. Arguments: an object, as JSON.

It has the guest (``name``, ``uuid``, ``id``, ``pid``, and ``started``, when its process started, so
that another process with that pid does not count), the ``locks`` (``space``, ``name``, ``shared``,
``create``), the ``spaces`` that libvirt would make for them, and ``dry``: whether only to say what
would be done.

It answers with an object: ``outcomes``, one for each lock: ``held`` (it was), ``taken``, ``would``
be taken, or ``refused``, and the reason then.
"""

from __future__ import annotations

import json

from lockd.events import ADOPTED, NOT_ADOPTED, Event
from lockd.kernel.process import start_time
from lockd.locks.space import Owner, about
from lockd.wire.fault import FROM_RPC, INVALID_ARG, Fault, fault
from lockd.wire.xdr import pack_string

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from lockd.programs.inspect.context import InspectContext
    from lockd.rpc.session import Session
    from lockd.wire.xdr import Reader


def call(context: InspectContext, session: Session, arguments: Reader) -> bytes:
    """Take each lock that is not held, or say why not. One refusal does not affect the others."""
    import uuid

    try:
        asked = json.loads(arguments.string())
        guest = asked["guest"]
        owner = Owner(
            str(guest["name"]), uuid.UUID(guest["uuid"]).bytes, int(guest["id"]), int(guest["pid"])
        )
        wanted = [
            (str(lock["space"]), str(lock["name"]), bool(lock["shared"]), bool(lock["create"]))
            for lock in asked["locks"]
        ]
        spaces, dry, started = [*map(str, asked["spaces"])], bool(asked["dry"]), guest["started"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise fault(INVALID_ARG, FROM_RPC, f"the guest to adopt is invalid: {error}") from error
    if not started or start_time(owner.pid) != started:
        raise fault(INVALID_ARG, FROM_RPC, f"{owner} has ended")
    # Its end is known by the process: no connection of its own guards what it holds.
    owner.started = started
    if not dry:
        for space in spaces:
            context.engine.create_lockspace(space)
    outcomes = [_adopt(context, owner, *lock, dry=dry) for lock in wanted]
    return pack_string(json.dumps({"outcomes": outcomes}))


def _adopt(
    context: InspectContext,
    owner: Owner,
    space: str,
    name: str,
    shared: bool,
    create: bool,
    *,
    dry: bool,
) -> dict[str, Any]:
    engine = context.engine
    try:
        if engine.is_held_by(space, name, owner, shared=shared):
            return {"outcome": "held"}
        if dry:
            engine.would_acquire(space, name, owner, shared=shared, create=create)
            return {"outcome": "would"}
        engine.acquire(space, name, owner, shared=shared, create=create)
    except Fault as error:
        if not dry:
            message = f"DISK IN DANGER: {owner} runs without its lock: {error.message}"
            context.log.event(Event(NOT_ADOPTED, message, owner.fields() | about(space, name)))
        return {"outcome": "refused", "reason": error.message}
    message = f"adopted: {owner} holds '{name}' in '{space}' from now on"
    context.log.event(Event(ADOPTED, message, owner.fields() | about(space, name)))
    return {"outcome": "taken"}
