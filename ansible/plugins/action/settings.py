"""Change settings: the host reads and writes its files, lockcfg works out what to write here."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

import base64
import json
import tempfile

from ansible.errors import AnsibleActionFail
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.plugins.action import ActionBase
from ansible_collections.lockcfg.lockcfg.plugins.plugin_utils.thinking import (
    asked,
    lockcfg,
    said,
    unpacked,
    without_internals,
)

#: How often an edit is worked out again if another process changes the files in the meantime.
TRIES = 5


class ActionModule(ActionBase):
    """See the documentation of the module."""

    def run(self, tmp=None, task_vars=None):
        """Read, work it out, and write."""
        super().run(tmp, task_vars)
        package = lockcfg()
        for left in reversed(range(TRIES)):
            answer = self._ask(
                {"read": list(package.COPIED_FILES), "look": list(package.LOOKED_AT)}, task_vars
            )
            if answer.get("failed") or "answer" not in answer:
                return answer
            told = json.loads(unpacked(answer["answer"]))
            with tempfile.TemporaryDirectory(prefix="lockcfg-") as directory:
                edit = Edit(package, self._task.args, told, directory)
                try:
                    result, writes = edit.result(diff=self._task.diff)
                except package.LockcfgError as error:
                    return edit.refusal(error)
            if not writes or self._task.check_mode:
                return result
            written = self._ask({"write": writes}, task_vars)
            if not written.get("failed"):
                return result
            if not left or "in the meantime" not in written.get("msg", ""):
                return dict(written, changed=False)
        return result

    def _ask(self, request, task_vars):
        args = dict(self._task.args, request=asked(request))
        return without_internals(
            self._execute_module(
                module_name="lockcfg.lockcfg.settings", module_args=args, task_vars=task_vars
            )
        )


class Edit(object):
    """An edit of a host's files, as copies in a directory here."""

    def __init__(self, package, args, told, directory):
        self.package = package
        self.args = args
        self.root = str(args.get("root") or "/").rstrip("/")
        self.directory = directory
        self.driver = args.get("driver") or "qemu"
        self.writable = told["writable"]
        if not told["directory"]:
            raise AnsibleActionFail(
                "{0}/etc/libvirt: there is no such directory: is libvirt installed?".format(
                    self.root
                )
            )
        unread = {path: said for path, said in told["read"].items() if isinstance(said, list)}
        mine = {
            "/etc/libvirt/{0}".format(kind.name)
            for kind in package.KINDS.values()
            if self.driver in kind.drivers
        }
        for path in sorted(mine & set(unread)):
            raise AnsibleActionFail(str(unread[path][0]))
        files = {
            path: base64.b64decode(text)
            for path, text in told["read"].items()
            if path not in unread
        }
        try:
            self.host = package.host_elsewhere(directory, files, told["present"], self.driver)
        except package.UsageError as error:
            raise AnsibleActionFail(said(error)) from error

    def result(self, diff):
        """The result of the task, and what to write on the host. Raises LockcfgError."""
        package = self.package
        force = boolean(self.args.get("force") or False)
        edit = package.Transaction(
            self.host, unprotected=boolean(self.args.get("unprotected") or False)
        )
        for kind, key, value in self.values():
            if value is None:
                edit.unset(key, kind)
            else:
                edit.set(key, value, kind)
        objections = edit.objections()
        if objections and not force:
            raise package.RefusedError("refused: nothing was written", objections)
        changes = edit.changes
        if changes and not self.writable:
            raise AnsibleActionFail(
                "{0}/etc/libvirt: nothing can be written there: the file system is read-only, or"
                " the user of this task may not write".format(self.root)
            )
        protection = edit.protection()
        result = {
            "changed": bool(changes),
            "files": [self.there(change.after.path) for change in changes],
            "restart": package.restarts_of(changes),
            "advice": package.restart_advice(edit, changes),
            "findings": [self.finding(each) for each in [*objections, *edit.warnings()]],
            "protection": {
                "level": protection.level,
                "summary": self.there(protection.summary),
            },
        }
        if diff:
            result["diff"] = [
                {"prepared": "".join(self.there(line) + "\n" for line in package.hidden_diff(each))}
                for each in changes
            ]
        return result, [self.write(change) for change in changes]

    def values(self):
        """The settings with the kinds of their files and their values. Raises LockcfgError."""
        package = self.package
        settings = self.args.get("settings")
        if not isinstance(settings, dict) or not settings:
            raise AnsibleActionFail("settings: a mapping of settings and values is required")
        named = self.args.get("file")
        if named is not None and named not in package.KINDS:
            raise AnsibleActionFail(
                "file: '{0}' is none of {1}".format(named, ", ".join(package.KINDS))
            )
        manager = settings.get("lock_manager")
        for key, value in settings.items():
            key = str(key)
            kind = (
                package.KINDS[named]
                if named
                else self.host.kind_of(key, None if manager is None else str(manager))
            )
            yield kind, key, None if value is None else self.value(key, value, kind)

    def value(self, key, value, kind):
        """A value as 'lockcfg set' takes it. Raises LockcfgError."""
        if isinstance(value, (list, tuple)):
            return tuple(str(each) for each in value)
        if isinstance(value, bool):
            value = int(value)
        if not isinstance(value, (str, int)):
            raise AnsibleActionFail(
                "settings: the value of '{0}' is neither a string, an integer nor a list".format(
                    key
                )
            )
        return self.package.value_of(key, str(value), kind, kind.name)

    def write(self, change):
        """A file as the host is told to write it."""
        before, after = change.before, change.after
        return {
            "path": self.here(after.path),
            "old": base64.b64encode(before.text).decode() if before.exists else None,
            "new": base64.b64encode(after.text or b"").decode(),
            "mode": after.kind.mode,
        }

    def here(self, path):
        """A path below the directory of the copies, as the host has it below its root."""
        return path.replace(self.directory, "", 1) if path.startswith(self.directory) else path

    def there(self, text):
        """A text with the paths of the copies in it, as the host calls them."""
        return text.replace(self.directory, self.root)

    def finding(self, finding):
        """A finding as data."""
        return {
            "rule": finding.rule,
            "severity": finding.severity,
            "message": self.there(finding.message),
            "path": self.there(finding.path),
            "line": finding.place.line if finding.place else None,
            "key": finding.key,
            "help": self.there(finding.help),
        }

    def refusal(self, error):
        """The result for an error of lockcfg."""
        findings = [self.finding(each) for each in getattr(error, "findings", ())]
        message = said(error)
        for each in findings:
            message += "; " + each["message"] + (": " + each["help"] if each["help"] else "")
        return {
            "failed": True,
            "changed": False,
            "msg": self.there(message),
            "findings": findings,
        }
