"""A configuration file's settings as YAML or JSON: a mapping of settings to values.

That is how configuration management keeps them, and what an editor completes with the schemas.
"""

from __future__ import annotations

from lockcfg.conf.load import read_bytes
from lockcfg.conf.settings import schema_of
from lockcfg.findings import Finding
from lockcfg.yamlschema import load_yaml, violations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.conf.files import FileKind


def check_rendering(path: str, kind: FileKind) -> list[Finding]:
    """What the JSON Schema of ``kind`` has against the rendering at ``path``.

    Raises :class:`ReadError` for a file that is neither YAML nor JSON.
    """
    return [
        Finding("schema", "error", message, path=path, key=place.partition(".")[0] or None)
        for place, message in violations(load_yaml(read_bytes(path), path), schema_of(kind))
    ]
