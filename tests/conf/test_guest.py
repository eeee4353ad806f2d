"""What descriptions of guests tell, and texts that are none."""

from __future__ import annotations

import pytest

from lockcfg.conf.guest import guest_in

PATH = "qemu/web1.xml"


def test_it_is_found_where_it_is() -> None:
    """The place shows nothing else of its line, which has a password here."""
    before = "<domain type='kvm'><name>ä</name><graphics passwd='secret'/>"
    element = "<on_lockfailure>pause</on_lockfailure>"
    text = f"<?xml version='1.0'?>\n<!-- on -->\n{before}{element}<x/></domain>\n"
    guest = guest_in(text.encode(), PATH)
    assert guest is not None
    assert (guest.path, guest.name, guest.on_lockfailure) == (PATH, "ä", "pause")
    place = guest.place
    assert (place.path, place.line, place.column) == (PATH, 3, len(before) + 1)
    assert (place.text, place.length) == (" " * len(before) + element, len(element))


@pytest.mark.parametrize(
    ("inside", "says"),
    [
        ("<on_lockfailure/>", ""),
        ("<on_lockfailure>\n  restart\n</on_lockfailure>", "restart"),
        ("<on_lockfailure>po<!-- x -->wer<![CDATA[off]]></on_lockfailure>", "poweroff"),
        ("<on_lockfailure>pause</on_lockfailure><on_lockfailure>ignore</on_lockfailure>", "pause"),
        ("<on_lockfailure>a<b>c</b>d</on_lockfailure>", "ad"),
    ],
)
def test_what_it_says(inside: str, says: str) -> None:
    """The first counts, as it does to libvirt."""
    guest = guest_in(f"<domain>{inside}</domain>".encode(), PATH)
    assert guest is not None
    assert guest.on_lockfailure == says


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no XML at all",
        "<domain><name>web1</name></domain>",
        "<domain><!-- <on_lockfailure>pause</on_lockfailure> --></domain>",
        "<domain><metadata><on_lockfailure>pause</on_lockfailure></metadata></domain>",
        "<network><on_lockfailure>pause</on_lockfailure></network>",
        "<x><domain><on_lockfailure>pause</on_lockfailure></domain></x>",
    ],
)
def test_nothing_is_found(text: str) -> None:
    """What has no such element as a child of a guest's own."""
    assert guest_in(text.encode(), PATH) is None


@pytest.mark.parametrize(
    "text",
    [
        b"<domain><on_lockfailure>pause</on_lockfailure>",
        b"on_lockfailure",
        b"<!DOCTYPE d [<!ENTITY a 'b'>]><domain><on_lockfailure>&a;</on_lockfailure></domain>",
        b"<?xml version='1.0' encoding='none'?><domain><on_lockfailure/></domain>",
        b"<?xml version='1.0' encoding='big5'?><domain><on_lockfailure/></domain>",
        b"<domain><on_lockfailure>\xff</on_lockfailure></domain>",
        b"\0<on_lockfailure",
    ],
)
def test_what_is_not_xml_is_refused(text: bytes) -> None:
    """With the reason, and without a traceback."""
    with pytest.raises(ValueError, match=r"\w"):
        guest_in(text, PATH)
