"""The admin program: what ``virt-admin`` calls."""

from __future__ import annotations

from lockd.programs.admin import (
    client_close,
    client_get_info,
    connect_close,
    connect_get_logging_filters,
    connect_get_logging_outputs,
    connect_list_servers,
    connect_lookup_server,
    connect_open,
    connect_set_daemon_timeout,
    connect_set_logging_filters,
    connect_set_logging_outputs,
    get_lib_version,
    server_get_client_limits,
    server_get_threadpool_parameters,
    server_list_clients,
    server_lookup_client,
    server_set_client_limits,
    server_set_threadpool_parameters,
    server_update_tls_files,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final

    from lockd.programs.admin.context import AdminContext
    from lockd.rpc.dispatch import Procedure

PROGRAM: Final = 0x06900690
VERSION: Final = 1

#: The procedures, by number.
PROCEDURES: Final[Mapping[int, Procedure[AdminContext]]] = {
    1: connect_open.call,
    2: connect_close.call,
    3: get_lib_version.call,
    4: connect_list_servers.call,
    5: connect_lookup_server.call,
    6: server_get_threadpool_parameters.call,
    7: server_set_threadpool_parameters.call,
    8: server_list_clients.call,
    9: server_lookup_client.call,
    10: client_get_info.call,
    11: client_close.call,
    12: server_get_client_limits.call,
    13: server_set_client_limits.call,
    14: connect_get_logging_outputs.call,
    15: connect_get_logging_filters.call,
    16: connect_set_logging_outputs.call,
    17: connect_set_logging_filters.call,
    18: server_update_tls_files.call,
    19: connect_set_daemon_timeout.call,
}
