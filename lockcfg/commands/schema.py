"""``lockcfg schema``: describe the settings."""

from __future__ import annotations

from lockcfg.commands.arguments import add_json
from lockcfg.conf.files import READ
from lockcfg.conf.settings import (
    schema_of,
    schema_path,
    settings_of,
    spell,
    together_in,
)
from lockcfg.errors import UnknownKeyError
from lockcfg.nearest import nearest
from lockcfg.report import terminal
from lockcfg.resources import LENSES

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lockcfg.conf.settings import Setting

DESCRIPTION = """\
Describe settings: what each does, its type, choices, range and default, and which libvirt
releases know it. With the name of a file and --json, print the JSON Schema of that file, which
an editor or validator takes; with --path, where that schema is. With --check, validate a YAML
or JSON rendering of a file (a mapping of settings to values) with it.
"""
EXAMPLES = (
    ("lockcfg schema lock_manager", "describe one setting"),
    ("lockcfg schema qemu-lockd.conf", "list the settings of a file"),
    ("lockcfg schema --json qemu.conf", "print the JSON Schema of a file"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument(
        "name", nargs="?", metavar="KEY|FILE", help="a setting or one of libvirt's files"
    )
    parser.add_argument("--path", action="store_true", help="print where the schema file is")
    parser.add_argument("--lenses", action="store_true", help="print where the Augeas lenses are")
    parser.add_argument(
        "--check", metavar="RENDERING", help="validate a YAML or JSON rendering of FILE"
    )
    add_json(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    name = arguments.name
    if arguments.lenses:
        terminal.stdout().value(LENSES)
        return 0
    if name is None:
        return _list_files(arguments)
    if name in READ:
        return _file(name, arguments)
    kinds = tuple(kind for kind in READ.values() if name in settings_of(kind))
    if not kinds:
        keys = [key for kind in READ.values() for key in settings_of(kind)]
        near = nearest(name, [*keys, *READ])
        raise UnknownKeyError(name, help=f"did you mean '{near}'?" if near else "")
    if arguments.json:
        from lockcfg.report import jsonreport

        jsonreport.write({kind.name: dict(settings_of(kind)[name].schema) for kind in kinds})
        return 0
    for kind in sorted(kinds, key=lambda kind: "qemu" not in kind.drivers):
        _describe(settings_of(kind)[name])
    return 0


def _list_files(arguments: argparse.Namespace) -> int:
    if arguments.json:
        from lockcfg.report import jsonreport

        jsonreport.write({name: schema_path(kind) for name, kind in READ.items()})
        return 0
    rows = [
        (name, schema_path(kind) if arguments.path else f"{len(settings_of(kind))} settings")
        for name, kind in READ.items()
    ]
    terminal.stdout().table(rows)
    return 0


def _file(name: str, arguments: argparse.Namespace) -> int:
    kind = READ[name]
    if arguments.check is not None:
        return _check(name, arguments)
    if arguments.path:
        terminal.stdout().value(schema_path(kind))
    elif arguments.json:
        from lockcfg.report import jsonreport

        jsonreport.write(schema_of(kind))
    else:
        rows = [
            (key, setting.type, _default(setting)) for key, setting in settings_of(kind).items()
        ]
        terminal.stdout().table([("setting", "type", "default"), *rows])
    return 0


def _check(name: str, arguments: argparse.Namespace) -> int:
    from lockcfg.conf.rendering import check_rendering
    from lockcfg.report import jsonreport

    findings = check_rendering(arguments.check, READ[name])
    if arguments.json:
        found = [jsonreport.finding(finding) for finding in findings]
        jsonreport.write({"files": 1, "findings": found, "unreadable": []})
    else:
        for finding in findings:
            terminal.stdout().finding(finding)
    return 1 if findings else 0


def _describe(setting: Setting) -> None:
    out = terminal.stdout()
    out.line(f"{out.style(setting.key, 'bold')} ({setting.kind.name})")
    out.line(f"  {setting.description}")
    rows = [("takes", setting.expected)]
    if setting.choices:
        rows.append(("choices", ", ".join(setting.choices)))
    rows.append(("default", _default(setting)))
    since = f"{setting.kind.program} {setting.since}"
    rows.append(
        ("known", f"{since} to before {setting.removed}" if setting.removed else f"since {since}")
    )
    rows += [
        ("so that", rule.text) for rule in together_in(setting.kind) if setting.key in rule.keys
    ]
    out.table(rows)


def _default(setting: Setting) -> str:
    if setting.default_from:
        return setting.default_from
    return "unset" if setting.default is None else spell(setting.default)
