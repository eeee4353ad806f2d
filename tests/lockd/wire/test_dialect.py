"""How the virtlockd of each release of libvirt speaks: what was seen of them."""

from __future__ import annotations

import pytest

from lockd.programs import admin
from lockd.wire.dialect import dialect_of
from lockd.wire.fault import Fault
from lockd.wire.parameters import Parameter, unsigned_values


@pytest.mark.parametrize(
    ("release", "format", "procedures", "too_many", "mixed_up"),
    [
        ((7, 0, 0), ": %s", 18, "clients must be greater than the maximum number of", False),
        ((9, 0, 0), ": %s", 19, "waiting for authentication must not be less than", False),
        ((11, 3, 0), ": %1$s", 20, "must not be less than the number of clients waiting", False),
        ((12, 8, 0), ": %1$s", 20, "must not be less than the number of clients waiting", True),
        ((99, 0, 0), ": %1$s", 20, "must not be less than the number of clients waiting", True),
    ],
)
def test_a_release_speaks_as_its_virtlockd(
    release: tuple[int, int, int], format: str, procedures: int, too_many: str, mixed_up: bool
) -> None:
    """The random calls of ``tests/real/protocol`` say the same of the one that is installed."""
    dialect = dialect_of(release)
    assert (dialect.release, dialect.format, dialect.procedures) == (release, format, procedures)
    assert too_many in dialect.too_many_waiting
    with pytest.raises(Fault) as raised:
        unsigned_values([Parameter("{x}", 7, "a")], ("{x}",), dialect)
    has, wanted = ("uint", "string") if mixed_up else ("string", "uint")
    assert (
        raised.value.strings[1]
        == f"invalid type '{has}' for parameter '{{x}}', expected '{wanted}'"
    )


def test_a_procedure_is_there_from_its_release_on() -> None:
    """The last one ends the daemon, on the word of a client of libvirt 11.2 or newer."""
    assert 20 not in admin.procedures_of(dialect_of((11, 1, 0)))
    assert 20 in admin.procedures_of(dialect_of((11, 2, 0)))
    assert sorted(admin.procedures_of(dialect_of((12, 8, 0)))) == sorted(admin.PROCEDURES)
