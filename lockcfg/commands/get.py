"""``lockcfg get``: one value, for a script or a curious person."""

from __future__ import annotations

from lockcfg.commands.arguments import add_file, add_host, add_json, configured_host, kind_of
from lockcfg.conf.settings import settings_of, spell
from lockcfg.errors import UnknownKeyError
from lockcfg.report import terminal

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from lockcfg.conf.document import Value

DESCRIPTION = """\
Print the value of a setting as it is set in its file: a string without its quotes, the elements of
a list one on a line. If a setting occurs twice, libvirt uses the first, and that one is printed.

If the setting is not set, nothing is printed and the exit status is 1, unless --default asks for
libvirt's default.
"""
EXAMPLES = (
    ("lockcfg get lock_manager", "lockd, sanlock, nop, or nothing and status 1"),
    ("lockcfg get --default auto_disk_leases", "the value in force, set or not"),
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """See :mod:`lockcfg.main`."""
    parser.add_argument("key", metavar="KEY", help="the setting")
    parser.add_argument(
        "--default", action="store_true", help="if it is not set, print libvirt's default"
    )
    add_file(parser)
    add_json(parser)
    add_host(parser)


def run(arguments: argparse.Namespace) -> int:
    """See :mod:`lockcfg.main`."""
    host = configured_host(arguments)
    key = arguments.key
    kind = kind_of(arguments) or host.kind_of(key)
    document = host.load(kind)
    entry = document.get(key)
    setting = settings_of(kind).get(key)
    if entry is None and setting is None:
        raise UnknownKeyError(key, help=f"{kind.name} has no such setting")
    found = entry is not None
    value: Value | None = entry.value if entry else None
    because = ""
    if entry is None and setting is not None:
        value, because = setting.default, setting.default_from or ""
        if key == "require_lease_for_disks":  # its default depends on another setting
            from lockcfg.host.host import load_host

            configuration = load_host(host)
            of = configuration.of_sanlock if kind.role == "sanlock" else configuration.effective
            effective = of(key)
            value, because = effective.value, effective.because
    if arguments.json:
        from lockcfg.report import jsonreport

        default = setting.default if setting else None
        jsonreport.write(
            {
                "key": key,
                "value": list(value) if isinstance(value, tuple) else value,
                "set": found,
                "file": kind.name,
                "place": jsonreport.place(document.place_of(entry) if entry else None),
                "default": list(default) if isinstance(default, tuple) else default,
                "because": because,
            }
        )
        return 0 if found or (arguments.default and value is not None) else 1
    if found or (arguments.default and value is not None):
        elements = value if isinstance(value, tuple) else (value,)
        for element in elements:
            terminal.stdout().value(str(element))
        return 0
    default_text = because if value is None else spell(value)
    terminal.stderr().line(
        terminal.escape(
            f"{key} is not set in {document.path}; libvirt's default: {default_text or 'unset'}"
        )
    )
    return 1
