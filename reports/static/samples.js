// The sample browser: filters, a list, and one sample in full. Needs samples_text.js before it.
"use strict";

(() => {
  const box = document.getElementById("browser");
  const report = JSON.parse(document.getElementById("report-data").textContent);
  const data = report.samples;
  if (!box || !data || !data.kept.rows) return;

  const { make, plain, appendText, textBlock, compareWords, UNSEEN } = ReportText;
  const PAGE_ROWS = 50;
  const numbered = (names) => Object.fromEntries(names.map((name, index) => [name, index]));
  const ROW = numbered(data.fields.row);
  const ANSWER = numbered(data.fields.answer);
  const STATES = data.fields.states; // right, partly right, wrong, not scored, unparsed, error
  const SIGNS = ["✓", "◐", "✗", "–", "?", "!"];
  const CLASSES = ["right", "partly", "wrong", "unscored", "unparsed", "error"];
  const compared = report.runs.length > 1;
  const samples = data.tasks.flatMap((task) => task.rows.map((row) => ({ task, row, haystack: null })));

  // Reading the data ------------------------------------------------------------------------------------------------

  const shared = (index) => (index < 0 ? "" : data.strings[index]);
  const answers = (sample) => sample.row[ROW.answers];
  const extracted = (answer) => (answer[ANSWER.extracted] === -1 ? answer[ANSWER.text] : answer[ANSWER.extracted]);

  // How good an answer is, up is better; none, or a failed one, is as bad as a wrong one.
  function goodness(task, answer) {
    if (!answer || answer[ANSWER.score] === null) return task.up ? 0 : -1;
    return task.up ? answer[ANSWER.score] : -answer[ANSWER.score];
  }
  const number = (value) => value.toLocaleString("en", { maximumSignificantDigits: 4 });

  function stateOf(sample) {
    const answer = answers(sample)[answers(sample).length - 1] || answers(sample)[0];
    return answer[ANSWER.state];
  }

  function haystack(sample) {
    if (sample.haystack === null) {
      const texts = [sample.row[ROW.id], plain(shared(sample.row[ROW.prompt])), ...sample.row[ROW.references].map(plain)];
      for (const answer of answers(sample)) if (answer) texts.push(plain(answer[ANSWER.text]), plain(extracted(answer)));
      sample.haystack = texts.join("\n").toLowerCase();
    }
    return sample.haystack;
  }

  // The largest change of any later run from the first: its sign in `direction`.
  function changes(sample, direction) {
    const [first, ...others] = answers(sample).map((answer) => goodness(sample.task, answer));
    return others.some((other) => direction * (other - first) > 1e-9);
  }
  const FILTERS = [
    ["all", () => true],
    ...(compared ? [
      ["regressed", (sample) => changes(sample, -1)],
      ["fixed", (sample) => changes(sample, 1)],
      ["disagree", (sample) => {
        const read = answers(sample).map((answer) => (answer ? plain(extracted(answer)) : null));
        return read.some((text) => text !== read[0]);
      }],
    ] : []),
    ["wrong", (sample) => stateOf(sample) === 2 || stateOf(sample) === 4],
    ["partly right", (sample) => stateOf(sample) === 1],
    ["right", (sample) => stateOf(sample) === 0],
    ["unparsed", (sample) => answers(sample).some((answer) => answer && answer[ANSWER.state] === 4)],
    ["errors", (sample) => answers(sample).some((answer) => answer && answer[ANSWER.state] === 5)],
  ];

  // Filters ---------------------------------------------------------------------------------------------------------

  const state = { show: "all", task: "", category: "", query: "", found: samples, at: 0, page: 0 };
  const ui = {};

  function matches(sample, test) {
    if (state.task && sample.task.name !== state.task) return false;
    if (state.category) {
      const [column, value] = JSON.parse(state.category);
      const own = sample.row[ROW.categories];
      if (!own || own[column] === undefined || plain(shared(own[column])) !== value) return false;
    }
    return test(sample) && (!state.query || haystack(sample).includes(state.query));
  }

  function applyFilters(keep) {
    const test = FILTERS.find(([name]) => name === state.show)[1];
    state.found = samples.filter((sample) => matches(sample, test));
    state.at = Math.max(state.found.indexOf(keep), 0);
    showPage(Math.floor(state.at / PAGE_ROWS));
    showDetail();
  }

  function resetFilters() {
    Object.assign(state, { show: "all", task: "", category: "", query: "" });
    ui.task.value = ui.search.value = "";
    fillCategories();
    pressFilter();
  }

  function pressFilter() {
    for (const button of ui.states.children) button.setAttribute("aria-pressed", String(button.value === state.show));
  }

  function fillCategories() {
    const values = new Map();
    for (const sample of samples) {
      if (state.task && sample.task.name !== state.task) continue;
      for (const [column, index] of Object.entries(sample.row[ROW.categories] || {})) {
        const key = JSON.stringify([column, plain(shared(index))]);
        values.set(key, (values.get(key) || 0) + 1);
      }
    }
    const usable = [...values].filter(([, count]) => count > 1).sort(([a], [b]) => a.localeCompare(b)).slice(0, 300);
    ui.category.replaceChildren(make("option", { value: "" }, "all categories"));
    for (const [key, count] of usable) {
      ui.category.append(make("option", { value: key }, `${JSON.parse(key).join(": ")} (${number(count)})`));
    }
    ui.category.parentElement.hidden = !usable.length;
    ui.category.value = state.category = usable.some(([key]) => key === state.category) ? state.category : "";
  }

  // Links -----------------------------------------------------------------------------------------------------------

  const linkOf = (sample) => `#s=${encodeURIComponent(sample.task.name)}/${encodeURIComponent(sample.row[ROW.id])}`;

  function remember(sample) {
    try {
      history.replaceState(null, "", linkOf(sample));
    } catch {
      location.hash = linkOf(sample);
    }
  }

  function followLink() {
    const match = /^#s=([^/]*)\/(.*)$/.exec(location.hash);
    if (!match) return;
    const [task, id] = [decodeURIComponent(match[1]), decodeURIComponent(match[2])];
    const target = samples.find((sample) => sample.task.name === task && sample.row[ROW.id] === id);
    if (!target) {
      ui.detail.replaceChildren(make("p", { className: "empty", role: "status" }, `This file has no sample ${id} of ${task}.`));
    } else if (state.found.includes(target)) {
      select(state.found.indexOf(target), false);
    } else {
      resetFilters();
      applyFilters(target);
    }
    box.scrollIntoView();
  }

  // The list --------------------------------------------------------------------------------------------------------

  function sign(index) {
    return make("span", { className: `state state-${CLASSES[index]}`, title: STATES[index] }, SIGNS[index]);
  }

  function listItem(sample, index) {
    const link = make("a", { href: linkOf(sample) });
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

  function showPage(page) {
    state.page = page;
    const from = page * PAGE_ROWS;
    const part = state.found.slice(from, from + PAGE_ROWS);
    ui.list.replaceChildren(...part.map((sample, index) => listItem(sample, from + index)));
    const range = part.length ? `${number(from + 1)} to ${number(from + part.length)} of ` : "";
    ui.range.textContent = `${range}${state.found.length.toLocaleString("en")}`;
    ui.back.disabled = page === 0;
    ui.forth.disabled = from + PAGE_ROWS >= state.found.length;
    if (!part.length) ui.list.append(make("li", { className: "empty" }, "No sample matches."));
    markCurrent();
  }

  function markCurrent() {
    [...ui.list.querySelectorAll("a")].forEach((link, index) => {
      if (state.page * PAGE_ROWS + index !== state.at) return link.removeAttribute("aria-current");
      link.setAttribute("aria-current", "true");
      const [top, bottom] = [link.offsetTop - ui.list.offsetTop, link.offsetTop - ui.list.offsetTop + link.offsetHeight];
      if (top < ui.list.scrollTop) ui.list.scrollTop = top;
      else if (bottom > ui.list.scrollTop + ui.list.clientHeight) ui.list.scrollTop = bottom - ui.list.clientHeight;
    });
  }

  function select(index, link = true) {
    if (index < 0 || index >= state.found.length) return;
    state.at = index;
    const page = Math.floor(index / PAGE_ROWS);
    if (page !== state.page) showPage(page);
    markCurrent();
    showDetail();
    if (link) remember(state.found[index]);
  }

  // One sample ------------------------------------------------------------------------------------------------------

  function pictures(sample) {
    const column = make("div", { className: "pictures" });
    sample.row[ROW.images].forEach((index, order) => {
      const stored = data.pictures[index];
      if (!stored) {
        column.append(make("p", { className: "missing" }, "This picture is not in this file."));
        return;
      }
      const image = make("img", { alt: `picture ${order + 1} of sample ${sample.row[ROW.id]}`, src: `data:image/jpeg;base64,${stored}` });
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
    const rule = plain(shared(answer[ANSWER.rule]));
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

  function answerCard(sample, answer, name, parts) {
    const card = make("section", { className: "answer" });
    card.append(make("h4", {}, compared ? name : "Answer"));
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
    const sample = state.found[state.at];
    if (!sample) {
      ui.detail.replaceChildren(make("p", { className: "empty" }, "No sample matches these filters."));
      return;
    }
    const group = sample.row[ROW.group];
    const heading = make("h3", {}, `${sample.task.title} · `, make("bdi", {}, sample.row[ROW.id]));
    if (group) heading.append(make("span", { className: "muted" }, " of question ", make("bdi", {}, group)));
    const steps = make("span", {}, ui.previous, " ", ui.next);
    ui.previous.disabled = state.at === 0;
    ui.next.disabled = state.at === state.found.length - 1;
    const body = make("div", { className: "detail-body" });
    if (sample.row[ROW.images].length) body.append(pictures(sample));
    else body.classList.add("no-picture");
    const asked = make("div", {}, make("h4", {}, "Prompt"), textBlock(shared(sample.row[ROW.prompt])));
    asked.append(make("h4", {}, sample.row[ROW.references].length > 1 ? "References" : "Reference"), references(sample));
    const own = Object.entries(sample.row[ROW.categories] || {});
    if (own.length) {
      asked.append(make("h4", {}, "Categories"));
      asked.append(make("p", { className: "note" }, own.map(([column, index]) => `${column}: ${plain(shared(index))}`).join(", ")));
    }
    const given = answers(sample);
    const both = given.length === 2 && given[0] && given[1] ? compareWords(plain(given[0][ANSWER.text]), plain(given[1][ANSWER.text])) : [];
    const cards = make("div", { className: "answers" });
    given.forEach((answer, index) => cards.append(answerCard(sample, answer, report.runs[index], both[index] || null)));
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

  function buildControls() {
    ui.states = make("div", { className: "states", role: "group", "aria-label": "Show" });
    for (const [name, test] of FILTERS) {
      const count = samples.reduce((sum, sample) => sum + test(sample), 0);
      if (!count && name !== "all" && name !== "errors" && name !== "regressed") continue;
      const button = make("button", { type: "button", value: name }, `${name} ${count.toLocaleString("en")}`);
      button.addEventListener("click", () => {
        state.show = name;
        pressFilter();
        applyFilters(state.found[state.at]);
      });
      ui.states.append(button);
    }
    ui.task = make("select", {}, make("option", { value: "" }, "all tasks"));
    for (const task of data.tasks) ui.task.append(make("option", { value: task.name }, task.title));
    ui.category = make("select");
    ui.search = make("input", { type: "search", autocomplete: "off", spellcheck: false });
    ui.task.addEventListener("change", () => { state.task = ui.task.value; fillCategories(); applyFilters(state.found[state.at]); });
    ui.category.addEventListener("change", () => { state.category = ui.category.value; applyFilters(state.found[state.at]); });
    let timer = 0;
    ui.search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(() => {
        state.query = ui.search.value.trim().toLowerCase();
        applyFilters(state.found[state.at]);
      }, 120);
    });
    const taskLabel = make("label", {}, "Task", ui.task);
    taskLabel.hidden = data.tasks.length < 2;
    const controls = make("div", { className: "controls" }, ui.states, taskLabel);
    controls.append(make("label", {}, "Category", ui.category), make("label", {}, "Search", ui.search));
    return controls;
  }

  function buildPanes() {
    ui.list = make("ol", { className: "sample-list" });
    ui.range = make("span", { role: "status" });
    ui.back = make("button", { type: "button", "aria-label": "Previous page of the list" }, "‹");
    ui.forth = make("button", { type: "button", "aria-label": "Next page of the list" }, "›");
    ui.back.addEventListener("click", () => showPage(state.page - 1));
    ui.forth.addEventListener("click", () => showPage(state.page + 1));
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

  box.append(buildControls(), buildPanes());
  box.append(make("p", { className: "keys" }, make("kbd", {}, "j"), " or ", make("kbd", {}, "↓"), " next, ",
    make("kbd", {}, "k"), " or ", make("kbd", {}, "↑"), " previous, ", make("kbd", {}, "/"), " search. The address names the sample."));
  box.addEventListener("keydown", onKey);
  box.hidden = false;
  if (compared && samples.some((sample) => changes(sample, -1))) state.show = "regressed";
  fillCategories();
  pressFilter();
  applyFilters(null);
  addEventListener("hashchange", followLink);
  followLink();
})();
