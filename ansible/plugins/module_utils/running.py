"""Running programs on a host: the collector that the controller sends, and those installed there.

It needs Python 3.6.
"""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import gzip
import os
import sys

#: The only places to look for programs: any user may have set the environment.
PROGRAMS = ("/usr/sbin", "/usr/bin", "/sbin", "/bin", "/usr/local/sbin", "/usr/local/bin")


def packed(data):
    """Bytes as text that any connection carries."""
    return base64.b64encode(gzip.compress(data)).decode("ascii")


def unpacked(text):
    """The bytes again."""
    return gzip.decompress(base64.b64decode(text))


def collector(module, *options):
    """What the collector prints, as bytes. The module fails if it does not end well."""
    if not module.params["collector"]:
        module.fail_json(
            msg="this module runs by its action plugin, which sends the collector: call it by its"
            " full name, {0}".format("lockcfg.lockcfg." + module._name)
        )
    path = os.path.join(module.tmpdir, "lockcfg-collect.py")
    with open(path, "wb") as stream:
        stream.write(unpacked(module.params["collector"]))
    command = [sys.executable, "-I", path]
    status, output, error = module.run_command(command + list(options), encoding=None)
    os.unlink(path)
    if status:
        said = error.decode("utf-8", "replace").strip().splitlines() or ["no reason was given"]
        module.fail_json(msg="the collector failed: {0}".format(said[-1]), rc=status)
    return output


def program(module, name, given=None):
    """The path of an installed program; None if it is not there."""
    if given:
        if not os.path.isfile(given):
            module.fail_json(msg="{0}: there is no such program".format(given))
        return given
    for directory in PROGRAMS:
        path = os.path.join(directory, name)
        if os.path.isfile(path) and os.access(path, os.X_OK):
            return path
    return None
