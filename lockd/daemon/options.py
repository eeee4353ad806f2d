"""The program's options, exit statuses and messages."""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

# Exit statuses: virtlockd's where it has one, else sysexits.h's for a bad configuration.
OK: Final = 0
BAD_USAGE: Final = 1
BAD_LOG: Final = 1
BAD_PID_FILE: Final = 1
BAD_RUN_DIRECTORY: Final = 2
BAD_SOCKET: Final = 6
BAD_CONFIGURATION: Final = 78


class Options:
    """The options of the command line."""

    def __init__(self) -> None:
        self.verbose = False
        self.daemon = False
        self.timeout = 0
        self.config: str | None = None
        self.pid_file = ""
        self.check_config = False
        self.check_interval = 10.0
        self.adopt = False
        self.heartbeat = 0.0
        self.takes_over: int | None = None

    def of_virtlockd(self) -> list[str]:
        """The options that virtlockd also has, as its arguments; without the timeout, which may
        change."""
        return [
            *(["--verbose"] if self.verbose else []),
            *(["--daemon"] if self.daemon else []),
            *(["--config", self.config] if self.config is not None else []),
            *(["--pid-file", self.pid_file] if self.pid_file else []),
        ]


def program() -> str:
    """The name by which this program was started."""
    return os.path.basename(sys.argv[0]) if sys.argv[0] else "lockd"


def complain(message: str) -> None:
    """Write a message to standard error."""
    sys.stderr.write(f"{program()}: {message}\n")
