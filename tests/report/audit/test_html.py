"""The page of the audit in Debian's Chromium: what is seen, what keys do, what nothing may do."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

from benchmarks.made_up_fleet import demo
from lockcfg.fleet.comparison.result import (
    AuditFinding,
    AuditResult,
    DomainRow,
    GroupRow,
    ProfileRow,
    Verdict,
)
from lockcfg.fleet.comparison.since import since_of
from lockcfg.report.audit import render_audit
from tests.chromium import brightness, chromium, emulate
from tests.fleet.fleets import audited
from tests.fleet.test_since import report_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from selenium.webdriver import Chrome
    from selenium.webdriver.remote.webelement import WebElement

#: What would run or load something, were it taken for markup.
ATTACKS = (
    "<script>window.ran=1</script>",
    "<img src=x onerror=window.ran=1>",
    "\"'><svg onload=window.ran=1>",
    "</script><script>window.ran=1</script>",
    "</style><script>window.ran=1</script><!--",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:window.ran=1",
    "<link rel=stylesheet href=http://127.0.0.1:9/x.css>",
)


def page_of(result: AuditResult) -> str:
    """The page."""
    stream = io.StringIO()
    render_audit(result, "html", stream)
    return stream.getvalue()


def large() -> AuditResult:
    """An audit of 5,000 hosts: 4,900 alike, and 100 of which no two are."""
    names = [f"kvm{n:04}" for n in range(5000)]
    alike, odd = names[:4900], names[4900:]
    profiles = [ProfileRow("hall", {"lock_manager": "lockd", "lvs": "there"}, alike)]
    profiles += [
        ProfileRow(
            "hall",
            {"lock_manager": f"odd{n}", "lvs": "there"},
            [name],
            odd=["lock_manager"],
            worst="error",
        )
        for n, name in enumerate(odd)
    ]
    return audit_result(
        hosts=names,
        groups=[GroupRow("hall", names, ["nfs1:/vm"], inferred=False, worst="error")],
        domains=[
            DomainRow("hall", "image", "indirect", "a", "yes", "nfs1:/locks", alike),
            DomainRow("hall", "image", "none", "none", "no", "nothing is locked", odd),
        ],
        profiles=profiles,
        findings=[AuditFinding("LA101", "unprotected", "error", "nothing is locked", odd)],
    )


def audit_result(**fields: Any) -> AuditResult:
    """A made-up audit."""
    empty: dict[str, Any] = dict.fromkeys(
        ("hosts", "unknown", "groups", "domains", "disks", "profiles"), ()
    )
    empty |= dict.fromkeys(("findings", "problems", "notes", "rules"), ())
    empty |= {"version": "1", "now": 1764000600, "policy": ""}
    empty |= {"verdict": Verdict("unsafe", "Not safe: made up.")}
    return AuditResult(**(empty | fields))


def hostile() -> AuditResult:
    """An audit in which every text is an attack."""
    every = " ".join(ATTACKS)
    hosts = [f"{attack}{n}" for n, attack in enumerate(ATTACKS)]
    return audit_result(
        verdict=Verdict("unsafe", every),
        version=every,
        policy=every,
        notes=[every],
        hosts=hosts,
        unknown=hosts,
        guests=dict.fromkeys(hosts, ATTACKS),
        uses={host: [(attack, attack, attack) for attack in ATTACKS] for host in hosts},
        locks={host: dict.fromkeys(ATTACKS, 0) for host in hosts},
        groups=[GroupRow(every, hosts, [every], inferred=True, worst="error")],
        domains=[DomainRow(every, "image", every, every, "no", every, hosts)],
        profiles=[ProfileRow(every, {every: every}, hosts, odd=[every], worst="error")],
        findings=[
            AuditFinding(
                "LA101", every, "error", every, hosts, group=every, reasons=[every], help=every
            )
        ],
    )


class Browser:
    """Chromium with one page open, and what it has logged since."""

    def __init__(self, driver: Chrome, directory: Path) -> None:
        self.driver = driver
        self._page = directory / "page.html"

    def open(self, result: AuditResult) -> None:
        """Open the page of an audit, in the state that every test begins in."""
        self._page.write_text(page_of(result), encoding="utf-8", errors="backslashreplace")
        self.log("performance")
        self.log("browser")
        self.emulate("screen", "light")
        self.driver.get(self._page.as_uri())
        # On a busy machine the driver may be back before the whole page is there.
        WebDriverWait(self.driver, 60).until(
            lambda driver: driver.execute_script("return document.readyState") == "complete"
        )

    def log(self, kind: str) -> list[dict[str, Any]]:
        """What was logged since the last time."""
        entries: list[dict[str, Any]] = self.driver.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def emulate(self, media: str, scheme: str) -> None:
        """Have the page shown on another medium, or in dark."""
        emulate(self.driver, media, scheme)

    def go_to(self, fragment: str) -> None:
        """Have that behind the ``#`` of the address, and wait until the page has taken notice."""
        self.driver.execute_async_script(
            """
            const [fragment, done] = arguments;
            if (location.hash === "#" + fragment) return setTimeout(done);
            addEventListener("hashchange", () => setTimeout(done), {once: true});
            location.hash = fragment;
            """,
            fragment,
        )

    def shown(self, selector: str) -> list[WebElement]:
        """The elements that can be seen."""
        found = self.driver.find_elements(By.CSS_SELECTOR, selector)
        return [element for element in found if element.is_displayed()]

    def rows(self) -> list[str]:
        """The rows of the matrix that can be seen."""
        return [row.text for row in self.shown("#matrix tbody tr")]

    def press(self, *keys: str) -> None:
        """Press keys, wherever the focus is."""
        self.driver.switch_to.active_element.send_keys(*keys)

    def brightness(self) -> int:
        """Of the page's background, from 0 to 255."""
        return brightness(self.driver)

    def requests(self) -> list[str]:
        """What was asked for since the page was opened."""
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        return [
            message["params"]["request"]["url"]
            for message in messages
            if message["method"] == "Network.requestWillBeSent"
            # The page that Chromium starts with may still be loading its own parts.
            and not message["params"]["documentURL"].startswith(
                ("chrome://", "chrome-untrusted://")
            )
        ]

    def assert_alone(self) -> None:
        """Nothing but the page was asked for, nothing went wrong, and nothing foreign ran."""
        assert self.requests() == [self._page.as_uri()]
        assert self.log("browser") == []
        assert self.driver.execute_script("return window.ran") is None


@pytest.fixture(scope="module")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chrome]:
    """One Chromium for all tests, with a profile of its own."""
    with chromium(tmp_path_factory.mktemp("chromium")) as driver:
        yield driver


@pytest.fixture
def browser(driver: Chrome, tmp_path: Path) -> Browser:
    """The browser."""
    return Browser(driver, tmp_path)


def test_the_verdict_the_map_and_every_finding_are_there(browser: Browser) -> None:
    """And the page needs nothing else."""
    result = audited(demo())
    browser.open(result)
    (verdict,) = browser.shown("#verdict")
    assert verdict.text == result.verdict.text
    assert len(browser.shown(".bar rect:not(.plate)")) == len(result.domains)
    assert len(browser.rows()) == len(result.profiles)
    messages = [element.text for element in browser.shown(".finding .message")]
    assert messages == [finding.message for finding in result.findings]
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, ".reasons li")) == sum(
        len(finding.reasons) for finding in result.findings
    )
    overflow = "const e = document.documentElement; return e.scrollWidth - e.clientWidth"
    assert browser.driver.execute_script(overflow) == 0
    browser.assert_alone()


#: A group in which every domain of images stands otherwise, by the sign of that.
STANDINGS = {
    "=": DomainRow("hall", "image", "indirect", "a", "yes", "nfs1:/locks", ["kvm1", "kvm2"]),
    "≠": DomainRow("hall", "image", "indirect", "b", "yes", "nfs2:/locks", ["kvm3"], apart=True),
    "?": DomainRow("hall", "image", "indirect", "c", "unknown", "cifs://c", ["kvm4"]),
    "×": DomainRow("hall", "image", "none", "none", "no", "nothing", ["kvm5"]),
}


def test_a_domain_apart_is_another_colour_shape_and_word(browser: Browser) -> None:
    """One host that does not exclude the others is not one of them to the eye: on the screen, in
    the dark and on paper, and with no colour at all."""
    names = [f"kvm{number}" for number in range(1, 6)]
    browser.open(
        audit_result(
            hosts=names,
            groups=[GroupRow("hall", names, ["nfs1:/vm"], inferred=False)],
            domains=list(STANDINGS.values()),
        )
    )
    script = (
        "return [...document.querySelectorAll('.bar rect:not(.plate)')]"
        ".map(e => getComputedStyle(e).fill)"
    )
    for media, scheme in (("screen", "light"), ("screen", "dark"), ("print", "dark")):
        browser.emulate(media, scheme)
        fills = browser.driver.execute_script(script)
        assert len(set(fills)) == len(STANDINGS), (media, scheme)
        assert sum("url(" in fill for fill in fills) == 2, "a pattern, which is no colour"
    browser.emulate("screen", "light")
    labels = [element.text for element in browser.shown(".bar text")]
    assert sorted(labels) == sorted(
        f"{sign} {len(domain.hosts)}" for sign, domain in STANDINGS.items()
    )
    tags = [element.text for element in browser.shown(".domains .tag")]
    assert sorted(tags) == sorted(
        ["= exclude each other", "≠ apart from the rest", "? not known", "× alone"]
    )
    legend = [element.text for element in browser.shown(".legend li")]
    assert len(legend) == len(set(legend)) == len(STANDINGS)
    (bar,) = browser.shown(".bar")
    assert "1 host apart from the rest" in (bar.get_attribute("aria-label") or "")
    browser.assert_alone()


def test_outliers_are_marked(browser: Browser) -> None:
    """Not by colour alone."""
    browser.open(audited(demo()))
    assert "◆ unlike most: nop" in [
        element.get_attribute("textContent") for element in browser.shown("#matrix td.odd")
    ]


def test_search_narrows_the_matrix_and_the_findings(browser: Browser) -> None:
    """By the name of a host that is in a range, and says which of the range it is."""
    result = audited(demo())
    browser.open(result)
    browser.press("/")
    browser.press("KVM03")
    (row,) = browser.rows()
    assert "nop" in row
    about = [finding for finding in result.findings if "kvm03" in finding.hosts]
    assert 0 < len(browser.shown(".finding")) < len(result.findings)
    assert len(browser.shown(".finding")) >= len(about)
    (said,) = browser.shown("#shown")
    assert said.text.startswith("1 host, ")
    browser.press(Keys.ESCAPE)
    assert len(browser.rows()) == len(result.profiles)
    browser.press("no-such-host")
    assert browser.rows() == []
    assert len(browser.shown(".none-left")) == 3


def test_search_and_severities_narrow_the_disks(browser: Browser) -> None:
    """And say how many are left; also when it is none."""
    result = audited(demo())
    browser.open(result)
    assert len(result.disks) > 1
    unsafe = [disk.name for disk in result.disks if disk.safe == "no"]

    def disks() -> list[str]:
        return [cell.text for cell in browser.shown("#disk-table tbody th")]

    assert disks() == [disk.name for disk in result.disks]
    (errors,) = browser.shown("[value=error]")
    errors.click()
    assert disks() == [disk.name for disk in result.disks if disk.safe != "no"]
    errors.click()
    browser.press("/")
    browser.press(unsafe[0])
    assert disks() == [unsafe[0]]
    (said,) = browser.shown("#shown")
    assert ", 1 disk, " in said.text
    browser.press("no-such-disk")
    assert disks() == []
    assert "No disk is like that." in [each.text for each in browser.shown(".none-left")]


def test_links_of_one_row_differ(browser: Browser) -> None:
    """Where two findings of one rule are why a row has its colour."""
    guests = [{"name": name, "disks": [f"/srv/images/{name}"]} for name in ("one", "two")]
    fleet: dict[str, dict[str, Any]] = {
        "kvm01": {"guests": guests},
        "kvm02": {"guests": guests, "qemu.conf": ""},
    }
    browser.open(audited(fleet))
    found = 0
    for row in browser.shown("#matrix tbody tr"):
        links = row.find_elements(By.CSS_SELECTOR, ".why a")
        texts = [link.text for link in links]
        assert len(set(texts)) == len({link.get_attribute("href") for link in links}), texts
        found += any(text.endswith("(2)") for text in texts)
        assert all(link.get_attribute("title") for link in links)
    assert found


def test_severities_can_be_left_out(browser: Browser) -> None:
    """Of both lists."""
    result = audited(demo())
    browser.open(result)
    (errors,) = browser.shown("[value=error]")
    errors.click()
    expected = [f.message for f in result.findings if f.severity != "error"]
    assert [element.text for element in browser.shown(".finding .message")] == expected
    assert len(browser.rows()) == sum(row.worst != "error" for row in result.profiles)
    errors.click()
    assert len(browser.shown(".finding")) == len(result.findings)


def test_all_can_be_reached_by_keyboard(browser: Browser) -> None:
    """The skip link first, then what filters, and every finding opens with Enter."""
    browser.open(audited(demo()))
    reached: list[WebElement] = []
    for _ in range(80):
        browser.driver.switch_to.active_element.send_keys(Keys.TAB)
        element = browser.driver.switch_to.active_element
        if element in reached:
            break
        reached.append(element)
    assert reached[0].get_attribute("href").endswith("#findings")  # type: ignore[union-attr]
    for selector in ("#search", "[name=severity]", "#all-settings", ".scroll", ".finding summary"):
        assert set(browser.shown(selector)) <= set(reached), selector
    last = browser.shown(".finding")[-1]
    before = last.get_attribute("open")
    last.find_element(By.CSS_SELECTOR, "summary").send_keys(Keys.ENTER)
    assert last.get_attribute("open") != before


def probed() -> AuditResult:
    """The demonstration, in which three hosts took part in a probe and one keeps its locks."""
    fleet = demo()
    for number, (name, locked) in enumerate(
        {"kvm01": [1, 2], "kvm02": [1, 2], "kvm03": [3]}.items(), 1
    ):
        seen = {"nonce": "5eed", "marked": [1, 2, 3], "locked": locked}
        directories = [{"path": "/srv/locks/files", **seen}]
        fleet[name]["evidence"] = {"number": number, "hosts": 3, "directories": directories}
    result = audited(fleet)
    return result.replace(
        guests={"kvm01": ["web01", "<b>"]},
        uses={"kvm01": [("<b>", "/srv/images/<u>.qcow2", "none"), ("web01", "/srv/a", "")]},
        locks={"kvm01": {"/srv/locks/files/<i>": 1_763_136_000, "/srv/locks/files/b": 0}},
        since=since_of(report_of(audited(demo())), result),
    )


def test_every_table_has_headings_and_can_be_saved(browser: Browser) -> None:
    """As CSV, in which a formula is none; the button does it, and asks no server."""
    browser.open(probed())
    script = """
        const saved = [];
        URL.createObjectURL = (blob) => { saved.push(blob); return "#"; };
        document.querySelectorAll("button.csv").forEach((button) => button.click());
        return Promise.all(saved.map((blob) => blob.text()));
    """
    saved = browser.driver.execute_script(script)
    tables = browser.driver.find_elements(By.CSS_SELECTOR, "table")
    assert len(saved) == len(tables) > 4
    for table, text in zip(tables, saved, strict=True):
        heads = table.find_elements(By.CSS_SELECTOR, "thead th[scope=col]")
        rows = list(csv.reader(io.StringIO(text)))
        assert len(heads) == len(rows[0]) > 1
        assert {len(row) for row in rows} == {len(heads)}
        assert len(rows) == 1 + len(table.find_elements(By.CSS_SELECTOR, "tbody tr"))
    every = "\n".join(saved)
    assert "lvm:Yp3cWk0d1B4a2Ch8QexN5s1LrTorders" in every
    assert not re.search(r'(^|,)"[=+@-]', every, re.MULTILINE)
    browser.assert_alone()


def test_disks_and_the_probe_have_tables(browser: Browser) -> None:
    """The page says which disks are unsafe and why, and which hosts see each other, as a symmetric
    matrix."""
    browser.open(probed())
    rows = [row.text for row in browser.shown("#disk-table tbody tr")]
    assert any("unsafe" in row and "kvm07" in row and "orders" in row for row in rows)
    cells = [
        [cell.text.split()[0] for cell in row.find_elements(By.TAG_NAME, "td")]
        for row in browser.shown(".probe tbody tr")
    ]
    assert cells == [["–", "=", "×"], ["=", "–", "×"], ["×", "×", "–"]]
    assert "do not see each other's locks" in browser.shown("[aria-labelledby=probe]")[0].text
    assert browser.shown("#since")


def test_a_host_has_a_view_of_its_own(browser: Browser) -> None:
    """With its settings, mounts, guests, disks and locks, and links to what was found."""
    browser.open(probed())
    assert browser.shown("#host") == []
    search = browser.shown("#search")[0]
    search.send_keys("kvm03", Keys.ENTER)
    browser.go_to("host=kvm03")
    panel = browser.shown("#host")[0].text
    for part in ("Host kvm03", "lock_manager", "nop", "/srv/images: nfs://10.0.0.5", "web01.qcow2"):
        assert part in panel
    links = browser.shown("#host a[href^='#finding']")
    assert any("LA101" in link.text for link in links)
    links[0].click()
    shown = browser.driver.execute_script("return document.querySelector(location.hash).open")
    assert shown
    browser.go_to("host=kvm01")
    panel = browser.shown("#host")[0].text
    assert "<b>" in panel
    assert "/srv/locks/files/<i> 2025-11-14 16:00 UTC" in panel
    assert "/srv/locks/files/b not known" in panel
    assert "<b> /srv/images/<u>.qcow2 not held\n" in panel
    buttons = browser.shown("#host button.csv")
    labels = [button.get_attribute("aria-label") for button in buttons]
    assert labels == ["Save as CSV: disks", "Save as CSV: locks"]
    browser.go_to("host=100%")
    assert browser.shown("#host") == []
    browser.go_to("host=kvm01")
    browser.go_to("host=nobody")
    assert browser.shown("#host") == []
    browser.assert_alone()


def test_a_red_row_says_why(browser: Browser) -> None:
    """By the findings that it links to."""
    browser.open(probed())
    (row,) = [row for row in browser.shown("#matrix tbody tr") if "kvm03" in row.text]
    links = row.find_elements(By.CSS_SELECTOR, ".why a")
    assert "LA101" in {link.text for link in links}
    targets = [link.get_attribute("href").rpartition("#")[2] for link in links]  # type: ignore[union-attr]
    assert all(browser.driver.find_elements(By.ID, target) for target in targets)


def test_a_phone_shows_it_without_going_sideways(browser: Browser) -> None:
    """In light and dark."""
    browser.open(probed())
    size = {"width": 390, "height": 800, "deviceScaleFactor": 2, "mobile": True}
    browser.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    try:
        browser.go_to("host=kvm01")
        wide = browser.driver.execute_script("return document.documentElement.scrollWidth")
        assert wide <= 390
    finally:
        browser.driver.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_the_bars_are_to_scale(browser: Browser) -> None:
    """A domain of a tenth of the hosts is a tenth of the bar, and its count is said."""
    hosts = [f"kvm{n:03}" for n in range(200)]
    rows = [
        DomainRow("hall", "image", "indirect", "x", "yes", "x", hosts[:199]),
        DomainRow("hall", "image", "none", "none", "no", "nothing", hosts[199:]),
    ]
    groups = [GroupRow("hall", hosts, ["hall"], inferred=False)]
    browser.open(audit_result(hosts=hosts, groups=groups, domains=rows))
    widths = [rect.size["width"] for rect in browser.shown(".bar rect")]
    assert widths[1] * 150 < widths[0]
    assert "= 199 · × 1" in browser.shown(".counts-of")[0].text


def test_dark_where_dark_is_wanted(browser: Browser) -> None:
    """And never on paper."""
    browser.open(audited(demo()))
    assert browser.brightness() > 240
    browser.emulate("screen", "dark")
    assert browser.brightness() < 40
    browser.emulate("print", "dark")
    assert browser.brightness() > 240


def test_print_shows_all_and_no_controls(browser: Browser) -> None:
    """Printed pages have the reasons even if the reader has not opened them."""
    browser.open(audited(demo()))
    browser.emulate("print", "light")
    assert browser.shown("#filter") == []
    script = "return [...document.querySelectorAll('.reasons')].map(e => e.offsetHeight)"
    heights = browser.driver.execute_script(script)
    assert heights
    assert min(heights) > 0
    printed = browser.driver.execute_cdp_cmd("Page.printToPDF", {})["data"]
    assert base64.b64decode(printed).startswith(b"%PDF")


def test_paper_is_not_filled_with_names(browser: Browser) -> None:
    """Names that would fill pages are folded as on the screen, all others are printed whole."""
    few, many = [f"kvm{n * 7:04}" for n in range(20)], [f"vm{n * 2:05}" for n in range(2500)]
    rows = [ProfileRow("hall", {"lock_manager": "lockd"}, hosts) for hosts in (few, many)]
    browser.open(audit_result(hosts=few + many, profiles=rows))
    browser.emulate("print", "light")
    text = browser.driver.execute_script("return document.getElementById('matrix').innerText")
    assert "0133]" in text.replace("\u200b", "")
    assert "04998" not in text
    assert "2500" in text


def test_five_thousand_hosts(browser: Browser) -> None:
    """Open, folded, and searched at once."""
    browser.open(large())
    assert len(browser.driver.find_elements(By.CSS_SELECTOR, "#matrix tbody tr")) == 101
    took = browser.driver.execute_script(
        "const s = document.getElementById('search'); s.value = 'kvm0042';"
        "const t = performance.now(); s.dispatchEvent(new Event('input', {bubbles: true}));"
        "return performance.now() - t"
    )
    assert took < 500
    (row,) = browser.rows()
    assert "4900" in row
    assert "here: kvm0042" in row
    browser.assert_alone()


def test_hostile_text_is_text(browser: Browser) -> None:
    """Wherever it stands, it is shown as it is, and nothing of it runs or is asked for."""
    result = hostile()
    browser.open(result)
    assert browser.shown("#verdict")[0].text == " ".join(ATTACKS)
    text = browser.driver.execute_script("return document.body.textContent")
    assert all(host in text for host in result.hosts)
    assert browser.driver.find_elements(By.CSS_SELECTOR, "img, link, [onload], [onerror]") == []
    assert len(browser.driver.find_elements(By.TAG_NAME, "script")) == 5
    browser.go_to(f"host={quote(result.hosts[0], safe='')}")
    panel = browser.shown("#host")[0].text
    assert all(panel.count(attack) >= 3 for attack in ATTACKS)
    browser.press("/")
    browser.press("<img")
    assert len(browser.rows()) == 1
    assert browser.shown(".hit")[0].text == "here: <img src=x onerror=window.ran=1>1"
    browser.assert_alone()


def test_the_browser_would_run_nothing_foreign(browser: Browser) -> None:
    """They were there a hole in the page, the content policy would still be there."""
    browser.open(audited(demo()))
    browser.driver.execute_script(
        "const s = document.createElement('script'); s.textContent = 'window.ran = 1';"
        "document.body.append(s);"
        "const i = document.createElement('img'); i.src = 'http://127.0.0.1:9/x';"
        "document.body.append(i);"
    )
    assert browser.driver.execute_script("return window.ran") is None
    refused = [entry["message"] for entry in browser.log("browser")]
    assert any("script-src" in message for message in refused)
    assert any("127.0.0.1" in message and "default-src" in message for message in refused)


def test_what_cannot_be_seen_is_an_escape() -> None:
    """A mark that turns the direction of text cannot make one host look like another."""
    name = "kvm\u202e10\x1b"
    page = page_of(audited({"kvm01": {"host": {"name": name}}}))
    assert "\u202e" not in page
    assert "\x1b" not in page
    assert name not in page


def test_the_same_audit_is_the_same_page() -> None:
    """Byte for byte."""
    assert page_of(audited(demo())) == page_of(audited(demo()))
    assert page_of(large()) == page_of(large())


def test_an_empty_and_a_fine_fleet_have_a_page(browser: Browser) -> None:
    """An empty audit is a case of its own."""
    fleets: list[dict[str, Any]] = [{}, {f"kvm0{n}": {} for n in range(3)}]
    for fleet in fleets:
        browser.open(audited(fleet))
        assert browser.shown("#verdict")
        browser.assert_alone()
