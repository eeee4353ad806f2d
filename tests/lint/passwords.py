"""Passwords in many broken and odd ways, which no output may show."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

#: What stands for the password in a plant. It is digits and letters of one length.
MARK: Final = "{S}"

#: Files of the name qemu.conf, each with a password in it.
PLANTS: Final = (
    # as it should be, or as another type
    'vnc_password = "{S}"',
    "vnc_password = '{S}'",
    "spice_password='{S}'  # why",
    'rdp_password\t=\t"""{S}"""',
    "vnc_password = {S}",
    "vnc_password = +{S}",
    "vnc_password = -{S}",
    "vnc_password = 1{S}",
    "vnc_password = 99999999999999999999{S}",
    'vnc_password = [ "{S}" ]',
    "vnc_password = [ \"{S}\", 5, '{S}', ]",
    'vnc_password = [ [ "{S}" ] ]',
    "vnc_password = [ {S} ]",
    'vnc_password = [\n  "{S}",\n  \'{S}\'\n]\nmax_files = "5"',
    'vnc_password = [\n  "{S}"\n  "{S}"\n]',
    "vnc_password = [\n  {S}\n]",
    'vnc_password = [\n  "{S}"',
    'vnc_password = [\n  "{S}",\n  # {S}\n]',
    'vnc_password = """x\n{S}\ny"""; nope = 1',
    'vnc_password = """x\n{S}"""; max_files = "5"',
    'vnc_password = """x\n\n{S}',
    'vnc_password = """{S}"""""',
    # quotes and separators gone wrong
    'vnc_password = "{S}',
    "vnc_password = '{S}\"",
    'vnc_password = "x\n{S}"',
    'vnc_password = {S}"',
    'vnc_password = "x" "{S}"',
    "vnc_password = 5{S}",
    'vnc_password = "a";{S}',
    'vnc_password "{S}"',
    "vnc_password {S}",
    'vnc_password: "{S}"',
    "vnc_password: {S}",
    'vnc_password == "{S}"',
    'vnc_password => "{S}"',
    'vnc_password := "{S}"',
    'vnc_password = = "{S}"',
    'vnc_password["{S}"]',
    'vnc_password\xa0=\xa0"{S}"',
    "vnc_password = “{S}”",
    '\ufeffvnc_password = "{S}"',
    'vnc-password = "{S}"',
    'vnc password = "{S}"',
    'set vnc_password = "{S}"',
    "export VNC_PASSWORD={S}",
    '<vnc_password="{S}">',
    'vnc_password = "{S}\\" x"',
    'vnc_password = "{S}\0"',
    'vnc_password = "{S}\x1b[2J"; nope = 1',
    # another name
    'vnc_pasword = "{S}"',
    "vnc_pasword = '{S}'",
    'vnc_passwd = "{S}"',
    'vnc_passord = "{S}"; nope = 1',
    'vnc_pssword = "{S}"; nope = 1',
    "vnc_pssword = '{S}' # why",
    "vnc_pssword = {S}",
    'vnc_apssword = [\n "{S}",\n "{S}" ]; nope = 1',
    'vnc_pass = "{S}"; nope = 1',
    'VNC_PASSWORD = "{S}"; nope = 1',
    "VNC_PASSWORD = '{S}'",
    "VNC_PASSWORD = {S}",
    "Spice_Password = [\n '{S}',\n]",
    'spice_pwd = "{S}"; nope = 1',
    'password = "{S}"; nope = 1',
    'sasl_secret = "{S}"; nope = 1',
    # twice
    'vnc_password = "{S}"\nvnc_password = "{S}"',
    "vnc_password = \"{S}\"\nvnc_password = '{S}'\nvnc_password = {S}9",
    'vnc_pasword = "{S}"\nvnc_pasword = "{S}"',
    'VNC_PASSWORD = "{S}"\nVNC_PASSWORD = "{S}"',
    # beside something else
    'nope = 1; vnc_password = "{S}"',
    'vnc_password = "{S}"; nope = 1',
    'vnc_password = "{S}"; max_files = "5"; spice_password = "{S}"',
    'max_files = "5"; VNC_PASSWORD = "{S}"',
    'max_files = "5"\rvnc_password = "{S}"\rnope = 1',
    'max_files = "5"\nvnc_password = "{S}"\nmax_queued = "5"',
    'max_files = "5"\nVNC_PASSWORD = "{S}"\nmax_queued = "5"',
    'max_files = "5"\nvnc_password = "x\x0c{S}"\nmax_queued = "5"',
    'max_files = "5"\nvnc_password = "x\x85{S}\u2028{S}"\nmax_queued = "5"',
    'max_files = "5"\nvnc_password = [\n\n "{S}",\n\n "{S}" ]\nmax_queued = "5"',
    'max_files = "5"\nvnc_password = """\n\n\n{S}\n\n"""\nmax_queued = "5"',
    'vnc_password = "{S}" ' + "x" * 300,
    "nope = 1; " + "x = 1; " * 100 + 'vnc_password = "{S}"',
    # in comments
    'max_files = "5"\n#vnc_password = "{S}"',
    'max_files = "5"  # vnc_password = "{S}"',
    'max_files = "5"  # VNC_PASSWORD="{S}"',
    'max_files = "5"  # password: {S}',
    "max_files = '5'  # spice_pasword='{S}'",
    '# vnc_pssword = "{S}"\nmax_files = "5"',
    '# [ vnc_password="{S}" ]\nmax_files = "5"',
    # in and beside waivers
    "vnc_password = {S}  # lockcfg: ignore[LK105]",
    'vnc_password = [\n "{S}" ]  # lockcfg: ignore[LK105] x (until 2020-01-01)',
    'vnc_password = [\n "{S}" ]  # lockcfg: ignore[LK106]',
    'max_files = "5"  # lockcfg: ignore[LK105] vnc_password = "{S}"',
    'max_files = "5"  # lockcfg: ignore[LK105] VNC_PASSWORD = "{S}"',
    'max_files = "5"  # lockcfg: ignore[vnc_password="{S}"] x',
    'max_files = "5"  # lockcfg: ignore[LK105, vnc_password={S}] x (until 2020-01-01)',
    '# lockcfg: ignore-file[LK999] vnc_password = "{S}" (until 2020-01-01)',
    # not UTF-8, which is written as Latin-1
    'vnc_password = "{S}\xff"; nope = "\xff"',
    '\xff = 1 # vnc_password = "{S}"',
)


def planted(number: int, secret: str) -> bytes:
    """A plant with a password. One is UTF-16, as an editor of another system writes it."""
    text = PLANTS[number].replace(MARK, secret) + "\n"
    if "\xff" in text:
        return text.encode("latin-1")
    return text.encode()


def wide(secret: str) -> bytes:
    """A file in UTF-16, as an editor of another system writes it."""
    return f'vnc_password = "{secret}"\r\n'.encode("utf-16")


def hosts(secrets: tuple[str, str]) -> dict[str, bytes]:
    """A host for each plant. The password is of letters, or of digits where it has to be."""
    word, number = secrets
    found = {f"p{n:03}/qemu.conf": planted(n, word) for n in range(len(PLANTS))}
    found |= {f"q{n:03}/qemu.conf": planted(n, number) for n in range(len(PLANTS))}
    found |= {f"r{n:03}/virtlockd.conf": planted(n, word) for n in range(len(PLANTS))}
    found["wide/qemu.conf"] = wide(word)
    found["template/qemu.conf"] = f'vnc_password = "{word}"\nuser = {{{{ x }}}}\n'.encode()
    return found
