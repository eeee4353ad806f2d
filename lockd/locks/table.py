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
    """The lockspaces by their directories, and the resources held in them, by the identities of
    their files and by their owners."""

    def __init__(self) -> None:
        self.spaces: Final[dict[str, Lockspace]] = {"": Lockspace("")}
        # Tuples: most have one resource, and a list takes twice the room.
        self._by_identity: Final[dict[Identity, tuple[Resource, ...]]] = {}
        self._by_owner: Final[dict[int, list[Resource]]] = {}

    def space(self, directory: str) -> Lockspace:
        """A lockspace that a client has created. Raises Fault."""
        space = self.spaces.get(directory)
        if space is None:
            raise no_such_lockspace(directory)
        return space

    # --- what changes

    def add(self, resource: Resource) -> None:
        """Add a resource, with its owners."""
        resource.space.resources[resource.name] = resource
        self.add_identities(resource)
        for owner in resource.owners:
            same = self._by_owner.get(owner.pid)
            if same is None:
                self._by_owner[owner.pid] = [resource]
            else:
                same.append(resource)

    def add_owner(self, resource: Resource, owner: Owner) -> None:
        """Add an acquisition of a resource that is already held."""
        resource.owners.append(owner)
        self._by_owner.setdefault(owner.pid, []).append(resource)

    def remove_owner(self, resource: Resource, owner: Owner) -> None:
        """Remove an acquisition, and with the last one the resource."""
        of_owner = self._by_owner[owner.pid]
        of_owner.remove(resource)
        if not of_owner:
            del self._by_owner[owner.pid]
        resource.owners.remove(owner)
        if not resource.owners:
            del resource.space.resources[resource.name]
            self.drop_identities(resource)

    def add_identities(self, resource: Resource) -> None:
        """Index a resource by the identities of its file and its disk."""
        for identity in resource.identities:
            same = self._by_identity.get(identity)
            self._by_identity[identity] = (*same, resource) if same else (resource,)

    def drop_identities(self, resource: Resource) -> None:
        """Remove these identities from the index: they are about to change."""
        for identity in resource.identities:
            # Its file may be its disk.
            same = self._by_identity.pop(identity, ())
            others = tuple(each for each in same if each is not resource)
            if others:
                self._by_identity[identity] = others

    # --- what there is

    def resources(self) -> Iterator[Resource]:
        """All resources that are held."""
        for space in self.spaces.values():
            yield from space.resources.values()

    def places(self) -> Iterator[str]:
        """The directories of all files that are locked, and the paths of those that are disks."""
        for space in self.spaces.values():
            if space.resources:
                yield from [space.directory] if space.directory else space.resources

    def open_resources(self) -> Iterator[Resource]:
        """All resources that are held, and those released a moment ago whose files are still
        open."""
        yield from self.resources()
        for space in self.spaces.values():
            yield from space.idle.values()

    def is_open(self, resource: Resource) -> bool:
        """Whether a resource is held, or its file still open."""
        space, name = resource.space, resource.name
        return space.resources.get(name) is resource or space.idle.get(name) is resource

    def stuck(self) -> Iterator[Resource]:
        """The resources that were released and cannot be unlocked."""
        for space in self.spaces.values():
            yield from (each for each in space.idle.values() if each.problem)

    def of_file(self, identity: Identity) -> Iterable[Resource]:
        """All resources held on the file with this identity."""
        return self._by_identity.get(identity, ())

    def is_known(self, identity: Identity) -> bool:
        """Whether a resource is held on that file."""
        return identity in self._by_identity

    def blocking(self, identity: Identity, *, shared: bool) -> Iterator[Resource]:
        """The resources that prevent a shared or exclusive lock on that file under another name."""
        for held in self._by_identity.get(identity, ()):
            if not (held.shared and shared):
                yield held

    # --- who there is

    def held_by(self, pid: int, started: int = 0) -> deque[Acquisition]:
        """All resources that an owner holds, each as often as the owner acquired it. If ``started``
        is given, those of another process with the same pid are left out."""
        resources = dict.fromkeys(self._by_owner.get(pid, ()))
        return deque(
            (resource, owner)
            for resource in resources
            for owner in resource.owners
            if owner.pid == pid and (not started or owner.started in (0, started))
        )

    def acquisitions(self, known: Iterable[tuple[str, str, Owner]]) -> deque[Acquisition]:
        """The acquisitions that match a lockspace, a name and an owner."""
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
        """The pids of all owners that hold anything."""
        return [*self._by_owner]

    @property
    def is_empty(self) -> bool:
        """Whether no owner holds anything."""
        return not self._by_owner
