"""The base of the value objects: set once by the constructor, compared by value.

A hand-made base because ``dataclasses`` costs 13 ms of every start and ``typing`` 4
(``python -X importtime``), a third of what a ``lockcfg get`` takes in all.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final, Self


class _Constructing(type):
    """Lets a constructor set fields without a check of each, which would take most of its time."""

    if not TYPE_CHECKING:  # the type checker looks at the constructor itself

        def __call__(cls, *values: Any, **more: Any) -> Any:
            made = type.__call__(_open.get(cls) or _opened(cls), *values, **more)
            made.__class__ = cls
            return made


class Frozen(metaclass=_Constructing):
    """A value object. A subclass names its fields in ``__slots__`` and sets each once."""

    __slots__: tuple[str, ...] = ()

    def _values(self) -> tuple[object, ...]:
        return tuple(getattr(self, name) for name in self.__slots__)

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented
        return self._values() == other._values()

    def __hash__(self) -> int:
        return hash(self._values())

    def __repr__(self) -> str:
        fields = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__slots__)
        return f"{type(self).__name__}({fields})"

    def replace(self, **changes: object) -> Self:
        """A copy with some fields changed, for classes whose fields are their arguments."""
        fields = {name: getattr(self, name) for name in self.__slots__}
        return type(self)(**{**fields, **changes})

    if not TYPE_CHECKING:  # the type checker has Final for this

        def __setattr__(self, name: str, value: object) -> None:
            if hasattr(self, name):
                raise AttributeError(f"{type(self).__name__}.{name} cannot be changed")
            object.__setattr__(self, name, value)

        def __delattr__(self, name: str) -> None:
            raise AttributeError(f"{type(self).__name__}.{name} cannot be deleted")


#: The class of the objects of each class while their constructors run.
_open: Final[dict[type, type]] = {}


def _opened(cls: type) -> type:
    fields = {"__slots__": (), "__setattr__": object.__setattr__, "__qualname__": cls.__qualname__}
    made = _open[cls] = _Constructing(cls.__name__, (cls,), fields)
    made.__slots__ = cls.__slots__  # type: ignore[attr-defined]
    return made
