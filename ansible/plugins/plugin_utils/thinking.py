"""What the action plugins have in common: they let lockcfg think, on the controller."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import gzip
import io
import json
import os
import sys
import tempfile

from ansible.errors import AnsibleActionFail
from ansible.release import __version__ as ansible_version

#: Whether ansible-core keeps what is displayed while a task runs with the result of the task, and
#: takes no plain text there.
KEEPS_WARNINGS = tuple(map(int, ansible_version.split(".")[:2])) >= (2, 19)


def lockcfg():
    """The package lockcfg, which must be installed for the Python that runs Ansible."""
    try:
        import lockcfg as package
    except ImportError as error:
        raise AnsibleActionFail(
            "lockcfg cannot be imported by {0}, which runs Ansible on the controller ({1}): install"
            " it there, as with 'pip install lockcfg'".format(sys.executable, error)
        ) from error
    return package


def said(error):
    """An error of lockcfg as a message, with what to do."""
    return "{0}: {1}".format(error.message, error.help) if error.help else error.message


def warn(action, result, message):
    """Warn of something in the result of the task of an action plugin."""
    if KEEPS_WARNINGS:
        action._display.warning(message)
    else:
        result.setdefault("warnings", []).append(message)


def packed(data):
    """Bytes as text that any connection carries."""
    return base64.b64encode(gzip.compress(data, mtime=0)).decode("ascii")


def unpacked(text, limit=64 * 1024 * 1024):
    """The bytes again. What a host sends may be anything: more than ``limit`` is refused."""
    try:
        with gzip.GzipFile(fileobj=io.BytesIO(base64.b64decode(text)), mode="rb") as stream:
            data = stream.read(limit + 1)
    except (OSError, EOFError, ValueError, TypeError) as error:
        raise AnsibleActionFail(
            "the host sent what cannot be unpacked: {0}".format(error)
        ) from error
    if len(data) > limit:
        raise AnsibleActionFail("the host sent more than {0} MiB".format(limit >> 20))
    return data


def asked(content):
    """A request for a module, as it takes it."""
    return packed(json.dumps(content).encode("utf-8"))


def host_name(args, task_vars):
    """What a host is called in snapshots and policies: it becomes a file name."""
    name = args.get("name") or task_vars["inventory_hostname"]
    if "/" in name or name.startswith((".", "-")) or not name:
        raise AnsibleActionFail(
            "'{0}' cannot be the name of a host's snapshot: set 'name'".format(name)
        )
    return name


def keep(directory, name, data):
    """Write a snapshot, compressed, to ``directory``, which is made; returns its path. It is there
    whole or not at all."""
    try:
        os.makedirs(directory, exist_ok=True)
        path = os.path.join(directory, name + ".json.gz")
        descriptor, draft = tempfile.mkstemp(dir=directory, prefix="." + name[:100] + ".")
        try:
            with os.fdopen(descriptor, "wb") as stream:
                stream.write(data)
            os.rename(draft, path)
        except BaseException:
            os.unlink(draft)
            raise
    except OSError as error:
        raise AnsibleActionFail(
            "{0}: the snapshot of {1} cannot be written: {2}".format(
                directory, name, error.strerror
            )
        ) from error
    return path


def kept(result, directory, name):
    """The result of a module, with the path of the snapshot, once that is kept, in its place."""
    data = base64.b64decode(result.pop("snapshot"))
    return dict(result, dest=keep(directory, name, data))


def forget(directory, name):
    """Remove the snapshot of a host: if it does not answer now, nothing is known of it."""
    try:
        os.unlink(os.path.join(directory, name + ".json.gz"))
    except FileNotFoundError:
        pass
    except OSError as error:
        raise AnsibleActionFail(
            "{0}: the old snapshot of {1} cannot be removed: {2}".format(
                directory, name, error.strerror
            )
        ) from error


def without_internals(result):
    """The result of a module without what the controller gave it."""
    return {key: value for key, value in result.items() if key != "invocation"}


def run_collector(plugin, args, task_vars):
    """The result of a module on the host, which runs the collector of the lockcfg here."""
    args = dict(args, collector=packed(lockcfg().collector_program()))
    # The way of every action plugin to run its module.
    return without_internals(plugin._execute_module(module_args=args, task_vars=task_vars))
