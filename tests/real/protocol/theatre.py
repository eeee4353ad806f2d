"""A daemon and a player in namespaces of their own, as the test has them.

They have a /run, an /etc/libvirt and directories below /var of their own, no network, and no
process outlives them. The rest of the machine is read-only to them.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.real.libvirtd_host import UNSHARE
from tests.real.protocol.steps import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterable
    from types import TracebackType
    from typing import Any, Final, Self

    from tests.real.protocol.steps import Files, Play, Transcript

_REPOSITORY: Final = Path(__file__).parents[3]

_SCRIPT: Final = f"""
for directory in /run /etc/libvirt /var/lib/libvirt /var/cache/libvirt /var/log/libvirt
do
    mount -t tmpfs tmpfs "$directory" || exit
done
mkdir -p {ROOT} && mount -t tmpfs tmpfs {ROOT} && mount -o remount,bind,ro / && exec "$@"
"""


class Theatre:
    """Plays plays against one daemon, ``command``, one after the other, as root."""

    def __init__(self, *command: str | Path) -> None:
        self.command: Final = command
        player = (sys.executable, "-m", "tests.real.protocol.player")
        self._process: Final = subprocess.Popen(
            [*UNSHARE, _SCRIPT, "sh", *player, *command],
            cwd=_REPOSITORY,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={
                "PATH": os.defpath + ":/usr/sbin:/sbin",
                "LC_ALL": "C",
                "PYTHONDONTWRITEBYTECODE": "1",
            },
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def play(self, plays: Iterable[Play], *, careful: bool = False) -> list[Transcript]:
        """What is seen of each, on a daemon that is fresh before the first and after trouble."""
        transcripts: dict[int, Transcript] = {}
        for play in plays:
            if play.fresh:
                self._end(transcripts)
            transcript: Transcript = self._ask((play, careful))
            transcripts[play.number] = transcript
            if play.fresh or transcript.trouble:
                self._end(transcripts)
        self._end(transcripts)
        return list(transcripts.values())

    def _end(self, transcripts: dict[int, Transcript]) -> None:
        left: dict[int, Files] = self._ask(None)
        for number, files in left.items():
            transcripts[number] = transcripts[number]._replace(left=files)

    def _ask(self, what: object) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        pickle.dump(what, self._process.stdin)
        self._process.stdin.flush()
        return pickle.load(self._process.stdout)
