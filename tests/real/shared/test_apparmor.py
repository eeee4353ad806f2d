"""lockd under its AppArmor profile, enforced by a kernel that has AppArmor: the machine's."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from tests.real.shared.beside import UNPACKED
from tests.real.shared.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Final

NET_ADMIN: Final = (
    'operation="capable" profile="lockd" comm="lockd" capability=12  capname="net_admin"'
)


@pytest.mark.usefixtures("takes_a_minute")
def test_it_works_where_its_profile_is_enforced(tmp_path: Path) -> None:
    """It locks, starts again when it is asked to and when it is killed, and releases; and the
    kernel forbids what is not in the profile.

    lockd asks for a longer queue than others may have, and does with a short one where that is
    denied, as under its unit.
    """
    command = (sys.executable, "-m", "tests.real.shared.confined")
    seen = json.loads(Machine(UNPACKED).run(tmp_path, *command, timeout=1800))
    assert seen == {
        "it may start what is not in its profile": False,
        "confined by": ["lockd (enforce)"],
        "locked": True,
        "it starts again": True,
        "still locked": True,
        "it starts again after a crash": True,
        "still locked after it": True,
        "confined then by": ["lockd (enforce)"],
        "tells the guest": True,
        "free when the guest has ended": True,
        "denied": [NET_ADMIN],
    }
