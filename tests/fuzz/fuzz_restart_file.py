"""virtlockd's state file, which lockd reads when it takes over."""

from __future__ import annotations

from tests.fuzz.running import guided, run

with guided("lockd"):
    from lockd.survival.restart_file import RestartFileError, read, write


def TestOneInput(data: bytes) -> None:  # noqa: N802
    """It is read or refused; what is read is written as it was."""
    try:
        state = read(data)
    except RestartFileError:
        return
    written = write(state)
    assert write(read(written)) == written


if __name__ == "__main__":
    run(TestOneInput)
