#!/usr/bin/python
"""Let no guest be started or taken in on a host."""

from __future__ import absolute_import, division, print_function

__metaclass__ = type

DOCUMENTATION = r"""
---
module: hold
short_description: Let no guest be started or taken in on a host until that is lifted
version_added: "0.1.0"
description:
  - Puts a hook of libvirt in place, C(/etc/libvirt/hooks/qemu), that refuses to start a guest, to
    restore one from a file and to take one in by migration. It says why, and by whom. It needs
    nothing of this collection once it is there, and survives a restart of libvirt and of the host.
  - A hook that is there already stays beside it, under a name that ends in C(.lockcfg-kept), and is
    called as before for all that is not refused. It is put back when the last hold is lifted.
  - libvirt looks for hooks when it starts and when it reloads. The module has the running daemon
    reload, which ends nothing, and then asks it to start a guest without disks that must be refused.
    So I(proven) says what the daemon does, and not what a file says. Where the daemon does not
    refuse, the module fails.
  - A host may have several holds, each with its own name. Guests can be started when all are lifted.
  - A hold does not end guests that run. libvirt asks no hook when a paused guest is resumed and when
    a disk is attached. I(paused) names the guests that can be resumed.
options:
  state:
    description: Whether the hold is there.
    type: str
    choices: [present, absent]
    default: present
  by:
    description: Whose hold it is. A hold is lifted under the same name.
    type: str
    default: ansible
  reason:
    description: Why no guest may be started. Who tries to start one reads it.
    type: str
    default: guests must not be started here now
  allow:
    description:
      - Names of guests that can be started and restored in spite of this hold. They cannot be taken
        in by migration.
      - Another hold without them refuses them all the same.
      - If it is not given, it stays as it is.
    type: list
    elements: str
  everyone:
    description: With I(state=absent), lift the holds of everyone.
    type: bool
    default: false
  driver:
    description: The driver of libvirt whose guests it is about.
    type: str
    choices: [qemu, libxl]
    default: qemu
  prove:
    description:
      - Whether to have the running daemon show that it refuses.
      - If no daemon runs and none starts, nothing is proven, and the module does not fail. The daemon
        finds the hook when it starts.
    type: bool
    default: true
  hooks:
    description: The directory of libvirt's hooks.
    type: path
    default: /etc/libvirt/hooks
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what it would change, without changing it.
    support: full
  diff_mode:
    description: Returns the differences in files in C(diff_mode).
    support: none
author:
  - The lockcfg maintainers (@lockcfg)
"""

EXAMPLES = r"""
- name: Let no guest be started here
  lockcfg.lockcfg.hold:
    by: maintenance
    reason: the storage is being moved, ask the storage team

- name: Let them be started again
  lockcfg.lockcfg.hold:
    state: absent
    by: maintenance
"""

RETURN = r"""
holds:
  description: The holds that there are now. In check mode, that there would be.
  returned: always
  type: list
  elements: dict
  sample: [{by: maintenance, reason: the storage is being moved, since: "2030-01-31T12:00:00Z", allow: []}]
before:
  description: The holds that there were.
  returned: always
  type: list
  elements: dict
held:
  description: Whether there is a hold.
  returned: always
  type: bool
proven:
  description:
    - Whether the running daemon was seen to refuse a guest because of a hold.
  returned: always
  type: bool
unproven:
  description: Why nothing is proven, or empty.
  returned: always
  type: str
kept:
  description: Where the hook is that was there before, or null.
  returned: always
  type: str
paused:
  description: The guests that are paused, or null if that is not known.
  returned: always
  type: list
  elements: str
"""

import errno
import json
import os
import platform
import signal
import stat
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule

# What a hook of ours begins with: the holds follow as JSON, in a line.
HEAD = "#!/bin/sh\n# lockcfg-hold: "

KEPT = ".lockcfg-kept"

# The guest that is refused to show that guests are. No other can have its name.
PROOF = "lockcfg-hold-proof"

# How long a daemon may take to answer, and to look for hooks after it was told to, in seconds.
ANSWER = 30
RELOAD = 10.0

# Bounds of what is written into a script and read back.
MOST_HOLDS = 100
LONGEST = 500

# libvirt asks about a guest's saved file first ("restore"), and then as about every guest ("prepare"),
# which refuses it. Refused at the first, a guest with a managed save loses it on libvirt 11.3, which
# says that the guest was started.
SCRIPT = """\
# Made by lockcfg: no guest can be started or taken in here, for the reasons below. The hook that was
# here before is called all the same. It is put back when the last hold is lifted:
#     ansible HOST -m lockcfg.lockcfg.hold -a 'state=absent everyone=true'
guest=$1
operation=$2
case $operation in
prepare | migrate)
%s    ;;
esac
kept=%s
[ ! -f "$kept" ] || [ ! -x "$kept" ] || exec "$kept" "$@"
"""

# A guest is refused: with a pattern of those who are not, where there are some.
REFUSAL = """\
    case $operation:$guest in
    %s) ;;
    *)
        printf '%%s\\n' %s >&2
        exit 1
        ;;
    esac
"""

# No disk, no network, and its processor never runs.
GUEST = """\
<domain type='%s'><name>%s</name><memory unit='MiB'>16</memory>
<os><type arch='%s'>hvm</type></os>
<devices><controller type='usb' model='none'/><memballoon model='none'/></devices></domain>
"""

# Where a driver answers, what its guests may be, and which daemons it may run in.
DRIVERS = {
    "qemu": ("qemu:///system", ("kvm", "qemu"), ("virtqemud", "libvirtd")),
    "libxl": ("xen:///system", ("xen",), ("virtxend", "libvirtd")),
}


class HoldError(Exception):
    """It cannot be done. Nothing that was there before is lost."""


def quoted(text):
    """A text as a word of the shell."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def plain(text, name):
    """A text in a line. Raises HoldError if it is too long, or nothing."""
    text = "".join(each if each.isprintable() else "?" for each in " ".join(text.split()))
    if not text or len(text) > LONGEST:
        raise HoldError("%s: %d characters, 1 to %d are allowed" % (name, len(text), LONGEST))
    return text


def script_of(holds, kept):
    """The hook for some holds; ``kept`` is where the hook is that was there before."""
    refusals = []
    for hold in holds:
        said = "lockcfg: no guest can be started or taken in on this host now: %s (held by %s since %s)"
        said %= (hold["reason"], hold["by"], hold["since"])
        # No operation is called so: the pattern matches nothing.
        patterns = ["none:none"]
        for guest in hold["allow"]:
            patterns.append(quoted("prepare:%s" % guest))
        refusals.append(REFUSAL % (" | ".join(patterns), quoted(said)))
    head = HEAD + json.dumps(holds, sort_keys=True) + "\n"
    return head + SCRIPT % ("".join(refusals), quoted(kept))


def holds_of(text):
    """The holds in a hook, or None if it is not one of ours. Raises HoldError if one of ours has been
    changed."""
    if not text.startswith(HEAD):
        return None
    try:
        holds = json.loads(text.partition(HEAD)[2].partition("\n")[0])
        right = isinstance(holds, list) and all(
            isinstance(hold, dict)
            and set(hold) == {"by", "reason", "since", "allow"}
            and all(isinstance(hold[key], str) for key in ("by", "reason", "since"))
            and isinstance(hold["allow"], list)
            and all(isinstance(guest, str) for guest in hold["allow"])
            for hold in holds
        )
    except ValueError:
        right = False
    if not right:
        raise HoldError(
            "the hook is one of lockcfg's, and has been changed: its second line does not say"
            " whose holds there are. Correct that line, or lift all holds with state=absent"
            " everyone=true"
        )
    return holds


class Hook(object):
    """The hook of a driver in a directory."""

    def __init__(self, directory, driver):
        self.path = os.path.join(directory, driver)
        self.kept = self.path + KEPT
        self._directory = directory

    def read(self):
        """The text of the hook; None if it is missing."""
        try:
            with open(self.path, "rb") as file:
                return file.read(1 << 20).decode("utf-8", "replace")
        except IOError as error:
            if error.errno == errno.ENOENT and not os.path.lexists(self.path):
                return None
            if error.errno == errno.ENOENT:
                return ""  # a link to nothing: libvirt calls no hook, and the link is kept
            raise

    def put(self, text, ours):
        """Put a hook of ours in place at once; ``ours`` is whether the one that is there is, too.
        In between, the hook that is there works."""
        if not os.path.isdir(self._directory):
            os.makedirs(self._directory, 0o755)
        if not ours and os.path.lexists(self.path):
            self._keep()
        fd, draft = tempfile.mkstemp(prefix=".lockcfg-", dir=self._directory)
        try:
            with os.fdopen(fd, "wb") as file:
                file.write(text.encode("utf-8"))
                file.flush()
                os.fchmod(file.fileno(), 0o755)
                os.fsync(file.fileno())
            os.rename(draft, self.path)
        except BaseException:
            os.unlink(draft)
            raise
        self._sync()

    def _keep(self):
        """Give the hook that is there a second name, under which it outlives ours."""
        if os.path.lexists(self.kept):
            # An interrupted run has left it, or it is of an earlier hold whose hook was
            # replaced since.
            if not self.is_left():
                raise HoldError(
                    "%s is in the way: a hook of before an earlier hold. Another one has been put"
                    " at %s since. Remove the one that is not wanted" % (self.kept, self.path)
                )
            os.unlink(self.kept)
        if stat.S_ISDIR(os.lstat(self.path).st_mode):
            raise HoldError("%s is a directory: no hook of libvirt can be there" % self.path)
        os.link(self.path, self.kept, follow_symlinks=False)

    def remove(self):
        """Put back what was there before."""
        if os.path.lexists(self.kept):
            os.rename(self.kept, self.path)
        else:
            os.unlink(self.path)
        self._sync()

    def is_left(self):
        """Whether the hook that is there has its second name and ours is not there yet: a run was
        killed in between."""
        return (
            os.path.lexists(self.kept)
            and os.path.lexists(self.path)
            and os.path.samestat(os.lstat(self.kept), os.lstat(self.path))
        )

    def _sync(self):
        fd = os.open(self._directory, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)


class Libvirt(object):
    """The daemon that starts guests."""

    def __init__(self, module, driver):
        self._module = module
        self._uri, self._kinds, self._names = DRIVERS[driver]
        self._virsh = module.get_bin_path("virsh")

    def pids(self):
        """The processes of the daemons that run, each by what it is called."""
        found = []
        for name in self._names:
            try:
                with open("/run/%s.pid" % name) as file:
                    pid = int(file.read().strip())
                with open("/proc/%d/comm" % pid) as file:
                    if file.read().strip() == name:
                        found.append(pid)
            except (IOError, ValueError):
                continue
        return found

    def reload(self):
        """Have it look for hooks. Guests and locks stay."""
        for pid in self.pids():
            try:
                os.kill(pid, signal.SIGHUP)
            except OSError:
                continue

    def _run(self, *arguments, **options):
        """What virsh says: its exit status, and its output with its errors."""
        timeout = ["timeout", str(ANSWER)] if self._module.get_bin_path("timeout") else []
        status, said, error = self._module.run_command(
            [*timeout, self._virsh, "--connect", self._uri, *list(arguments)],
            environ_update={"LC_ALL": "C"},
            **options,
        )
        return status, said + error

    def paused(self):
        """The names of the guests that are paused, None if that is not known."""
        if self._virsh is None or not self.pids():
            return None
        status, said = self._run("list", "--state-paused", "--name")
        return None if status else sorted(filter(None, said.splitlines()))

    def refuses(self, text, is_new):
        """Whether it refuses to start a guest with that text, and why that is not so. ``is_new`` is
        whether there was no hook before: then it has to look for one."""
        if self._virsh is None:
            return False, "there is no virsh to ask the daemon with"
        if not self.pids():
            return False, "no daemon of libvirt runs: it finds the hook when it starts"
        if is_new:
            self.reload()
        why = self._try(text)
        end = time.time() + RELOAD
        while why and time.time() < end:
            self.reload()
            time.sleep(0.5)
            why = self._try(text)
        return not why, why

    def _try(self, text):
        """Start a guest that must be refused. The answer is empty, or says why it was not."""
        said = ""
        for kind in self._kinds:
            if kind == "kvm" and not os.path.exists("/dev/kvm"):
                continue
            guest = GUEST % (kind, PROOF, platform.machine())
            status, said = self._run("create", "--paused", "/dev/stdin", data=guest)
            if status == 0:
                self._run("destroy", PROOF)
                return "the daemon started a guest: it does not call the hook. Restart it; guests go on"
            if text in said:
                return ""
        return "the daemon said something else than the hook: %s" % " ".join(said.split())


def wanted(now, parameters):
    """The holds that there are to be."""
    if parameters["state"] == "absent":
        if parameters["everyone"]:
            return []
        return [hold for hold in now if hold["by"] != parameters["by"]]
    hold = {
        "by": parameters["by"],
        "reason": parameters["reason"],
        "allow": parameters["allow"] or [],
    }
    if len(now) > MOST_HOLDS:
        raise HoldError("there are %d holds already, which is too many" % len(now))
    for each in now:
        if each["by"] == hold["by"]:
            hold["since"] = each["since"]
            if parameters["allow"] is None:
                hold["allow"] = each["allow"]
            return [hold if other is each else other for other in now]
    hold["since"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return [*now, hold]


def run(module):
    """Do it; what is returned of it."""
    parameters = dict(module.params)
    for name in ("by", "reason"):
        parameters[name] = plain(parameters[name], name)
    if parameters["allow"] is not None:
        allowed = {plain(guest, "allow") for guest in parameters["allow"]}
        if PROOF in allowed:
            raise HoldError("allow: %s is the guest that must be refused to prove a hold" % PROOF)
        parameters["allow"] = sorted(allowed)
    hook = Hook(parameters["hooks"], parameters["driver"])
    libvirt = Libvirt(module, parameters["driver"])
    text = hook.read()
    try:
        now = holds_of(text) if text is not None else None
    except HoldError:
        # Of all holds it does not matter whose they are.
        if parameters["state"] == "present" or not parameters["everyone"]:
            raise
        now = []
    after = wanted(now or [], parameters)
    new = script_of(after, hook.kept) if after else None
    ours = now is not None
    changed = new != text if new else ours or hook.is_left()
    if changed and not module.check_mode:
        if new:
            hook.put(new, ours)
        elif ours:
            hook.remove()
        else:
            os.unlink(hook.kept)
    result = {
        "changed": changed,
        "before": now or [],
        "holds": after,
        "held": bool(after),
        "proven": False,
        "unproven": "",
        "kept": hook.kept if os.path.lexists(hook.kept) else None,
        "paused": libvirt.paused(),
    }
    if module.check_mode:
        result["unproven"] = "nothing is proven in check mode"
    elif not after:
        if changed:
            libvirt.reload()
        result["unproven"] = "there is no hold"
    elif not parameters["prove"]:
        if changed:
            libvirt.reload()
        result["unproven"] = "it was not asked for"
    else:
        # With any hold every guest is refused that it does not name.
        told = "(held by %s since" % after[0]["by"]
        result["proven"], result["unproven"] = libvirt.refuses(told, is_new=text is None)
        if not result["proven"] and libvirt.pids():
            module.fail_json(
                msg="guests can perhaps be started on this host in spite of the hold: %s"
                % result["unproven"],
                **result,
            )
    return result


def main():
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "by": {"type": "str", "default": "ansible"},
            "reason": {"type": "str", "default": "guests must not be started here now"},
            "allow": {"type": "list", "elements": "str"},
            "everyone": {"type": "bool", "default": False},
            "driver": {"type": "str", "choices": ["qemu", "libxl"], "default": "qemu"},
            "prove": {"type": "bool", "default": True},
            "hooks": {"type": "path", "default": "/etc/libvirt/hooks"},
        },
        supports_check_mode=True,
    )
    try:
        result = run(module)
    except (HoldError, OSError, IOError) as error:
        module.fail_json(msg="%s" % error)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
