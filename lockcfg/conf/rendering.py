"""A configuration file's settings as YAML or JSON: a mapping of settings to values.

That is how configuration management keeps them, and what an editor completes with the schemas.
"""

from __future__ import annotations

from lockcfg.conf.load import read_bytes
from lockcfg.conf.settings import schema_of
from lockcfg.errors import ReadError
from lockcfg.findings import Finding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from lockcfg.conf.files import FileKind


def check_rendering(path: str, kind: FileKind) -> list[Finding]:
    """What the JSON Schema of ``kind`` has against the rendering at ``path``.

    Raises :class:`ReadError` for a file that is neither YAML nor JSON.
    """
    import yaml
    from jsonschema import Draft202012Validator

    try:
        rendering = yaml.safe_load(read_bytes(path))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        reason = " ".join(str(error).split())[:200]
        raise ReadError(path, f"is not YAML or JSON: {reason}") from error
    validator = Draft202012Validator(schema_of(kind))
    return [
        Finding(
            "schema",
            "error",
            error.message[:200],
            path=path,
            key=str(error.absolute_path[0]) if error.absolute_path else None,
        )
        for error in sorted(validator.iter_errors(rendering), key=lambda e: list(map(str, e.path)))
    ]
