"use strict";
(() => {
  const sets = JSON.parse(document.getElementById("sets").textContent)
    .map((names) => names.map((name) => [name, name.toLowerCase()]));
  const form = document.getElementById("filter");
  const search = document.getElementById("search");
  const shown = document.getElementById("shown");
  const boxes = [...form.querySelectorAll("[name=severity]")];
  const matrix = document.getElementById("matrix");
  const most = 5;
  const items = [...document.querySelectorAll(".item")].map((element) => ({
    element,
    severity: element.dataset.severity,
    names: sets[Number(element.dataset.set)],
    text: element.textContent.toLowerCase(),
    hit: element.querySelector(".hit"),
    list: element.closest("[data-list]").dataset.list,
  }));

  const lists = new Set(items.map((item) => item.list));

  // Each word must be in what the page says, or in a name that it folds into a range.
  const hits = (item, words) => {
    let named = [];
    for (const word of words) {
      const found = item.names.filter(([, lower]) => lower.includes(word));
      if (found.length === 0 && !item.text.includes(word)) return null;
      if (found.length !== 0) named = found;
    }
    return named;
  };

  const update = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const wanted = new Set(boxes.filter((box) => box.checked).map((box) => box.value));
    const left = { hosts: 0, disks: 0, findings: 0 };
    let hosts = 0;
    for (const item of items) {
      const named = wanted.has(item.severity) ? hits(item, words) : null;
      item.element.hidden = named === null;
      const part = named !== null && named.length !== 0 && named.length < item.names.length;
      if (item.hit) {
        item.hit.textContent = !part ? "" : "here: " +
          named.slice(0, most).map(([name]) => name).join(", ") +
          (named.length > most ? " and " + (named.length - most) + " more" : "");
      }
      if (named === null) continue;
      left[item.list] += 1;
      if (item.list === "hosts") hosts += part ? named.length : item.names.length;
    }
    const counts = [[hosts, "host"], [left.disks, "disk"], [left.findings, "finding"]];
    shown.textContent = counts.filter(([, word]) => word !== "disk" || lists.has("disks"))
      .map(([count, word]) => count + " " + word + (count === 1 ? "" : "s")).join(", ");
    // Whoever looks for one host can have its view.
    const one = sets.flat().map(([name]) => name).find((name) => name === search.value.trim());
    if (one !== undefined) {
      shown.append(" ");
      const link = document.createElement("a");
      link.href = "#host=" + encodeURIComponent(one);
      link.textContent = "all of " + one;
      shown.append(link);
    }
    for (const none of document.querySelectorAll(".none-left")) {
      none.hidden = left[none.dataset.of] !== 0 || !lists.has(none.dataset.of);
    }
  };

  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", update);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/" && document.activeElement !== search) {
      event.preventDefault();
      search.focus();
      search.select();
    } else if (event.key === "Escape") {
      search.value = "";
      for (const box of boxes) box.checked = true;
      update();
    }
  });
  const all = document.getElementById("all-settings");
  if (all) {
    all.parentElement.hidden = false;
    const fold = () => matrix.classList.toggle("fold", !all.checked);
    all.addEventListener("change", fold);
    fold();
  }

  // The view of one host: what the page says of it, put together. All of it goes in as text.
  const guests = JSON.parse(document.getElementById("guests").textContent);
  const locks = JSON.parse(document.getElementById("locks").textContent);
  const uses = JSON.parse(document.getElementById("uses").textContent);
  const panel = document.getElementById("host");
  const title = document.getElementById("host-title");
  const body = document.getElementById("host-body");
  const make = (tag, text, parent) => {
    const element = document.createElement(tag);
    if (text !== undefined) element.textContent = text;
    if (parent) parent.append(element);
    return element;
  };
  const about = (element, host) =>
    sets[Number(element.dataset.set)].some(([name]) => name === host);
  const list = (heading, lines) => {
    if (lines.length === 0) return;
    make("h3", heading, body);
    const ul = make("ul", undefined, body);
    for (const [text, link] of lines) {
      const li = make("li", undefined, ul);
      if (link) make("a", text, li).href = "#" + link; else li.textContent = text;
    }
  };
  const lines = (heading, name, heads, rows) => {
    if (!rows) return;
    make("h3", heading, body);
    const scroll = make("div", undefined, body);
    scroll.className = "scroll";
    const table = make("table", undefined, scroll);
    table.className = "plain";
    table.dataset.csv = name;
    const head = make("tr", undefined, make("thead", undefined, table));
    for (const each of heads) make("th", each, head).scope = "col";
    const rest = make("tbody", undefined, table);
    for (const [first, ...others] of rows) {
      const line = make("tr", undefined, rest);
      make("th", first, line).scope = "row";
      for (const each of others) make("td", each, line);
    }
    saveable(table);
  };
  const showHost = (host) => {
    body.replaceChildren();
    title.textContent = "Host " + host;
    for (const row of matrix.tBodies[0].rows) {
      if (!about(row, host)) continue;
      make("h3", "Settings", body);
      const dl = make("dl", undefined, body);
      const heads = [...matrix.tHead.rows[0].cells];
      for (const [at, cell] of [...row.cells].entries()) {
        if (at < 2) continue;
        make("dt", heads[at].textContent, dl);
        make("dd", cell.textContent.trim(), dl);
      }
      const mounts = row.querySelector("template.mounts").content;
      list("Directories of locks and disks", [...mounts.querySelectorAll("li")].map((li) => [li.textContent]));
      const held = row.querySelector("template.held").content.textContent;
      if (held) list("Locks of running guests", [[held]]);
    }
    if (guests[host]) list("Running guests", guests[host].map((name) => [name]));
    lines("Disks that other hosts may have", "disks", ["Guest", "Disk", "Lock"], uses[host]);
    lines("Locks that its lock daemon holds", "locks", ["File", "Held since"], locks[host]);
    const rows = [...document.querySelectorAll("#disk-table tbody tr")].filter((row) => about(row, host));
    list("Disks that it shares", rows.map((row) =>
      [row.cells[0].textContent.trim() + ": " + row.cells[1].textContent.trim()]));
    const found = [...document.querySelectorAll(".finding")].filter((each) => about(each, host));
    list("Findings", found.map((each) => [each.querySelector("summary").textContent.replace(/\s+/g, " ").trim(), each.id]));
    panel.hidden = false;
  };
  const known = new Set(sets.flat().map(([name]) => name));
  const follow = () => {
    panel.hidden = true;
    let hash = location.hash.slice(1);
    try { hash = decodeURIComponent(hash); } catch { return; }  // a stray per cent sign
    if (hash.startsWith("host=") && known.has(hash.slice(5))) {
      showHost(hash.slice(5));
      panel.scrollIntoView();
      panel.focus();
    } else if (hash.startsWith("finding-")) {
      const finding = document.getElementById(hash);
      if (finding) { finding.hidden = false; finding.open = true; finding.scrollIntoView(); }
    }
  };
  addEventListener("hashchange", follow);
  search.setAttribute("list", "names");
  const names = make("datalist", undefined, form);
  names.id = "names";
  for (const name of [...known].slice(0, 5000)) make("option", undefined, names).value = name;
  search.addEventListener("change", () => {
    if (known.has(search.value)) location.hash = "host=" + encodeURIComponent(search.value);
  });

  // Every table as CSV (RFC 4180). What a spreadsheet would take for a formula gets a quote before it.
  const field = (cell) => {
    let text = (cell.dataset.csv || cell.textContent).replace(/\s+/g, " ").trim();
    if (/^[=+\-@]/.test(text) && text.length > 1) text = "'" + text;
    return '"' + text.replace(/"/g, '""') + '"';
  };
  const saveable = (table) => {
    const button = make("button", "CSV");
    button.type = "button";
    button.className = "csv";
    button.setAttribute("aria-label", "Save as CSV: " + table.dataset.csv);
    button.addEventListener("click", () => {
      const lines = [...table.rows].map((row) => [...row.cells].map(field).join(","));
      const link = make("a");
      link.href = URL.createObjectURL(new Blob([lines.join("\r\n") + "\r\n"], { type: "text/csv" }));
      link.download = table.dataset.csv + ".csv";
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 1000);
    });
    (table.closest(".scroll") || table).before(button);
  };
  document.querySelectorAll("table[data-csv]").forEach(saveable);
  update();
  follow();
})();
