"""The lens, and what lockcfg makes of its tree, against libvirt's own parser."""

from __future__ import annotations

import random
import re
from typing import TYPE_CHECKING, NamedTuple

import pytest
from augeas import Augeas
from hypothesis import given, settings
from hypothesis import strategies as st

from lockcfg.conf import syntax, tree
from lockcfg.conf.document import Document, decode, encode
from lockcfg.conf.files import KINDS, QEMU, QEMU_LOCKD
from lockcfg.conf.settings import REFUSING_RELEASE
from lockcfg.conf.syntax import Condensed, condense
from lockcfg.conf.tree import read_entries
from lockcfg.errors import ConfSyntaxError
from lockcfg.host.installed import libvirt_release
from lockcfg.resources import LENSES
from lockcfg.rules import check
from tests.real.generate import PIECES, Generator, all_texts
from tests.real.libvirt_parser import Accepted, LibvirtParser, Rejected

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Final

    from lockcfg.conf.document import Entry
    from lockcfg.conf.document import Value as OurValue
    from lockcfg.conf.files import FileKind
    from lockcfg.findings import Finding
    from tests.real.libvirt_parser import Value

NESTED: Final = "a list inside a list"
OVERFLOW: Final = "numeric overflow in conf value"
#: Of the libvirt that is installed.
RELEASE: Final = libvirt_release()
KIND_CYCLE: Final = tuple(KINDS.values())


@pytest.fixture(scope="module")
def libvirt() -> LibvirtParser:
    return LibvirtParser()


@pytest.fixture
def generator(pytestconfig: pytest.Config) -> Generator:
    return Generator(random.Random(pytestconfig.getoption("--seed")))


class Refused(NamedTuple):
    """What ours says of a text that it does not take."""

    line: int
    reason: str


def ours(text: bytes, kind: FileKind = QEMU) -> list[Entry] | Refused:
    try:
        return read_entries(text, kind, kind.name)
    except ConfSyntaxError as error:
        return Refused(error.place.line, error.reason)


def as_libvirt_holds(value: OurValue) -> Value:
    """Our value as libvirt holds it: strings as bytes, integers wrapped to 64 bits."""
    if isinstance(value, str):
        return encode(value)
    if isinstance(value, int):
        return value % 2**64
    return tuple(as_libvirt_holds(element) for element in value)


def unsigned(value: Value) -> Value:
    if isinstance(value, tuple):
        return tuple(unsigned(element) for element in value)
    return value % 2**64 if isinstance(value, int) else value


def disagreement(text: bytes, libvirt: LibvirtParser, kind: FileKind = QEMU) -> str:
    """What differs between ours and libvirt's reading of ``text``; empty if nothing does."""
    mine, theirs = ours(text, kind), libvirt.read(text)
    if isinstance(theirs, Rejected) and theirs.reason == OVERFLOW:
        return overflow_disagreement(text, mine, theirs, kind)
    if isinstance(mine, Refused):
        if mine.reason == NESTED:
            # The one thing that libvirt takes and we do not; it may find a later error.
            if isinstance(theirs, Accepted):
                return "" if any(map(holds_list_in_list, theirs.settings)) else "no list in a list"
            return "" if theirs.line >= mine.line else f"{mine}, but {theirs}"
        if isinstance(theirs, Rejected) and tuple(mine) == tuple(theirs):
            return ""
        return f"ours: {mine}\nlibvirt: {theirs}"
    if isinstance(theirs, Rejected):
        return f"ours: {shown(mine)}\nlibvirt: {theirs}"
    document = Document(kind, kind.name, text, mine)
    if RELEASE >= REFUSING_RELEASE and overflows(document):
        return f"an integer is too large for ours, and libvirt takes {theirs}"
    we_say = [(entry.key, as_libvirt_holds(entry.value), is_signed(entry)) for entry in mine]
    they_say = [(one.name, unsigned(one.value), one.signed) for one in theirs.settings]
    if we_say != they_say:
        return f"ours: {we_say}\nlibvirt: {they_say}"
    for key, value in theirs.in_force.items():
        entry = document.get(key)
        if entry is None or as_libvirt_holds(entry.value) != unsigned(value):
            return f"in force for {key}: ours {entry and entry.value}, libvirt's {value!r}"
    return ""


def overflows(document: Document) -> list[Finding]:
    """What lockcfg says of the integers that the libvirt that is installed does not read."""
    return [found for found in check(document, RELEASE) if found.rule == "integer-overflow"]


def overflow_disagreement(
    text: bytes, mine: list[Entry] | Refused, theirs: Rejected, kind: FileKind
) -> str:
    """What differs where libvirt refuses an integer: ours reads the file, and has a finding."""
    if isinstance(mine, Refused):
        # For something that comes later, or for what libvirt takes and we do not.
        agree = theirs.line <= mine.line or mine.reason == NESTED
        return "" if agree else f"ours: {mine}\nlibvirt: {theirs}"
    for found in overflows(Document(kind, kind.name, text, mine)):
        assert found.place is not None
        # Of a list, it is at the beginning.
        return "" if found.place.line <= theirs.line else f"ours: {found}\nlibvirt: {theirs}"
    return f"ours takes every integer of {shown(mine)}\nlibvirt: {theirs}"


def holds_list_in_list(setting: tuple[str, Value, bool]) -> bool:
    value = setting[1]
    return isinstance(value, tuple) and any(isinstance(element, tuple) for element in value)


def is_signed(entry: Entry) -> bool:
    """Whether libvirt holds the value as a signed integer: it does for a minus, not a plus."""
    return isinstance(entry.value, int) and entry.literal.startswith("-")


def shown(entries: list[Entry]) -> list[tuple[str, OurValue]]:
    return [(entry.key, entry.value) for entry in entries]


def shrunk(text: bytes, fails: Callable[[bytes], bool]) -> bytes:
    """``text`` with what can be deleted one piece at a time deleted, while it ``fails``."""
    size = max(1, len(text) // 2)
    while True:
        at = 0
        before = text
        while at < len(text):
            shorter = text[:at] + text[at + size :]
            if fails(shorter):
                text = shorter
            else:
                at += size
        if size == 1 and text == before:
            return text
        size = max(1, size // 2)


def assert_agreement(text: bytes, libvirt: LibvirtParser, kind: FileKind = QEMU) -> None:
    if disagreement(text, libvirt, kind):
        small = shrunk(text, lambda shorter: bool(disagreement(shorter, libvirt, kind)))
        pytest.fail(f"{small!r}\n{disagreement(small, libvirt, kind)}\nshrunk from {text!r}")


def test_the_same_is_read_from_generated_files(
    pytestconfig: pytest.Config, generator: Generator, libvirt: LibvirtParser
) -> None:
    count: int = pytestconfig.getoption("--generated-files")
    accepted = 0
    for number in range(count):
        text = generator.text()
        assert_agreement(text, libvirt, KIND_CYCLE[number % len(KIND_CYCLE)])
        accepted += isinstance(libvirt.read(text), Accepted)
    print(f"{count} files, {accepted} accepted, {count - accepted} rejected")
    # Or the generator makes too much of one sort to say anything.
    assert accepted >= count / 3
    assert count - accepted >= count / 3


def test_the_same_is_read_from_every_short_text(
    pytestconfig: pytest.Config, libvirt: LibvirtParser
) -> None:
    length = 5 if pytestconfig.getoption("--exhaustive") else 3
    for text in all_texts(length):
        assert_agreement(text, libvirt)
        assert_agreement(b"a=" + text, libvirt)
        assert_agreement(b'a="""' + text, libvirt)
        assert_agreement(b"a=[" + text, libvirt)


def accepted_texts(generator: Generator, count: int, longest: int) -> Iterator[bytes]:
    """``count`` generated texts that are taken, none of more than ``longest`` bytes."""
    while count:
        text = generator.text()
        if len(text) <= longest and not isinstance(ours(text), Refused):
            count -= 1
            yield text


def test_writing_back_keeps_every_byte(generator: Generator) -> None:
    flags = Augeas.NO_LOAD | Augeas.NO_MODL_AUTOLOAD | Augeas.NO_STDINC
    augeas = Augeas(root="/", loadpath=LENSES, flags=flags)
    # Augeas reads the bytes 1 to 4 and cannot write them: they are its own marks in a tree.
    marks = re.compile(rb"[\x01-\x04]")
    for text in accepted_texts(generator, 3000, longest=40_000):
        if not text or marks.search(text):
            continue
        # Augeas ends a file in a line feed when it loads it.
        characters = (text if text.endswith(b"\n") else text + b"\n").decode("latin-1")
        augeas.set("/text", characters)
        augeas.remove("/tree")
        augeas.text_store("Lockcfg_qemu.lns", "/text", "/tree")
        augeas.text_retrieve("Lockcfg_qemu.lns", "/text", "/tree", "/back")
        assert augeas.get("/back") == characters


def test_entries_say_where_they_stand(generator: Generator, libvirt: LibvirtParser) -> None:
    for text in accepted_texts(generator, 2000, longest=4000):
        entries = read_entries(text, QEMU_LOCKD, "here")
        document = Document(QEMU_LOCKD, "here", text, entries)
        end = 0
        for entry in entries:
            key, value = entry.key_span, entry.value_span
            assert end <= key.start < key.end < value.start < value.end <= len(text), text
            end = value.end
            assert text[key.start : key.end] == entry.key.encode("ascii")
            assert re.fullmatch(rb"[ \t]*=[ \t]*", text[key.end : value.start])
            literal = text[value.start : value.end]
            assert entry.literal == decode(literal)
            assert entry.comment == comment_after(text, end)
            place = document.place_of(entry)
            assert place.path == "here"
            assert (place.line, place.column) == line_and_column(text, value.start)
            assert place.text == decode(text.split(b"\n")[place.line - 1]).rstrip("\r")
            first_line = entry.literal.split("\n")[0]
            assert place.text[place.column - 1 :].startswith(first_line.rstrip("\r"))
            assert place.length == len(first_line)
            alone = b"x = " + literal + b"\n"
            assert [(one.key, one.value) for one in read_entries(alone, QEMU, "")] == [
                ("x", entry.value)
            ]
            assert_agreement(alone, libvirt)


def comment_after(text: bytes, at: int) -> str | None:
    """The comment of the statement whose value ends at ``at``."""
    rest = text[at:].lstrip(b" \t")
    if not rest.startswith(b"#"):
        return None
    return decode(re.split(rb"[\r\n]", rest[1:])[0].strip(b" \t"))


def line_and_column(text: bytes, at: int) -> tuple[int, int]:
    """As one counts who goes through the text from its beginning."""
    line = column = 1
    for character in decode(text[:at]):
        line, column = (line + 1, 1) if character == "\n" else (line, column + 1)
    return line, column


def whole(text: bytes) -> Condensed:
    """Instead of :func:`condense`: nothing left out."""
    return Condensed(text if text.endswith(b"\n") else text + b"\n", [(0, 0)])


def test_condensing_changes_nothing(generator: Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(3000):
        text = generator.text()
        if not text or len(text) > 40_000:
            continue
        with monkeypatch.context() as patch:
            patch.setattr(tree, "condense", whole)
            uncondensed = ours(text)
        condensed = ours(text)
        if isinstance(condensed, Refused) or isinstance(uncondensed, Refused):
            assert condensed == uncondensed, text
        else:
            assert list(map(fields, condensed)) == list(map(fields, uncondensed)), text


def test_reading_in_parts_changes_nothing(
    generator: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of a few bytes and elements, and everything at once."""
    for _ in range(3000):
        text = generator.text()
        if not text or len(text) > 40_000:
            continue
        with monkeypatch.context() as patch:
            patch.setattr(syntax, "_PART", 1 << 30)
            at_once = ours(text)
        with monkeypatch.context() as patch:
            patch.setattr(syntax, "_PART", 16)
            patch.setattr(syntax, "_ELEMENTS_IN_PART", 1)
            in_parts = ours(text)
        if isinstance(in_parts, Refused) or isinstance(at_once, Refused):
            assert in_parts == at_once, text
        else:
            assert list(map(fields, in_parts)) == list(map(fields, at_once)), text


@pytest.mark.parametrize(
    "element", [b'"a"', b"'a'", b'""', b'"5"', b"5", b'"""a\n"b"""', b'"\xc3\xa4"', b'"\xe4"']
)
@pytest.mark.parametrize("separator", [b",", b" ,\n  ", b"\r,"])
@pytest.mark.parametrize("last", [b"", b",", b", ,", b" 5", b"#", b"x"])
def test_a_long_list_is_read_as_libvirt_reads_it(
    libvirt: LibvirtParser, element: bytes, separator: bytes, last: bytes
) -> None:
    elements = separator.join([element] * 1000)
    text = b"before = 1\nkey = [ %b%b ] # why\nafter = 2\n" % (elements, last)
    assert_agreement(text, libvirt)


@pytest.mark.parametrize("separator", [b";", b" ; ", b"\r", b"\n", b"\r\n", b" # \xe4\n"])
@pytest.mark.parametrize("last", [b"", b"x", b"key = [", b'key = """'])
def test_many_settings_are_read_as_libvirt_reads_them(
    libvirt: LibvirtParser, separator: bytes, last: bytes
) -> None:
    assert_agreement(b'key = "a"%b' % separator * 1000 + last, libvirt)


def fields(entry: Entry) -> tuple[object, ...]:
    key, value = entry.key_span, entry.value_span
    spans = key.start, key.end, value.start, value.end
    return (entry.key, entry.value, entry.literal, entry.comment, *spans)


STATEMENTS: Final = (
    b"a = 1\n",
    b'b = "x" # why\n',
    b'c = ["x",\n]\r\n',
    b'd = """x"\n',
    b'e = ["""x"]\n',
    b'"""\n',
    b'"""]\n',
    b"# note\n",
    b"; \r\n",
    b"\xff = ''\n",
)

texts = st.lists(st.sampled_from(PIECES + STATEMENTS), max_size=25).map(b"".join)
line_texts = st.lists(st.sampled_from(STATEMENTS), max_size=8).map(b"".join)
property_test = settings(max_examples=1500, deadline=None, database=None, derandomize=True)


@property_test
@given(texts)
def test_condensed_offsets_lead_back_over_blanks_and_comments_only(text: bytes) -> None:
    condensed = condense(text)
    body = condensed.text
    offsets = [condensed.offset(at) for at in range(len(body))]
    if body and text[offsets[-1] : offsets[-1] + 1] != b"\n":
        # The line feed that was put behind the last statement.
        assert body.endswith(b"\n")
        body, offsets = body[:-1], offsets[:-1]
    assert body == bytes(text[offset] for offset in offsets)
    left_out = re.compile(rb"([ \t\r\n]|#[^\r\n]*([\r\n]|\Z))*")
    at = 0
    for offset in [*offsets, len(text)]:
        assert offset >= at
        assert left_out.fullmatch(text, at, offset)
        at = offset + 1


@property_test
@given(line_texts)
def test_libvirt_reads_the_same_from_a_condensed_text(libvirt: LibvirtParser, text: bytes) -> None:
    # With a line feed at its end, as the condensed one has.
    original = libvirt.read(text + b"\n" if text else b"")
    condensed = libvirt.read(condense(text).text)
    if isinstance(original, Accepted) or isinstance(condensed, Accepted):
        assert original == condensed
