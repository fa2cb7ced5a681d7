// What every report page does: theme, sortable tables, copy buttons. Needs link.js. All else works without it.
"use strict";

(() => {
  const root = document.documentElement;

  function remembered(key, value) {
    try {
      if (value !== undefined) localStorage.setItem(key, value);
      return localStorage.getItem(key);
    } catch {
      return null; // pages opened from a file may have no storage
    }
  }

  function setUpTheme() {
    const button = document.getElementById("theme");
    const dark = matchMedia("(prefers-color-scheme: dark)");
    const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : dark.matches);
    const label = () => { button.textContent = isDark() ? "Light theme" : "Dark theme"; };
    const saved = remembered("theme");
    if (saved === "dark" || saved === "light") root.dataset.theme = saved;
    button.addEventListener("click", () => {
      root.dataset.theme = isDark() ? "light" : "dark";
      remembered("theme", root.dataset.theme);
      label();
    });
    dark.addEventListener("change", label);
    button.hidden = false;
    label();
  }

  // Rows without a value stay last in both directions.
  function sortTable(table, column, descending) {
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => {
      const raw = row.cells[column].dataset.sort;
      const number = raw === undefined ? NaN : Number(raw);
      return { row, raw, key: Number.isNaN(number) ? raw : number };
    });
    const sign = descending ? -1 : 1;
    keyed.sort((a, b) => {
      if (a.raw === undefined || b.raw === undefined) return (a.raw === undefined) - (b.raw === undefined);
      if (typeof a.key === "number" && typeof b.key === "number") return sign * (a.key - b.key);
      return sign * String(a.key).localeCompare(String(b.key), "en", { numeric: true });
    });
    body.append(...keyed.map((entry) => entry.row));
  }

  function setUpSorting(table) {
    if (!table.tBodies[0] || table.tBodies[0].rows.length < 2) return;
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const first = head.classList.contains("num") ? "descending" : "ascending";
        const second = first === "ascending" ? "descending" : "ascending";
        const order = head.getAttribute("aria-sort") === first ? second : first;
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", order);
        sortTable(table, column, order === "descending");
      });
    });
  }

  async function copy(block) {
    try {
      await navigator.clipboard.writeText(block.textContent);
      return true;
    } catch {
      const selection = getSelection();
      selection.selectAllChildren(block);
      return document.execCommand("copy");
    }
  }

  function setUpCopying(block) {
    const row = document.createElement("p");
    const button = document.createElement("button");
    row.className = "copy-row";
    button.type = "button";
    button.textContent = "Copy";
    button.addEventListener("click", async () => {
      button.textContent = (await copy(block)) ? "Copied" : "Select the text and copy it";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
    row.append(button);
    block.after(row);
  }

  // A link to a folded section opens it.
  function openTarget() {
    const target = /^#(s=|v\?)/.test(location.hash) ? null : document.getElementById(ReportLink.decoded(location.hash.slice(1)));
    if (target instanceof HTMLDetailsElement) target.open = true;
  }

  setUpTheme();
  document.querySelectorAll("table.data").forEach(setUpSorting);
  document.querySelectorAll("pre.command, .copyable pre").forEach(setUpCopying);
  addEventListener("hashchange", openTarget);
  addEventListener("beforeprint", () => document.querySelectorAll("details.task").forEach((part) => { part.open = true; }));
  openTarget();
})();
