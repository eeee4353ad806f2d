"""The admin program: what ``virt-admin`` calls."""

from __future__ import annotations

from lockd.programs import procedures

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.dispatch import Procedure
    from lockd.wire.dialect import Dialect

PROGRAM: Final = 0x06900690
VERSION: Final = 1

#: The procedures, by number.
PROCEDURES: Final[Mapping[int, Procedure[AdminContext]]] = procedures(
    __name__,
    {
        1: "connect_open",
        2: "connect_close",
        3: "get_lib_version",
        4: "connect_list_servers",
        5: "connect_lookup_server",
        6: "server_get_threadpool_parameters",
        7: "server_set_threadpool_parameters",
        8: "server_list_clients",
        9: "server_lookup_client",
        10: "client_get_info",
        11: "client_close",
        12: "server_get_client_limits",
        13: "server_set_client_limits",
        14: "connect_get_logging_outputs",
        15: "connect_get_logging_filters",
        16: "connect_set_logging_outputs",
        17: "connect_set_logging_filters",
        18: "server_update_tls_files",
        19: "connect_set_daemon_timeout",
        20: "connect_daemon_shutdown",
    },
)


def procedures_of(dialect: Dialect) -> Mapping[int, Procedure[AdminContext]]:
    """Those that the libvirt of a dialect has."""
    return {number: PROCEDURES[number] for number in PROCEDURES if number <= dialect.procedures}
