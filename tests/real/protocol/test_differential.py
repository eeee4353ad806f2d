"""lockd against virtlockd: the same calls, byte for byte the same answers."""

from __future__ import annotations

import itertools
import random
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real.protocol import messages
from tests.real.protocol.differences import ALLOWED, compare, step_in_words
from tests.real.protocol.examples import EDGES, EXAMPLES
from tests.real.protocol.generate import Generator
from tests.real.protocol.shrink import shrink
from tests.real.protocol.steps import Send, Transcript
from tests.real.protocol.theatre import Theatre

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Final

    from tests.real.protocol.steps import Play

VIRTLOCKD: Final = "virtlockd"
LOCKD: Final = Path(sys.executable).parent / "lockd"

#: How many plays virtlockd plays against itself.
CONTROLS: Final = 25

#: How many differences are made as short as they get; that takes seconds each.
SHRUNK: Final = 3

#: How often a play has to differ, one after the other, to be worth a person's time.
CONFIRMATIONS: Final = 3

#: How many of the plays may differ when they are played fast, and not when they are played again
#: alone and slowly: on a busy machine one may see a daemon at a moment between two states.
HASTY: Final = 0.05

#: How often an allowed difference is looked for: lockd removes the file of a released lock after a
#: fraction of a second, and on a busy machine a look at it may come later than that.
LOOKS: Final = 20

#: How much of the plays is compared at least: where a difference is meant, the rest of the play
#: is not.
COMPARED: Final = 0.85

PAGE: Final = Path(__file__).parents[3] / "docs/explanation/lockd-and-virtlockd.md"


@pytest.fixture
def generator(pytestconfig: pytest.Config) -> Generator:
    return Generator(random.Random(pytestconfig.getoption("--seed")))


@pytest.fixture
def virtlockd() -> Iterator[Theatre]:
    with Theatre(VIRTLOCKD) as theatre:
        yield theatre


@pytest.fixture
def lockd() -> Iterator[Theatre]:
    with Theatre(LOCKD) as theatre:
        yield theatre


def play_in_both(
    theatres: tuple[Theatre, Theatre], plays: Sequence[Play], *, careful: bool = False
) -> list[tuple[Play, Transcript, Transcript]]:
    """What both theatres saw of each play."""
    with ThreadPoolExecutor(len(theatres)) as pool:
        both = pool.map(lambda theatre: theatre.play(plays, careful=careful), theatres)
    return list(zip(plays, *both, strict=True))


def confirmed(theatres: tuple[Theatre, Theatre], play: Play) -> str:
    """How a play differs each time it is played alone and slowly; empty if it does not always."""
    difference = ""
    for _ in range(CONFIRMATIONS):
        [(_, theirs, ours)] = play_in_both(theatres, [play], careful=True)
        difference = compare(play, theirs, ours).difference
        if not difference:
            break
    return difference


def shortest(theatres: tuple[Theatre, Theatre], play: Play) -> str:
    """The shortest part of a play that differs, and how."""
    play = shrink(play, lambda part: bool(confirmed(theatres, part)))
    steps = "\n".join(f"  {step_in_words(step)}" for step in play.steps)
    return f"play {play.number}:\n{steps}\n{confirmed(theatres, play)}"


def test_virtlockd_does_the_same_twice(generator: Generator, virtlockd: Theatre) -> None:
    """What the comparison sees does not depend on chance."""
    with Theatre(VIRTLOCKD) as other:
        for play, once, again in play_in_both((virtlockd, other), [*generator.plays(CONTROLS)]):
            assert once.seen == again.seen, play
            assert (once.trouble, once.left) == (again.trouble, again.left), play


def test_lockd_does_what_virtlockd_does(
    generator: Generator, virtlockd: Theatre, lockd: Theatre, pytestconfig: pytest.Config
) -> None:
    theatres = virtlockd, lockd
    plays = [*generator.plays(pytestconfig.getoption("--plays"))]
    verdicts = [
        (play, compare(play, theirs, ours)) for play, theirs, ours in play_in_both(theatres, plays)
    ]
    different = [play for play, verdict in verdicts if verdict.difference]
    real = itertools.islice((play for play in different if confirmed(theatres, play)), SHRUNK)
    examples = [shortest(theatres, play) for play in real]
    assert not examples, f"{len(different)} of {len(plays)} plays differ\n\n" + "\n\n".join(
        examples
    )
    assert len(different) <= HASTY * len(plays), [play.number for play in different]
    compared = sum(verdict.compared for _, verdict in verdicts)
    assert compared > COMPARED * sum(len(play.steps) for play in plays)


@pytest.mark.parametrize("title", [each.title for each in ALLOWED])
def test_each_allowed_difference_is_there(title: str, virtlockd: Theatre, lockd: Theatre) -> None:
    """Or it would have to go from the list."""
    for look in range(LOOKS):
        # Every second look does not rest between two round trips, and is the faster one.
        [(play, theirs, ours)] = play_in_both(
            (virtlockd, lockd), [EXAMPLES[title]], careful=look % 2 == 0
        )
        verdict = compare(play, theirs, ours)
        assert not verdict.difference
        if title in verdict.met:
            return
    pytest.fail(f"{title}: not seen in {LOOKS} plays")


@pytest.mark.parametrize("title", EDGES)
def test_at_the_edges_no_byte_differs(title: str, virtlockd: Theatre, lockd: Theatre) -> None:
    """Each call is answered."""
    play = EDGES[title]
    [(_, theirs, ours)] = play_in_both((virtlockd, lockd), [play], careful=True)
    assert compare(play, theirs, ours) == (len(play.steps), "", frozenset())
    calls = sum(isinstance(step, Send) for step in play.steps)
    assert sum(len(answers) for seen in theirs.seen for _, answers in seen.replies) == calls


def test_each_allowed_difference_has_its_reason_in_the_documentation() -> None:
    titles = [line[3:] for line in PAGE.read_text().splitlines() if line.startswith("## ")]
    assert [title for title in titles if title in EXAMPLES] == [each.title for each in ALLOWED]


def test_the_comparison_sees_every_byte(virtlockd: Theatre) -> None:
    """Whatever is changed in what was seen is found, where it is not one of those allowed."""
    play = EXAMPLES["Who holds it"]
    [seen] = virtlockd.play([play])
    assert not compare(play, seen, seen).difference
    for number, each in enumerate(seen.seen):
        for changed in (
            each._replace(closed=(*each.closed, 5)),
            each._replace(ended=((0, -9),)),
            each._replace(files=(*each.files, ("more", "drwx------", 0))),
            each._replace(files=each.files[1:]),
            each._replace(locks=(*each.locks, ("disk1", "WRITE"))),
            each._replace(replies=(*each.replies, (7, (messages.PING,)))),
        ):
            other = [*seen.seen]
            other[number] = changed
            assert compare(play, seen, seen._replace(seen=tuple(other))).difference
    last = seen.seen[-1]
    [(connection, (answer,))] = last.replies
    for at in range(len(answer)):
        wrong = bytearray(answer)
        wrong[at] ^= 1
        other = [*seen.seen[:-1], last._replace(replies=((connection, (bytes(wrong),)),))]
        assert compare(play, seen, seen._replace(seen=tuple(other))).difference, at
    assert compare(play, seen, seen._replace(trouble="it hangs")).difference


def test_a_difference_is_made_as_short_as_it_gets(generator: Generator) -> None:
    play = next(play for play in generator.plays(100) if len(play.steps) > 10)
    wanted = [step for step in play.steps if isinstance(step, Send)][3:5]
    short = shrink(play, lambda part: all(step in part.steps for step in wanted))
    assert list(short.steps) == wanted
