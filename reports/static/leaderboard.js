// Filters of the leaderboard. The whole state is in the address, so that a view can be shared.
"use strict";

(() => {
  const box = document.getElementById("board-controls");
  const tables = [...document.querySelectorAll("table.data[id^='board']")];
  if (!box || !tables.length) return;

  const SIZES = { "": [0, Infinity], "below 1 B": [0, 1e9], "1 to 4 B": [1e9, 4e9], "4 to 9 B": [4e9, 9e9], "9 B and above": [9e9, Infinity] };
  const GROUPS = [...new Set(tables.flatMap((table) => [...table.tHead.rows[0].cells].map((head) => head.dataset.group || "")))].filter(Boolean);
  const start = { q: "", size: "", family: "", adapter: "", complete: "", hide: "", sort: "" };
  let state = { ...start };
  const ui = {};

  const columnOf = (table, label) => [...table.tHead.rows[0].cells].findIndex((head) => head.textContent === label);
  const cellsOf = (table) => [...table.tBodies[0].rows].map((row) => [row, [...row.cells]]);

  function keep(table, cells) {
    const parameters = Number(cells[columnOf(table, "Parameters")].dataset.sort ?? NaN);
    const [least, most] = SIZES[state.size] || SIZES[""];
    const words = state.q.toLowerCase().split(/[\s;]+/).filter(Boolean);
    const text = cells.map((cell) => cell.textContent).join(" ").toLowerCase();
    return words.every((word) => text.includes(word))
      && (!state.size || (parameters >= least && parameters < most))
      && (!state.family || cells[columnOf(table, "Family")].textContent === state.family)
      && (!state.adapter || cells[columnOf(table, "Adapter")].textContent === state.adapter)
      && (!state.complete || cells[columnOf(table, "Macro")].dataset.sort !== undefined);
  }

  function apply() {
    const hidden = state.hide.split(",").filter(Boolean);
    let shown = 0;
    for (const table of tables) {
      const groups = [...table.tHead.rows[0].cells].map((head) => head.dataset.group || "");
      [...table.rows].forEach((row) => [...row.cells].forEach((cell, index) => { cell.hidden = hidden.includes(groups[index]); }));
      for (const [row, cells] of cellsOf(table)) {
        row.hidden = !keep(table, cells);
        shown += !row.hidden;
      }
    }
    ui.count.textContent = `${shown} shown`;
  }

  function write() {
    const changed = Object.entries(state).filter(([key, value]) => value !== start[key]);
    ReportLink.write({ ...Object.fromEntries(Object.keys(start).map((key) => [key, ""])), ...Object.fromEntries(changed) });
  }

  function read() {
    const given = ReportLink.read().view;
    state = Object.fromEntries(Object.keys(start).map((key) => [key, given.get(key) ?? start[key]]));
    ui.search.value = state.q;
    ui.size.value = state.size;
    ui.family.value = state.family;
    ui.adapter.value = state.adapter;
    ui.complete.checked = Boolean(state.complete);
    for (const [group, input] of Object.entries(ui.groups)) input.checked = !state.hide.split(",").includes(group);
    const match = /^(\d+)\.(\d+)\.(ascending|descending)$/.exec(state.sort);
    const head = match && tables[match[1]]?.tHead.rows[0].cells[match[2]];
    for (let tries = 0; head && tries < 2 && head.getAttribute("aria-sort") !== match[3]; tries++) head.querySelector("button")?.click();
  }

  function set(changes) {
    Object.assign(state, changes);
    apply();
    write();
  }

  function field(label, input) {
    const node = document.createElement("label");
    node.append(label, input);
    box.append(node);
    return input;
  }

  function choice(options) {
    const select = document.createElement("select");
    for (const [value, text] of options) select.add(new Option(text, value));
    return select;
  }

  function tick(label, onChange) {
    const input = document.createElement("input");
    input.type = "checkbox";
    input.addEventListener("change", () => onChange(input.checked));
    field(label, input).parentElement.prepend(input);
    return input;
  }

  function build() {
    ui.search = field("Filter", Object.assign(document.createElement("input"), { type: "search", autocomplete: "off" }));
    ui.search.addEventListener("input", () => set({ q: ui.search.value.trim() }));
    ui.size = field("Size", choice(Object.keys(SIZES).map((name) => [name, name || "all"])));
    ui.size.addEventListener("change", () => set({ size: ui.size.value }));
    for (const [name, label] of [["family", "Family"], ["adapter", "Adapter"]]) {
      const values = new Set(tables.flatMap((table) => cellsOf(table).map(([, cells]) => cells[columnOf(table, label)].textContent)));
      ui[name] = field(label, choice([["", "all"], ...[...values].sort().map((value) => [value, value])]));
      ui[name].parentElement.hidden = values.size < 2;
      ui[name].addEventListener("change", () => set({ [name]: ui[name].value }));
    }
    ui.complete = tick("complete rows only", (on) => set({ complete: on ? "1" : "" }));
    ui.groups = {};
    const columns = document.createElement("fieldset");
    columns.append(Object.assign(document.createElement("legend"), { textContent: "Columns" }));
    box.append(columns);
    for (const group of GROUPS) {
      ui.groups[group] = tick(group, () => set({ hide: GROUPS.filter((name) => !ui.groups[name].checked).join(",") }));
      columns.append(ui.groups[group].parentElement);
    }
    ui.count = document.createElement("span");
    ui.count.setAttribute("role", "status");
    box.append(ui.count);
    box.hidden = false;
  }

  function rememberSorting(table, number) {
    [...table.tHead.rows[0].cells].forEach((head, column) => head.addEventListener("click", () => {
      const order = head.getAttribute("aria-sort");
      if (order) set({ sort: `${number}.${column}.${order}` });
    }));
  }

  build();
  read();
  apply();
  tables.forEach(rememberSorting);
  addEventListener("hashchange", () => { read(); apply(); });
})();
