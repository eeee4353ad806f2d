"""Edits: which bytes they touch, where a new setting lands, and what libvirt then reads."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lockcfg import libvirt_release
from lockcfg.conf.document import decode, encode
from lockcfg.conf.edit import set_value, unset
from lockcfg.conf.files import KINDS, QEMU
from lockcfg.conf.load import parse
from lockcfg.conf.settings import spell
from lockcfg.errors import ConfSyntaxError, UsageError
from tests.conftest import SAMPLES
from tests.real.libvirt_parser import Accepted, LibvirtParser

if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Document, Value
    from tests.real.libvirt_parser import Value as LibvirtValue

SAMPLE_NAMES: Final = ("qemu.conf", "qemu-lockd.conf", "virtlockd.conf")

LIBVIRT: Final = LibvirtParser()


def document(text: bytes) -> Document:
    return parse(text, QEMU, "/etc/libvirt/qemu.conf")


def after_set(text: bytes, key: str, value: Value) -> bytes:
    edited = set_value(document(text), key, value)
    assert edited.text is not None
    return edited.text


def after_unset(text: bytes, key: str) -> bytes:
    edited = unset(document(text), key)
    assert edited.text is not None
    return edited.text


def in_force(text: bytes) -> dict[str, LibvirtValue]:
    """What libvirt's own parser makes of ``text``."""
    outcome = LIBVIRT.read(text)
    assert isinstance(outcome, Accepted), (text, outcome)
    return outcome.in_force


def as_libvirt_holds(value: Value) -> LibvirtValue:
    if isinstance(value, str):
        return encode(value)
    if isinstance(value, int):
        return value
    return tuple(as_libvirt_holds(element) for element in value)


# --- examples -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("before", "value", "after"),
    [
        (b"a = 1\n", 2, b"a = 2\n"),
        (b"a=1", 2, b"a=2"),
        (b"\t a\t=  01 # why\n", 2, b"\t a\t=  2 # why\n"),
        (b"a = 'x'\n", "y", b'a = "y"\n'),
        (b'a = "x"\r\nb = 2\r\n', "y", b'a = "y"\r\nb = 2\r\n'),
        (b"b = 0;a = 1 ;  c = 2", 7, b"b = 0;a = 7 ;  c = 2"),
        (b'a = [ "x",\n  "y",\n]\nb = 1\n', ("z",), b'a = [ "z" ]\nb = 1\n'),
        (b'a = """x\ny"""\nb = 1\n', 3, b"a = 3\nb = 1\n"),
        (b"a = 1\n", "it's", b'a = "it\'s"\n'),
        (b"a = 1\n", 'say "x"', b"a = 'say \"x\"'\n"),
        (b"a = 1\n", "two\nlines", b'a = """two\nlines"""\n'),
        (b"a = 1\n", (), b"a = [ ]\n"),
        (b"a = 1", "a\rb", b'a = """a\rb"""'),
        (b'# \xe9\xff\na = "\xff"\n', "caf\u00e9\udcfe", b'# \xe9\xff\na = "caf\xc3\xa9\xfe"\n'),
    ],
)
def test_a_changed_value_changes_its_own_bytes(before: bytes, value: Value, after: bytes) -> None:
    assert after_set(before, "a", value) == after
    assert in_force(after)["a"] == as_libvirt_holds(value)


def test_the_first_of_a_key_given_twice_is_changed() -> None:
    # libvirt uses the first one: a change of the second would do nothing.
    assert after_set(b"a = 1\na = 2\n", "a", 3) == b"a = 3\na = 2\n"
    assert after_set(b"a = 1\na = 2\n", "a", 2) == b"a = 2\na = 2\n"


@pytest.mark.parametrize("spelling", [b"1", b"01", b"+1"])
def test_what_is_set_already_is_left_as_it_is_spelled(spelling: bytes) -> None:
    before = document(b"a = " + spelling + b"\n")
    assert set_value(before, "a", 1) is before


@pytest.mark.parametrize("spelling", [b"'x'", b'"x"', b'"""x"""'])
def test_quotes_are_no_reason_to_write(spelling: bytes) -> None:
    before = document(b"a = " + spelling + b"\n")
    assert set_value(before, "a", "x") is before


def test_an_integer_and_its_digits_are_two_values() -> None:
    assert after_set(b'a = "1"\n', "a", 1) == b"a = 1\n"
    assert after_set(b"a = 1\n", "a", "1") == b'a = "1"\n'


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(b"", b"a = 1\n", id="an empty file"),
        pytest.param(b"b = 2\n", b"b = 2\na = 1\n", id="no sample: at the end"),
        pytest.param(b"b = 2", b"b = 2\na = 1\n", id="the last line not ended"),
        pytest.param(b"b = 2;", b"b = 2;\na = 1\n", id="the last statement ended by ';'"),
        pytest.param(b"# b", b"# b\na = 1\n", id="a comment at the end, not ended"),
        pytest.param(b"b = 2\r\n", b"b = 2\r\na = 1\r\n", id="CRLF: as the other lines"),
        pytest.param(b"b = 2\r", b"b = 2\ra = 1\n", id="CR alone ends a line too"),
        pytest.param(b"#a = 0\nb = 2\n", b"#a = 0\na = 1\nb = 2\n", id="under the sample"),
        pytest.param(b"#a = 0", b"#a = 0\na = 1\n", id="under a sample that is not ended"),
        pytest.param(b"#a=0\n", b"#a=0\na=1\n", id="without blanks, as the sample"),
        pytest.param(b"  #  a\t=  0\n", b"  #  a\t=  0\na\t=  1\n", id="with its blanks"),
        pytest.param(b"#a = 0\r\n#\r\n", b"#a = 0\r\na = 1\r\n#\r\n", id="a sample with CRLF"),
        pytest.param(b"#a = 0\r# x\r", b"#a = 0\ra = 1\n# x\r", id="a sample with CR alone"),
        pytest.param(
            b"# x\r#a = 0\r#a = 0\rb = 2\r",
            b"# x\r#a = 0\r#a = 0\ra = 1\nb = 2\r",
            id="CR everywhere",
        ),
        pytest.param(
            b"# set a = 5 or:\n#\n# a = 5\n#a = 0\n\n#b = 1\n",
            b"# set a = 5 or:\n#\n# a = 5\n#a = 0\na = 1\n\n#b = 1\n",
            id="the last sample, not the prose",
        ),
        pytest.param(
            b"#aa = 0\n#ba = 0\n#a_ = 0\n#A = 0\n##a = 0\n",
            b"#aa = 0\n#ba = 0\n#a_ = 0\n#A = 0\n##a = 0\na = 1\n",
            id="samples of other keys are none of this one",
        ),
        pytest.param(
            b'b = """\n#a = 0\n"""\n#c = 1\n',
            b'b = """\n#a = 0\n"""\n#c = 1\na = 1\n',
            id="a string is no sample",
        ),
        pytest.param(
            b"b = 2 #a = 0\nc = 3\n",
            b"b = 2 #a = 0\nc = 3\na = 1\n",
            id="a comment behind a setting is no sample",
        ),
        pytest.param(
            b'b = """x"""\n#a = 0\nc = [\n1,\n]\n#d = 0\n',
            b'b = """x"""\n#a = 0\na = 1\nc = [\n1,\n]\n#d = 0\n',
            id="between settings of every form",
        ),
        pytest.param(
            b'#a = [\n#    "x", "y",\n#    "z"\n#]\n#\n# More.\n',
            b'#a = [\n#    "x", "y",\n#    "z"\n#]\na = 1\n#\n# More.\n',
            id="a list over several lines",
        ),
        pytest.param(
            b'#a = [\r\n#  "x"\r\n# ]\r\nb = 1\r\n',
            b'#a = [\r\n#  "x"\r\n# ]\r\na = 1\r\nb = 1\r\n',
            id="a list over several lines with CRLF",
        ),
        pytest.param(
            b'#a = [\n#  "x"\nb = 1\n',
            b'#a = [\na = 1\n#  "x"\nb = 1\n',
            id="a list that is never closed",
        ),
        pytest.param(b"#a = [ 0 ]\n#]\n", b"#a = [ 0 ]\na = 1\n#]\n", id="a list on one line"),
        pytest.param(b"\n\n# x\n\n", b"\n\n# x\n\na = 1\n", id="blank lines stay"),
    ],
)
def test_a_new_setting_goes_where_an_admin_would_put_it(before: bytes, after: bytes) -> None:
    edited = after_set(before, "a", 1)
    assert edited == after
    assert in_force(edited)["a"] == 1
    back = after_unset(edited, "a")
    assert back == before if before[-1:] in (b"", b"\n", b"\r") else back == before + b"\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"a = 1\n", b""),
        (b"a = 1", b""),
        (b"\n  a = 1\n\t\r\n", b""),
        (b"a = 1\na = 2\n", b""),
        (b"a = 1; a = 2", b""),
        (b"b = 2\na = 1\nc = 3\n", b"b = 2\nc = 3\n"),
        (b"b = 2\na = 1", b"b = 2\n"),
        (b"b = 2\r\n a = 1 # why\r\nc = 3\r\n", b"b = 2\r\nc = 3\r\n"),
        (b"#a = 0\na = 1\n", b"#a = 0\n"),
        (b"a = 1; b = 2\n", b"b = 2\n"),
        (b"b = 2; a = 1\n", b"b = 2;\n"),
        (b"b = 2; a = 1; c = 3\n", b"b = 2; c = 3\n"),
        (b"b = 2; a = 1 # why\nc = 3\n", b"b = 2;\nc = 3\n"),
        (b'a = [ "x",\n  "y"\n]\nb = 1\n', b"b = 1\n"),
        (b'a = """x\n#y\n""" # why\nb = 1\n', b"b = 1\n"),
        (b"a = 1\nb = 2\na = 3\nc = 4\na = 5", b"b = 2\nc = 4\n"),
        (b"b = 2\ra = 1\rc = 3\r", b"b = 2\rc = 3\r"),
        (b"b = 2\n", b"b = 2\n"),
        (b"", b""),
    ],
)
def test_unset_takes_the_line_and_nothing_else(before: bytes, after: bytes) -> None:
    assert after_unset(before, "a") == after
    assert "a" not in in_force(after)


def test_unset_of_what_is_not_set_is_no_change() -> None:
    before = document(b"b = 2\n")
    assert unset(before, "a") is before


def test_a_file_that_does_not_exist_is_made_by_set_alone() -> None:
    from lockcfg.conf.document import Document

    missing = Document(QEMU, "/x/qemu.conf", None, ())
    assert unset(missing, "a") is missing
    assert set_value(missing, "a", 1).text == b"a = 1\n"


@pytest.mark.parametrize(
    "value", ["'\"", 'it\'s "x"', '\n"', '\n"""\n', '\'"""\'', "a\0b", "\ud800"]
)
def test_what_the_syntax_cannot_hold_is_refused(value: str) -> None:
    for text in (b"", b"a = 1\n"):
        with pytest.raises(UsageError) as caught:
            set_value(document(text), "a", value)
        assert "a: " in caught.value.message
        with pytest.raises(UsageError):
            set_value(document(text), "a", ("x", value))


@pytest.mark.parametrize("value", [10**99, -(10**99), 10**150, (1, 10**120)])
def test_an_integer_that_could_not_be_read_back_is_refused(value: Value) -> None:
    with pytest.raises(UsageError, match="more than 64 bits"):
        set_value(document(b""), "a", value)


@pytest.mark.parametrize("value", [2**64, -(2**63) - 1, 10**99 - 1, 1 - 10**99])
def test_one_that_libvirt_cannot_hold_is_written_for_the_check_to_find(value: int) -> None:
    assert after_set(b"", "a", value) == b"a = %d\n" % value


# --- the files that libvirt installs --------------------------------------------------------


def samples_in(text: bytes) -> list[tuple[str, bytes, bytes, int]]:
    """Every commented-out setting: key, 'key = ' as it is spelled, its value, where it ends."""
    found: dict[str, tuple[str, bytes, bytes, int]] = {}
    lines = text.splitlines(keepends=True)
    at = 0
    for number, line in enumerate(lines):
        at += len(line)
        match = re.match(rb"#([a-z_]+)( ?= ?)(.*)\n", line)
        if not match:
            continue
        key, equals, literal, end = match[1].decode(), match[2], match[3], at
        if literal == b"[":
            for follows in lines[number + 1 :]:
                end += len(follows)
                literal += b"\n" + follows.removeprefix(b"#").rstrip(b"\n")
                if follows == b"#]\n":
                    break
        found[key] = (key, match[1] + equals, literal, end)
    return list(found.values())


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_every_sample_of_libvirt_can_be_switched_on_and_off(name: str) -> None:
    text = (SAMPLES / name).read_bytes()
    samples = samples_in(text)
    assert len(samples) >= {"qemu.conf": 70, "qemu-lockd.conf": 5, "virtlockd.conf": 4}[name]
    original = parse(text, KINDS[name], name)
    assert not original.entries
    everything = original
    for key, assignment, literal, end in samples:
        # What libvirt reads there once the '#' is taken away.
        meant = in_force(assignment + literal + b"\n")[key]
        alone = parse(assignment + literal + b"\n", KINDS[name], name).get(key)
        assert alone is not None
        edited = set_value(original, key, alone.value)
        on_one_line = re.sub(rb",?\n\]", b" ]", re.sub(rb"\[\n *", b"[ ", literal))
        on_one_line = re.sub(rb",\n? *", b", ", on_one_line)
        line = assignment + on_one_line + b"\n"
        assert edited.text == text[:end] + line + text[end:]
        assert in_force(edited.text) == {key: meant}
        assert unset(edited, key).text == text
        everything = set_value(everything, key, alone.value)
    assert everything.text is not None
    assert len(in_force(everything.text)) == len(samples)
    for key, *_ in samples:
        everything = unset(everything, key)
    assert everything.text == text


@pytest.mark.parametrize("name", SAMPLE_NAMES)
def test_samples_with_crlf_get_settings_with_crlf(name: str) -> None:
    text = (SAMPLES / name).read_bytes().replace(b"\n", b"\r\n")
    original = parse(text, KINDS[name], name)
    for key, assignment, _, _ in samples_in(text.replace(b"\r\n", b"\n")):
        edited = set_value(original, key, "x")
        assert edited.text is not None
        assert edited.text.count(b"\r\n" + assignment + b'"x"\r\n') == 1
        assert edited.text.count(b"\n") == edited.text.count(b"\r\n")
        assert in_force(edited.text) == {key: b"x"}
        assert unset(edited, key).text == text


# --- properties -----------------------------------------------------------------------------

KEYS: Final = ("a", "ab", "lock_manager", "B9_")

property_test = settings(max_examples=300, deadline=None, database=None, derandomize=True)


def eols() -> st.SearchStrategy[bytes]:
    return st.sampled_from((b"\n", b"\n", b"\r\n", b"\r"))


def blanks() -> st.SearchStrategy[bytes]:
    return st.sampled_from((b"", b"", b" ", b"\t", b"  "))


#: The largest and the smallest number that the installed libvirt takes: newer ones refuse what 9.0
#: wraps round.
LARGEST: Final = 2**64 - 1 if libvirt_release() < (11, 3, 0) else 2**63 - 1
SMALLEST: Final = max(-(2**63), -LARGEST)

integers: Final = st.one_of(
    st.integers(-3, 10), st.integers(SMALLEST, LARGEST), st.sampled_from((LARGEST, SMALLEST))
)
strings: Final = st.text(
    st.sampled_from("ab/1 \t\"'#;=[],\n\r\\\u00e9\u20ac\udcff\x07"), max_size=12
)
values: Final = st.one_of(
    integers, strings, st.lists(st.one_of(integers, strings), max_size=4).map(tuple)
)


def writable(value: Value) -> bool:
    try:
        spell(value)
    except ValueError:
        return False
    return True


@st.composite
def literals(draw: st.DrawFn) -> bytes:
    """A value as a user may have spelled it."""
    form = draw(st.integers(0, 5))
    if form == 0:
        return draw(st.sampled_from((b"0", b"1", b"-5", b"+7", b"007", b"%d" % LARGEST)))
    word = encode(draw(st.text(st.sampled_from("ab/ #;=[],\u00e9\udcff"), max_size=8)))
    if form == 1:
        return b'"' + word + b'"'
    if form == 2:
        return b"'" + word + b"'"
    if form == 3:
        return b'"""' + word + draw(eols()) + b"#" + word + b'"""'
    space = draw(st.sampled_from((b"", b" ", b"\n  ", b"\r\n\t")))
    elements = draw(st.lists(st.sampled_from((b"1", b'"x#]"', b"'y'", b'"""z\n"""')), max_size=3))
    last = draw(st.sampled_from((b"", b","))) if elements else b""
    return b"[" + space + (b"," + space).join(elements) + last + space + b"]"


@st.composite
def texts(draw: st.DrawFn) -> bytes:
    """A file that libvirt may take: settings, samples and comments, every comment another."""
    text = b""
    for number in range(draw(st.integers(0, 7))):
        form = draw(st.integers(0, 9))
        tag = b"<%d>" % number
        if form == 0:
            text += draw(blanks()) + draw(eols())
        elif form == 1:
            text += draw(blanks()) + b"# note " + tag + draw(eols())
        elif form in (2, 3):
            key = encode(draw(st.sampled_from(KEYS)))
            sample = draw(st.sampled_from((b"0", b'"x"', b"[\n# 1,\n#]", b"[ 1 ]", b"[")))
            text += b"#" + draw(blanks()) + key + draw(blanks()) + b"=" + draw(blanks())
            text += sample + draw(eols())
        else:
            key = encode(draw(st.sampled_from(KEYS)))
            text += draw(blanks()) + key + draw(blanks()) + b"=" + draw(blanks())
            text += draw(literals()) + draw(blanks())
            end = draw(st.integers(0, 4))
            if end == 0:
                text += b"; "
            elif end == 1:
                text += b"# why " + tag + draw(eols())
            else:
                text += draw(eols())
    return text.rstrip(b"\r\n") if draw(st.integers(0, 3)) == 0 else text


@st.composite
def documents(draw: st.DrawFn) -> Document:
    text = draw(texts())
    try:
        return document(text)
    except ConfSyntaxError:
        assume(False)
        raise


def others(one: Document, key: str) -> list[tuple[str, Value, str, str | None]]:
    return [(e.key, e.value, e.literal, e.comment) for e in one.entries if e.key != key]


@property_test
@given(documents(), st.sampled_from(KEYS), values)
def test_set_changes_one_stretch_and_libvirt_reads_what_was_meant(
    before: Document, key: str, value: Value
) -> None:
    if not writable(value):
        with pytest.raises(UsageError):
            set_value(before, key, value)
        return
    after = set_value(before, key, value)
    text = before.text or b""
    assert after.text is not None
    assert set_value(after, key, value) is after
    assert others(after, key) == others(before, key)
    expected = in_force(text) | {key: as_libvirt_holds(value)}
    assert in_force(after.text) == expected
    entry = before.get(key)
    new = after.get(key)
    assert new is not None
    if entry is not None:
        # Its value's bytes alone, and every other entry of the key stays too.
        span = entry.value_span
        assert text[: span.start] == after.text[: span.start]
        assert text[span.end :] == after.text[new.value_span.end :]
        assert [e.value for e in after.all(key)][1:] == [e.value for e in before.all(key)][1:]
        return
    # A line of its own, between two lines.
    at, end = new.key_span.start, new.value_span.end
    rest = after.text[end:]
    eol = b"\r\n" if rest.startswith(b"\r\n") else b"\n"
    assert rest.startswith(eol)
    head, tail = after.text[:at], rest[len(eol) :]
    if head + tail != text:
        # The one thing that may be put in besides ends a line that had no end.
        assert head.endswith(eol)
        assert head.removesuffix(eol) == text
        assert not tail
        assert text[-1:] not in (b"\n", b"\r")
    else:
        assert head[-1:] in (b"", b"\n", b"\r")
    samples = list(re.finditer(rb"(?<![^\r\n])[ \t]*#[ \t]*%b[ \t]*=" % encode(key), text))
    if not samples:
        assert not tail


@property_test
@given(documents(), st.sampled_from(KEYS), values.filter(writable))
def test_unset_undoes_set(before: Document, key: str, value: Value) -> None:
    text = before.text or b""
    if before.get(key) is None:
        after = set_value(before, key, value)
        back = unset(after, key).text
        if text[-1:] not in (b"", b"\n", b"\r") and after.get(key) == after.entries[-1]:
            # It may have gone behind a line that had no end; that line keeps the end.
            back = back.removesuffix(b"\r\n" if b"\r\n" in text else b"\n") if back else back
        assert back == text
    else:
        # A value set back: the bytes of the spelling aside, nothing has happened.
        entry = before.get(key)
        assert entry is not None
        restored = set_value(set_value(before, key, value), key, entry.value)
        assert [(e.key, e.value) for e in restored.entries] == [
            (e.key, e.value) for e in before.entries
        ]


@property_test
@given(documents(), st.sampled_from(KEYS))
def test_unset_leaves_everything_else(before: Document, key: str) -> None:
    after = unset(before, key)
    text = before.text or b""
    assert after.text is not None
    assert after.get(key) is None
    assert unset(after, key) is after
    assert others(after, key) == others(before, key)
    force = in_force(text)
    force.pop(key, None)
    assert in_force(after.text) == force
    # Nothing is added, and what goes is the settings with the comments behind them.
    bytes_before = iter(text)
    assert all(byte in bytes_before for byte in after.text)
    for note in re.findall(rb"# note <\d>", text):
        assert note in after.text
    if not any(entry.key == key for entry in before.entries):
        assert after is before


@property_test
@given(texts())
def test_reading_keeps_every_byte(text: bytes) -> None:
    try:
        read = document(text)
    except ConfSyntaxError:
        assert not isinstance(LIBVIRT.read(text), Accepted)
        return
    assert read.text == text
    assert decode(text).encode("utf-8", "surrogateescape") == text


def test_the_documents_made_here_are_of_every_sort() -> None:
    seen: set[str] = set()

    @property_test
    @given(documents())
    def look(one: Document) -> None:
        text = one.text or b""
        keys = [entry.key for entry in one.entries]
        seen.update(
            name
            for name, there in {
                "empty": not text,
                "duplicates": len(set(keys)) < len(keys),
                "one line, two settings": re.search(rb"; *[aBl]", text) is not None,
                "a comment behind": any(entry.comment for entry in one.entries),
                "a list": any(isinstance(entry.value, tuple) for entry in one.entries),
                "not ended": text[-1:] not in (b"", b"\n", b"\r"),
                "CRLF": b"\r\n" in text,
                "a long sample": b"[\n# 1,\n#]" in text,
            }.items()
            if there
        )

    look()
    assert len(seen) == 8, seen
