"""The differences between libvirt's releases on the wire, in one table.

A client of libvirt has the same release as the virtlockd that was installed with it, and may depend
on its texts. So lockd speaks as the virtlockd of the installed libvirt. The differences were seen
on 7.0, 9.0, 11.3 and 12.8 (``tests/real/protocol`` compares, byte by byte); a release between them
counts as the one before it, unless libvirt's documentation says otherwise.
"""

from __future__ import annotations

from lockd.wire.record import Record

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    Release = tuple[int, int, int]


class Dialect(Record):
    """How the virtlockd of a release speaks.

    ``release`` is libvirt's. ``format`` ends the format of an error, where its detail is cut in.
    ``procedures`` is the highest number of the admin program. ``too_many_waiting`` is the error if
    the limit for clients that wait for authentication is above the limit for all. ``wrong_type`` is
    the error for a parameter, with its type and the right one; newer releases mix them up.
    ``lockspace_exists`` is the error for a lockspace that a client makes although it is known;
    empty if that is no error. ``takes_dangling`` says whether a link to nothing is taken for a
    lockspace. ``longest`` is how many bytes of an error's detail are told; 0 is no limit.
    ``outputs_of_the_log`` says whether errors about the log's outputs call them that.
    ``one_colon`` says whether a log filter with two colons is an error.
    """

    release: Release
    format: str = ": %s"
    procedures: int = 18
    too_many_waiting: str = (
        "The overall maximum number of clients must be greater than the maximum number of clients"
        " waiting for authentication"
    )
    wrong_type: str = "invalid type '{has}' for parameter '{name}', expected '{wanted}'"
    lockspace_exists: str = "Lockspace for path {path} already exists"
    takes_dangling: bool = True
    longest: int = 1022
    outputs_of_the_log: bool = False
    one_colon: bool = True


#: The changes, by release. Those of 9.0.0, 11.3.0 and 12.8.0 were seen there; an earlier release
#: may have them already. 7.6.0, 8.6.0, 9.3.0 and 11.2.0 were not tried, only 7.0, 9.0, 11.3 and
#: 12.8.
_CHANGES: Final[tuple[tuple[Release, dict[str, Any]], ...]] = (
    ((7, 6, 0), {"lockspace_exists": ""}),
    ((8, 6, 0), {"procedures": 19}),
    (
        (9, 0, 0),
        {
            "too_many_waiting": (
                "The overall maximum number of clients waiting for authentication must not be less"
                " than the overall maximum number of clients"
            ),
            "takes_dangling": False,
            "longest": 0,
            "outputs_of_the_log": True,
            "one_colon": False,
        },
    ),
    ((9, 3, 0), {"format": ": %1$s"}),
    ((11, 2, 0), {"procedures": 20}),
    (
        (11, 3, 0),
        {
            "too_many_waiting": (
                "The overall maximum number of clients must not be less than the number of"
                " clients waiting for authentication"
            ),
        },
    ),
    (
        (12, 8, 0),
        {"wrong_type": "invalid type '{wanted}' for parameter '{name}', expected '{has}'"},
    ),
)


def dialect_of(release: Release) -> Dialect:
    """How the virtlockd of a release of libvirt speaks."""
    dialect = Dialect(release)
    for since, changes in _CHANGES:
        if since <= release:
            dialect = dialect._replace(**changes)
    return dialect
