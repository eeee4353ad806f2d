"""What the pages share: each is one file, and runs only its own script."""

from __future__ import annotations

import base64
import hashlib
import os

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from lockcfg.report.terminal import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

_HERE: Final = os.path.dirname(os.path.abspath(__file__))


def environment() -> Environment:
    """An environment with the templates beside this file."""
    return Environment(
        loader=FileSystemLoader(_HERE, encoding="utf-8"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_printable,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _printable(value: Any) -> Any:
    """Show unprintable characters as escapes, in everything that a template shows. Direction marks
    and the like would make one name look like another."""
    return escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def text_of(name: str) -> Markup:
    """A style or script beside this file, which goes into a page as it is."""
    with open(os.path.join(_HERE, name), encoding="utf-8") as stream:
        return Markup(stream.read())  # noqa: S704


def breakable(ranges: str) -> Markup:
    """Ranges whose lines break after a comma and not within a number. The names are escaped."""
    return Markup(",<wbr>").join(escape(ranges).split(","))


def content_policy(style: str, script: str = "") -> str:
    """What the browser may load for a page: its own style and script, and nothing else."""
    script_source = f"'{_digest(script)}'" if script else "'none'"
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src {script_source}; "
        "base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"
