"""Why a change of the daemon is refused."""

from __future__ import annotations


class RefusedError(Exception):
    """The change cannot succeed, or has failed. The text has a line for each reason."""
