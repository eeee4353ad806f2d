"""Finds the parts of libvirt on a host: its daemons, the plugins of lock managers, and the daemons
of these.

A lock manager is a plugin that libvirt's driver loads at its start, and a daemon that the plugin
talks to. If one of the two is missing, the driver does not start, and so no guest starts: observed
with libvirt 9.0, 11.3 and 12.8. The plugin of sanlock talks to its daemon only when a guest starts;
without the daemon, the start of the guest fails: observed with 9.0.
"""

from __future__ import annotations

import os

from lockcfg.findings import Finding
from lockcfg.frozen import Frozen
from lockcfg.host.installed import plugin_directories

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from lockcfg.conf.document import Document
    from lockcfg.host.host import Host

#: Where distributions put programs of the system, and where a libvirt is that a user has built.
PROGRAMS: Final = (
    "/usr/sbin",
    "/usr/bin",
    "/sbin",
    "/bin",
    "/usr/local/sbin",
    "/usr/local/bin",
    "/run/current-system/sw/bin",
)

#: The daemons that contain a driver.
DRIVER_DAEMONS: Final = ("libvirtd", "virtqemud", "virtxend")

#: The daemon that the plugin of a lock manager talks to: its possible names, and its units of
#: systemd. A local unit may start a program from any directory.
DAEMONS: Final = {
    "lockd": (("virtlockd", "lockd"), "virtlockd.service"),
    "sanlock": (("sanlock",), "sanlock.service"),
}

#: The packages to install.
_PACKAGES: Final = {
    "lockd": "libvirt-daemon-plugin-lockd and libvirt-daemon-lock (Debian 12: libvirt-daemon and"
    " libvirt-daemon-system)",
    "sanlock": "libvirt-daemon-plugin-sanlock and sanlock (Debian 12: libvirt-sanlock)",
}


class Installed(Frozen):
    """What is installed on a host.

    ``drivers`` are the daemons with drivers that are installed (``libvirtd``, ``virtqemud``).
    ``plugins`` are the lock managers whose plugin is installed, ``daemons`` those whose daemon is.
    """

    __slots__ = ("daemons", "drivers", "plugins")

    def __init__(
        self, drivers: tuple[str, ...], plugins: tuple[str, ...], daemons: tuple[str, ...]
    ) -> None:
        self.drivers: Final = drivers
        self.plugins: Final = plugins
        self.daemons: Final = daemons

    @property
    def libvirt(self) -> bool:
        """Whether a libvirt is installed that can run guests."""
        return bool(self.drivers)


def installed_on(host: Host) -> Installed:
    """What is installed on ``host``."""
    plugins = list(plugin_directories(host.root))
    return Installed(
        tuple(name for name in DRIVER_DAEMONS if _has_program(host, name)),
        tuple(
            manager
            for manager in DAEMONS
            if any(os.path.exists(os.path.join(each, f"{manager}.so")) for each in plugins)
        ),
        tuple(
            manager
            for manager, (names, unit) in DAEMONS.items()
            if any(_has_program(host, name) for name in names)
            or os.path.exists(host.real(f"/etc/systemd/system/{unit}"))
        ),
    )


def missing_parts(host: Host, driver: Document) -> list[Finding]:
    """The parts that the lock manager needs and that are not installed on ``host``. ``driver``, the
    file of libvirt's driver, names the lock manager.

    Empty if nothing is missing, and if no libvirt is installed, as in a tree with configuration
    only.
    """
    entry = driver.get("lock_manager")
    manager = entry.value if entry is not None else None
    if entry is None or manager not in DAEMONS:
        return []
    installed = installed_on(host)
    if not installed.libvirt:
        return []
    missing: list[tuple[str, str, str]] = []
    outcome = f"libvirt's {host.driver} driver does not start"
    if manager not in installed.plugins:
        what = f"the plugin of {manager} (lock-driver/{manager}.so)"
        missing.append(("plugin-missing", what, outcome))
    if manager not in installed.daemons:
        what = f"the daemon of {manager} ({DAEMONS[manager][0][0]})"
        if manager == "sanlock":
            outcome = "no guest starts"  # libvirt looks for it when a guest starts
        missing.append(("daemon-missing", what, outcome))
    return [
        Finding(
            rule,
            "error",
            f'{what} is not installed: with lock_manager = "{manager}" {outcome}',
            path=driver.path,
            place=driver.place_of(entry),
            key="lock_manager",
            help=f"install {_PACKAGES[manager]}",
        )
        for rule, what, outcome in missing
    ]


def _has_program(host: Host, name: str) -> bool:
    return any(os.path.isfile(host.real(f"{directory}/{name}")) for directory in PROGRAMS)
