"""A configuration file's settings as YAML or JSON: a mapping of settings to values.

Configuration management keeps them so, and an editor completes them with the schemas.
"""

from __future__ import annotations

from lockcfg.conf.load import read_bytes
from lockcfg.conf.settings import schema_of, together_in
from lockcfg.findings import Finding
from lockcfg.yamlschema import load_yaml, violations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.conf.files import FileKind


def check_rendering(path: str, kind: FileKind) -> list[Finding]:
    """The violations of the JSON Schema of ``kind`` in the rendering at ``path``.

    Raises :class:`ReadError` for a file that is neither YAML nor JSON.
    """
    content = load_yaml(read_bytes(path), path)
    # What holds together stands there for editors: we say it in words.
    schema = {
        word: value
        for word, value in schema_of(kind).items()
        if word not in ("allOf", "if", "then")
    }
    found = [
        Finding(
            "schema",
            "error",
            f"{place}: {message}" if place else message,
            path=path,
            key=place.partition(".")[0] or None,
        )
        for place, message in violations(content, schema)
    ]
    if found or not isinstance(content, dict):
        return found
    values = {
        key: tuple(value) if isinstance(value, list) else value for key, value in content.items()
    }
    return [
        Finding("schema", "error", f"{key} breaks: {rule.text}", path=path, key=key)
        for rule in together_in(kind)
        if (key := rule.broken_by(values)) is not None
    ]
