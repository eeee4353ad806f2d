"""The configuration files of libvirt and of sanlock, as the lenses read them and as they are
edited. The lenses do not write: an edit changes the text."""

from __future__ import annotations

from tests.fuzz.running import guided, run

with guided("lockcfg"):
    from lockcfg import ConfSyntaxError
    from lockcfg.conf.document import Document, encode
    from lockcfg.conf.edit import set_value
    from lockcfg.conf.files import READ
    from lockcfg.conf.load import parse

_KINDS = [*READ.values()]
#: How many settings of a file are changed.
_CHANGED = 3


def TestOneInput(data: bytes) -> None:  # noqa: N802
    """The first byte says which kind of file the rest is. It is taken, and no byte is lost; or it
    is refused with the line and the column."""
    kind, text = _KINDS[data[0] % len(_KINDS) if data else 0], data[1:]
    try:
        document = parse(text, kind, kind.name)
    except ConfSyntaxError as error:
        _check_place(error, text)
        return
    _check_spans(document, text)
    if kind.grammar == "libvirt":
        for key in dict.fromkeys(entry.key for entry in document.entries[:_CHANGED]):
            _check_change(document, text, key)


def _check_place(error: ConfSyntaxError, text: bytes) -> None:
    """It is a place in the text, or the end of it."""
    lines = text.split(b"\n")
    place = error.place
    assert 1 <= place.line <= len(lines), place
    line = lines[place.line - 1].decode("utf-8", "surrogateescape")
    assert 1 <= place.column <= len(line) + 1, place
    assert error.reason


def _check_spans(document: Document, text: bytes) -> None:
    """Each setting is where it is said to be, one after the other."""
    at = 0
    for entry in document.entries:
        key, value = entry.key_span, entry.value_span
        assert at <= key.start < key.end <= value.start <= value.end <= len(text)
        assert text[key.start : key.end] == encode(entry.key)
        assert text[value.start : value.end] == encode(entry.literal)
        at = value.end


def _check_change(document: Document, text: bytes, key: str) -> None:
    """Another value takes the place of the old one, and all the rest stays."""
    entry = document.get(key)
    assert entry is not None
    value = "one" if entry.value != "one" else "other"
    span = entry.value_span
    expected = text[: span.start] + f'"{value}"'.encode() + text[span.end :]
    assert set_value(document, key, value).text == expected


if __name__ == "__main__":
    run(TestOneInput)
