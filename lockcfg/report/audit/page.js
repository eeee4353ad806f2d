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
    host: element.closest("#matrix") !== null,
  }));

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
    let hosts = 0, rows = 0, findings = 0;
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
      if (!item.host) { findings += 1; continue; }
      rows += 1;
      hosts += part ? named.length : item.names.length;
    }
    shown.textContent = hosts + (hosts === 1 ? " host, " : " hosts, ") +
      findings + (findings === 1 ? " finding" : " findings");
    const [noHost, noFinding] = document.querySelectorAll(".none-left");
    noHost.hidden = rows !== 0;
    noFinding.hidden = findings !== 0 || !items.some((item) => !item.host);
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
  update();
})();
