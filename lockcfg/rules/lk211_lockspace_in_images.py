"""A lockspace among the disk images.

## What it does

Reports a lockspace directory that is an image directory (`image-directories` of the settings, by
default `/var/lib/libvirt/images`), is inside one or has one inside. It checks the directory of
sanlock's leases (`disk_lease_dir`) in the same way. Only directories that are in use are looked
at (see LK203 and LK204).

## Why is this bad

Image directories are listed as storage pools, copied, moved and cleaned up, and a lock file looks
like a stray empty file there. When one is removed, the next guest is granted a lock that is still
held. And libvirt makes a lockspace directory for root alone, where others must read the images.

## Example

```yaml settings
image-directories: [/srv/images]
```

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/images/locks"
```

## Use instead

```yaml settings
image-directories: [/srv/images]
```

```conf qemu.conf
lock_manager = "lockd"
```

```conf qemu-lockd.conf
file_lockspace_dir = "/srv/locks/files"
```

## Fix

None: only you know which directory all hosts share.
"""

from __future__ import annotations

import os

from lockcfg.rules.lockspaces import lock_directories_in_use, relation
from lockcfg.rules.rule import Rule, RuleFinding

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from lockcfg.rules.rule import HostSubject, Options

RULE = Rule("LK211", "lockspace-in-images", "warning", scope="host", needs=("driver", "lockd"))


def check(subject: HostSubject, options: Options) -> Iterator[RuleFinding]:
    """See the manual above."""
    for lockspace in lock_directories_in_use(subject.configuration):
        for images in filter(os.path.isabs, options.image_directories):
            how = relation(lockspace.directory, images)
            if how is None:
                continue
            what = {
                "same": f"is the image directory {images}",
                "inside": f"is inside the image directory {images}",
                "around": f"has the image directory {images} inside",
            }[how]
            yield RuleFinding(
                lockspace.finding(
                    RULE,
                    f"{lockspace.key} {what}: a lock file that is cleaned up with the images lets a"
                    " second guest in",
                    help="use a directory that holds nothing but locks",
                )
            )
            break
