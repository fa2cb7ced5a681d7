// The sample browser: filters, a list, and one sample in full. Needs link.js, samples_text.js and samples_source.js.
"use strict";

(() => {
  const box = document.getElementById("browser");
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const data = report.samples;
  if (!box || !data || !data.kept.rows) return;

  const { make, plain, appendText, textBlock, compareWords, UNSEEN } = ReportText;
  const { PAGE_ROWS } = ReportSource;
  const source = ReportSource.open(data, report.runs);
  const { ROW, ANSWER, answers, extracted, keyOf, text: shared } = source.read;
  const STATES = data.fields.states; // right, partly right, wrong, not scored, unparsed, error
  const SIGNS = ["✓", "◐", "✗", "–", "?", "!"];
  const CLASSES = ["right", "partly", "wrong", "unscored", "unparsed", "error"];
  const compared = report.runs.length > 1;
  const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 });
  const count = (value) => value.toLocaleString("en");

  // What is shown: the query, the page of the list that is loaded, and the sample that is chosen in it.
  const start = { show: "all", task: "", category: "", text: "" };
  const KEYS = { show: "f", task: "t", category: "c", text: "x" }; // in the address
  const state = { query: { ...start }, total: 0, at: 0, from: 0, samples: [] };
  const ui = {};
  let asked = 0;

  const current = () => state.samples[state.at - state.from];

  // Asks the source for a page; an answer that a later question has overtaken is dropped.
  async function load(query, want) {
    const mine = ++asked;
    box.setAttribute("aria-busy", "true");
    try {
      const found = await source.page(query, want);
      if (mine !== asked) return null;
      return found;
    } catch (error) {
      if (mine === asked) ui.detail.replaceChildren(make("p", { className: "empty", role: "alert" }, `The samples could not be loaded: ${error.message}.`));
      return null;
    } finally {
      if (mine === asked) box.removeAttribute("aria-busy");
    }
  }

  function take(query, found) {
    state.query = query;
    Object.assign(state, { total: found.total, at: found.at, from: found.from, samples: found.samples });
    showList();
    showDetail();
  }

  // Filters ---------------------------------------------------------------------------------------------------------

  async function applyFilters(changes) {
    const query = { ...state.query, ...changes };
    const keep = current();
    const found = await load(query, keep ? { key: keyOf(keep) } : { at: 0 });
    if (!found) return;
    take(query, found);
    remember();
  }

  function pressFilter() {
    for (const button of ui.states.children) button.setAttribute("aria-pressed", String(button.value === state.query.show));
  }

  async function fillCategories(task, chosen) {
    const values = (await source.categories(task)).map(([column, value, many]) => [JSON.stringify([column, value]), many]);
    const usable = values.filter(([, many]) => many > 1).sort(([a], [b]) => a.localeCompare(b)).slice(0, 300);
    ui.category.replaceChildren(make("option", { value: "" }, "all categories"));
    for (const [key, many] of usable) ui.category.append(make("option", { value: key }, `${JSON.parse(key).join(": ")} (${count(many)})`));
    ui.category.parentElement.hidden = !usable.length;
    ui.category.value = usable.some(([key]) => key === chosen) ? chosen : "";
    return ui.category.value;
  }

  function showQuery() {
    ui.task.value = state.query.task;
    ui.search.value = state.query.text;
    pressFilter();
  }

  // Links -----------------------------------------------------------------------------------------------------------

  const viewOf = (query) => Object.fromEntries(Object.entries(KEYS).map(([name, key]) => [key, query[name] === start[name] ? "" : query[name]]));

  function remember() {
    const sample = current();
    ReportLink.write(viewOf(state.query), sample ? keyOf(sample) : null);
  }

  function queryOf(view) {
    const query = { ...start };
    for (const [name, key] of Object.entries(KEYS)) query[name] = view.get(key) ?? start[name];
    try {
      if (query.category) JSON.parse(query.category);
    } catch {
      query.category = "";
    }
    return query;
  }

  // Shows what the address says; without a sample or filters in it, the page's own beginning.
  async function followLink(first) {
    const { view, sample } = ReportLink.read();
    const named = Object.values(KEYS).some((key) => view.has(key));
    if (!first && !sample && !named) return;
    let query = named ? queryOf(view) : first && !sample ? { ...start, show: first } : { ...state.query };
    const key = ReportLink.splitKey(sample);
    const want = key ? { key: ReportLink.keyOf(key.task, key.id) } : { at: 0 };
    let found = await load(query, want);
    if (found && key && !found.hit) {
      query = { ...start };
      found = await load(query, want);
    }
    if (!found) return;
    await fillCategories(query.task, query.category);
    take(query, found);
    showQuery();
    if (key && !found.hit) {
      ui.detail.replaceChildren(make("p", { className: "empty", role: "status" }, `This ${data.server ? "run" : "file"} has no sample ${key.id} of ${key.task}.`));
    }
    if (sample) box.scrollIntoView();
  }

  // The list --------------------------------------------------------------------------------------------------------

  function sign(index) {
    return make("span", { className: `state state-${CLASSES[index]}`, title: STATES[index] }, SIGNS[index]);
  }

  function listItem(sample, index) {
    const link = make("a", { href: ReportLink.address({}, keyOf(sample)) });
    const last = answers(sample)[answers(sample).length - 1] || answers(sample)[0];
    const gist = last[ANSWER.failure] ? plain(last[ANSWER.failure][0]) : plain(last[ANSWER.text]);
    const mark = make("span", { className: "signs" });
    for (const answer of answers(sample)) {
      if (answer) mark.append(sign(answer[ANSWER.state]), make("span", { className: "visually-hidden" }, STATES[answer[ANSWER.state]]));
      else mark.append(make("span", { className: "muted" }, "·"));
    }
    link.append(mark, make("bdi", { className: "id" }, sample.row[ROW.id].slice(0, 80)));
    link.append(make("bdi", { className: "gist" }, gist.slice(0, 80).replace(UNSEEN, "\ufffd") || "(empty)"));
    link.addEventListener("click", (event) => {
      if (event.ctrlKey || event.metaKey || event.shiftKey) return;
      event.preventDefault();
      select(index);
    });
    return make("li", {}, link);
  }

  function showList() {
    ui.list.replaceChildren(...state.samples.map((sample, index) => listItem(sample, state.from + index)));
    const range = state.samples.length ? `${count(state.from + 1)} to ${count(state.from + state.samples.length)} of ` : "";
    ui.range.textContent = `${range}${count(state.total)}`;
    ui.back.disabled = state.from === 0;
    ui.forth.disabled = state.from + PAGE_ROWS >= state.total;
    if (!state.samples.length) ui.list.append(make("li", { className: "empty" }, "No sample matches."));
    markCurrent();
  }

  function markCurrent() {
    [...ui.list.querySelectorAll("a")].forEach((link, index) => {
      if (state.from + index !== state.at) return link.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      const [top, bottom] = [link.offsetTop - ui.list.offsetTop, link.offsetTop - ui.list.offsetTop + link.offsetHeight];
      if (top < ui.list.scrollTop) ui.list.scrollTop = top;
      else if (bottom > ui.list.scrollTop + ui.list.clientHeight) ui.list.scrollTop = bottom - ui.list.clientHeight;
    });
  }

  async function select(index) {
    if (index < 0 || index >= state.total) return;
    if (index >= state.from && index < state.from + state.samples.length) {
      state.at = index;
      markCurrent();
      showDetail();
    } else {
      const found = await load(state.query, { at: index });
      if (!found) return;
      take(state.query, found);
    }
    remember();
  }

  // One sample ------------------------------------------------------------------------------------------------------

  function pictures(sample) {
    const column = make("div", { className: "pictures" });
    sample.row[ROW.images].forEach((index, order) => {
      const address = source.picture(sample, index);
      if (!address) {
        column.append(make("p", { className: "missing" }, "This picture is not in this file."));
        return;
      }
      const image = make("img", { alt: `picture ${order + 1} of sample ${sample.row[ROW.id]}`, src: address });
      image.addEventListener("load", () => image.classList.toggle("tiny", image.naturalWidth < 160));
      column.append(image);
    });
    return column;
  }

  function facts(sample, answer) {
    const list = make("dl");
    const add = (name, value) => list.append(make("dt", {}, name), make("dd", {}, value));
    const outcome = make("span", {}, sign(answer[ANSWER.state]), ` ${STATES[answer[ANSWER.state]]}`);
    add("Outcome", outcome);
    const rule = plain(shared(sample, answer[ANSWER.rule]));
    const read = extracted(answer);
    if (rule || answer[ANSWER.state] === 4) {
      add("Read as", read === null ? "nothing" : appendText(make("bdi"), plain(read)));
      if (rule) add("By rule", rule);
    }
    if (answer[ANSWER.score] !== null) add(sample.task.metric || "score", number(answer[ANSWER.score]));
    for (const [name, value] of Object.entries(answer[ANSWER.parts] || {})) if (value !== null) add(name, number(value));
    const labels = { image_ms: "Decode and resize", vision_ms: "Vision", prefill_ms: "Prefill", decode_ms: "Decode",
      batch_ms: "Waited", ttft_ms: "First token", tpot_ms: "Per token" };
    answer[ANSWER.times].forEach((value, index) => {
      const label = labels[data.fields.times[index]];
      if (label && value !== null) add(label, `${number(value)} ms`);
    });
    const [prompt, fresh] = answer[ANSWER.tokens];
    if (prompt !== null || fresh !== null) add("Tokens", `${prompt ?? "–"} in, ${fresh ?? "–"} out`);
    return list;
  }

  function answerCard(sample, answer, name, parts, frozen) {
    const card = make("section", { className: "answer" });
    card.append(make("h4", {}, compared ? name : "Answer"));
    if (frozen && answer) {
      card.append(make("p", { className: "muted" }, "This run kept its scores, not its answers."), facts(sample, answer));
      return card;
    }
    if (!answer) {
      card.append(make("p", { className: "muted" }, "This run was not asked this sample."));
      return card;
    }
    const failure = answer[ANSWER.failure];
    if (failure) {
      card.append(appendText(make("p", { className: "bad", dir: "auto" }), `${plain(failure[0])}: ${plain(failure[1])}`));
      if (plain(failure[2])) card.append(make("details", {}, make("summary", {}, "Traceback"), make("pre", {}, plain(failure[2]))));
    } else {
      card.append(textBlock(answer[ANSWER.text], parts));
    }
    card.append(facts(sample, answer));
    return card;
  }

  function references(sample) {
    const items = sample.row[ROW.references];
    if (!items.length) return make("p", { className: "muted" }, "This task has none.");
    const counts = new Map();
    for (const item of items) counts.set(JSON.stringify(item), (counts.get(JSON.stringify(item)) || 0) + 1);
    const list = make("ul", { className: counts.size === 1 ? "references single" : "references" });
    for (const [item, count] of counts) {
      const block = textBlock(JSON.parse(item));
      if (count > 1) block.append(make("span", { className: "muted" }, ` ×${count}`));
      list.append(make("li", {}, block));
    }
    return list;
  }

  function showDetail() {
    const sample = current();
    if (!sample) {
      ui.detail.replaceChildren(make("p", { className: "empty" }, "No sample matches these filters."));
      return;
    }
    const group = sample.row[ROW.group];
    const heading = make("h3", {}, `${sample.task.title} · `, make("bdi", {}, sample.row[ROW.id]));
    if (group) heading.append(make("span", { className: "muted" }, " of question ", make("bdi", {}, group)));
    const steps = make("span", {}, ui.previous, " ", ui.next);
    ui.previous.disabled = state.at === 0;
    ui.next.disabled = state.at === state.total - 1;
    const body = make("div", { className: "detail-body" });
    if (sample.row[ROW.images].length) body.append(pictures(sample));
    else body.classList.add("no-picture");
    const asked = make("div", {}, make("h4", {}, "Prompt"), textBlock(shared(sample, sample.row[ROW.prompt])));
    asked.append(make("h4", {}, sample.row[ROW.references].length > 1 ? "References" : "Reference"), references(sample));
    const own = Object.entries(sample.row[ROW.categories] || {});
    if (own.length) {
      asked.append(make("h4", {}, "Categories"));
      asked.append(make("p", { className: "note" }, own.map(([column, index]) => `${column}: ${plain(shared(sample, index))}`).join(", ")));
    }
    const given = answers(sample);
    const both = given.length === 2 && !data.frozen && given[0] && given[1] ? compareWords(plain(given[0][ANSWER.text]), plain(given[1][ANSWER.text])) : [];
    const cards = make("div", { className: "answers" });
    given.forEach((answer, index) => cards.append(answerCard(sample, answer, report.runs[index], both[index] || null, index < data.frozen)));
    if (compared) body.append(asked, cards);
    else {
      asked.append(cards);
      body.append(asked);
    }
    const hadFocus = ui.detail.contains(document.activeElement) ? document.activeElement : null;
    ui.detail.replaceChildren(make("div", { className: "detail-head" }, heading, steps), body);
    if (hadFocus && hadFocus.isConnected) hadFocus.focus();
  }

  // Building it -----------------------------------------------------------------------------------------------------

  async function buildStates(filters) {
    for (const [name, many] of filters) {
      if (!many && !["all", "errors", "regressed"].includes(name)) continue;
      const button = make("button", { type: "button", value: name }, `${name} ${count(many)}`);
      button.addEventListener("click", async () => {
        await applyFilters({ show: name });
        pressFilter();
      });
      ui.states.append(button);
    }
  }

  function buildControls() {
    ui.states = make("div", { className: "states", role: "group", "aria-label": "Show" });
    ui.task = make("select", {}, make("option", { value: "" }, "all tasks"));
    for (const task of source.tasks) ui.task.append(make("option", { value: task.name }, task.title));
    ui.category = make("select");
    ui.search = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    ui.task.addEventListener("change", async () => {
      const task = ui.task.value;
      applyFilters({ task, category: await fillCategories(task, state.query.category) });
    });
    ui.category.addEventListener("change", () => applyFilters({ category: ui.category.value }));
    let timer = 0;
    ui.search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => applyFilters({ text: ui.search.value.trim() }), data.server ? 300 : 120);
    });
    const taskLabel = make("label", {}, "Task", ui.task);
    taskLabel.hidden = source.tasks.length < 2;
    const controls = make("div", { className: "controls" }, ui.states, taskLabel);
    controls.append(make("label", {}, "Category", ui.category), make("label", {}, "Search", ui.search));
    return controls;
  }

  function buildPanes() {
    ui.list = make("ol", { className: "sample-list" });
    ui.range = make("span", { role: "status" });
    ui.back = make("button", { type: "button", "aria-label": "Previous page of the list" }, "‹");
    ui.forth = make("button", { type: "button", "aria-label": "Next page of the list" }, "›");
    ui.back.addEventListener("click", () => select(state.from - PAGE_ROWS));
    ui.forth.addEventListener("click", () => select(state.from + PAGE_ROWS));
    ui.previous = make("button", { type: "button" }, "Previous");
    ui.next = make("button", { type: "button" }, "Next");
    ui.previous.addEventListener("click", () => select(state.at - 1));
    ui.next.addEventListener("click", () => select(state.at + 1));
    ui.detail = make("div", { className: "detail" });
    const pane = make("div", { className: "list-pane" }, make("div", { className: "pager" }, ui.back, ui.range, ui.forth), ui.list);
    return make("div", { className: "panes" }, pane, ui.detail);
  }

  // Keys work while the focus is inside the browser, so that they cannot be pressed by accident elsewhere.
  function onKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.target.matches("input, select")) return;
    const steps = { j: 1, ArrowDown: 1, k: -1, ArrowUp: -1 };
    if (event.key === "/") ui.search.focus();
    else if (event.key in steps && !event.target.matches(".text")) select(state.at + steps[event.key]);
    else return;
    event.preventDefault();
  }

  async function begin() {
    box.append(buildControls(), buildPanes());
    box.append(make("p", { className: "keys" }, make("kbd", {}, "j"), " or ", make("kbd", {}, "↓"), " next, ",
      make("kbd", {}, "k"), " or ", make("kbd", {}, "↑"), " previous, ", make("kbd", {}, "/"), " search. The address names the sample and the filters."));
    box.addEventListener("keydown", onKey);
    box.hidden = false;
    const filters = await source.filters();
    buildStates(filters);
    const regressed = filters.some(([name, many]) => name === "regressed" && many);
    await fillCategories("", "");
    await followLink(compared && regressed ? "regressed" : "all");
    addEventListener("hashchange", () => followLink());
    performance.mark("samples-ready"); // for measurements
  }

  begin();
})();
