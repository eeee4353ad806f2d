"""The descriptors that another process in our place needs."""

from __future__ import annotations

from lockd.survival.kept import LISTENING, client_name, journal_name, lock_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Final

    from lockd.locks.engine import Engine
    from lockd.rpc.service import Service
    from lockd.survival.journal import Journal


class Descriptors:
    """Those of the journal, the locks and the clients, and ``others``, each with the name that it
    is kept under."""

    def __init__(
        self,
        journal: Journal,
        engine: Engine,
        services: Mapping[str, Service],
        others: Mapping[str, int],
    ) -> None:
        self._journal: Final = journal
        self._engine: Final = engine
        self._services: Final = services
        self._others: Final = others

    def everything(self) -> Iterator[tuple[str, int]]:
        """All of them. They may change meanwhile: one that is no longer there is passed over, and
        one that is new is not among them."""
        yield journal_name(self._journal.number), self._journal.fd
        yield from self.besides_journal()

    def besides_journal(self) -> Iterator[tuple[str, int]]:
        """All but the journal's."""
        yield from [*self._others.items()]
        table = self._engine.table
        for resource in [*table.open_resources()]:
            if table.is_open(resource):
                yield lock_name(resource.number), resource.lock.fd
        for name, service in self._services.items():
            if service.fd >= 0:
                yield LISTENING[name], service.fd
            for number, session in [*service.clients.items()]:
                if service.clients.get(number) is session:
                    yield client_name(number), session.socket.fileno()
