"""The lock table: what is held, by whom, and on which files. Pure: nothing here does I/O."""

from __future__ import annotations

from collections import deque

from lockd.locks.space import Lockspace, no_such_lockspace

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Final

    from lockd.kernel.named import Identity
    from lockd.locks.space import Owner, Resource

    #: One time that a resource was acquired, and by whom.
    Acquisition = tuple[Resource, Owner]


class LockTable:
    """The lockspaces by their directories, and the resources that are held in them, by what their
    files are known by and by who holds them."""

    def __init__(self) -> None:
        self.spaces: Final[dict[str, Lockspace]] = {"": Lockspace("")}
        self._by_identity: Final[dict[Identity, list[Resource]]] = {}
        self._by_owner: Final[dict[int, list[Resource]]] = {}

    def space(self, directory: str) -> Lockspace:
        """A lockspace that somebody has made. Raises Fault."""
        space = self.spaces.get(directory)
        if space is None:
            raise no_such_lockspace(directory)
        return space

    # --- what changes

    def add(self, resource: Resource) -> None:
        """Have one that its owners hold from now on."""
        resource.space.resources[resource.name] = resource
        self.add_identities(resource)
        for owner in resource.owners:
            self._by_owner.setdefault(owner.pid, []).append(resource)

    def add_owner(self, resource: Resource, owner: Owner) -> None:
        """Have one acquisition more of what is held already."""
        resource.owners.append(owner)
        self._by_owner.setdefault(owner.pid, []).append(resource)

    def remove_owner(self, resource: Resource, owner: Owner) -> None:
        """Have one acquisition less, and with the last one nothing more of the resource."""
        of_owner = self._by_owner[owner.pid]
        of_owner.remove(resource)
        if not of_owner:
            del self._by_owner[owner.pid]
        resource.owners.remove(owner)
        if not resource.owners:
            del resource.space.resources[resource.name]
            self.drop_identities(resource)

    def add_identities(self, resource: Resource) -> None:
        """Know a resource by its file, and by its disk."""
        for identity in resource.identities:
            self._by_identity.setdefault(identity, []).append(resource)

    def drop_identities(self, resource: Resource) -> None:
        """Know it by these no more: they are about to change."""
        for identity in resource.identities:
            same = self._by_identity[identity]
            same.remove(resource)
            if not same:
                del self._by_identity[identity]

    # --- what there is

    def resources(self) -> Iterator[Resource]:
        """All that is held."""
        for space in self.spaces.values():
            yield from space.resources.values()

    def open_resources(self) -> Iterator[Resource]:
        """All that is held, and what was a moment ago."""
        yield from self.resources()
        for space in self.spaces.values():
            yield from space.idle.values()

    def stuck(self) -> Iterator[Resource]:
        """The resources that were released and cannot be unlocked."""
        for space in self.spaces.values():
            yield from (each for each in space.idle.values() if each.problem)

    def of_file(self, identity: Identity) -> Iterable[Resource]:
        """All that is held on the file that is known by this."""
        return self._by_identity.get(identity, ())

    def blocking(self, identity: Identity, *, shared: bool) -> Resource | None:
        """What keeps that file from being locked, shared or exclusive, by another name."""
        for held in self._by_identity.get(identity, ()):
            if not (held.shared and shared):
                return held
        return None

    # --- who there is

    def held_by(self, pid: int, started: int = 0) -> deque[Acquisition]:
        """All that an owner holds, each as often as it has acquired it; where ``started`` is given,
        without what another process of the same pid holds."""
        resources = dict.fromkeys(self._by_owner.get(pid, ()))
        return deque(
            (resource, owner)
            for resource in resources
            for owner in resource.owners
            if owner.pid == pid and (not started or owner.started in (0, started))
        )

    def acquisitions(self, known: Iterable[tuple[str, str, Owner]]) -> deque[Acquisition]:
        """Those of a lockspace, a name and an owner that are there."""
        return deque(
            (self.spaces[directory].resources[name], owner)
            for directory, name, owner in known
            if directory in self.spaces and name in self.spaces[directory].resources
        )

    def holds(self, pid: int) -> bool:
        """Whether an owner holds anything."""
        return pid in self._by_owner

    @property
    def pids(self) -> list[int]:
        """Those of all owners that hold anything."""
        return [*self._by_owner]

    @property
    def is_empty(self) -> bool:
        """Whether nobody holds anything."""
        return not self._by_owner
