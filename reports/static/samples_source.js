// Where the sample browser's samples come from: the page's own data, or the server that made the page. Both answer the
// same questions with promises: filters(), categories(task), page(query, want).
"use strict";

const ReportSource = (() => {
  const PAGE_ROWS = 50;
  const plain = ReportText.plain;
  const numbered = (names) => Object.fromEntries(names.map((name, index) => [name, index]));

  // One sample: its row, the task, and the block of data that the row's numbers point into.
  function reader(fields, frozen) {
    const [ROW, ANSWER] = [numbered(fields.row), numbered(fields.answer)];
    const answers = (sample) => sample.row[ROW.answers];
    const text = (sample, index) => (index < 0 ? "" : sample.block.strings[index]);
    const extracted = (answer) => (answer[ANSWER.extracted] === -1 ? answer[ANSWER.text] : answer[ANSWER.extracted]);

    // How good an answer is, up is better; none, or a failed one, is as bad as a wrong one.
    function goodness(task, answer) {
      if (!answer || answer[ANSWER.score] === null) return task.up ? 0 : -1;
      return task.up ? answer[ANSWER.score] : -answer[ANSWER.score];
    }

    // Whether any later run's answer is better (direction 1) or worse (-1) than the first's.
    function changes(sample, direction) {
      if (frozen && (!answers(sample)[0] || answers(sample)[0][ANSWER.score] === null)) return false; // not known
      const [first, ...others] = answers(sample).map((answer) => goodness(sample.task, answer));
      return others.some((other) => direction * (other - first) > 1e-9);
    }

    function stateOf(sample) {
      const answer = answers(sample).filter(Boolean).at(-1); // of the last run that has the sample
      return answer[ANSWER.state];
    }
    const keyOf = (sample) => ReportLink.keyOf(sample.task.name, sample.row[ROW.id]);
    return { ROW, ANSWER, answers, text, extracted, changes, stateOf, keyOf };
  }

  function inPage(data, runs) {
    const read = reader(data.fields, data.frozen);
    const { ROW, ANSWER, answers, extracted, changes, stateOf, text } = read;
    const samples = data.tasks.flatMap((task) => task.rows.map((row) => ({ task, row, block: data, haystack: null })));
    const some = (state) => (sample) => answers(sample).some((answer) => answer && answer[ANSWER.state] === state);
    const live = runs.length - data.frozen;
    const FILTERS = [
      ["all", () => true],
      ...(runs.length > 1 ? [["regressed", (sample) => changes(sample, -1)], ["fixed", (sample) => changes(sample, 1)]] : []),
      ...(live > 1 ? [["disagree", (sample) => {
        const said = answers(sample).map((answer) => (answer ? plain(extracted(answer)) : null));
        return said.some((one) => one !== said[0]);
      }]] : []),
      ["wrong", (sample) => stateOf(sample) === 2 || stateOf(sample) === 4],
      ["partly right", (sample) => stateOf(sample) === 1],
      ["right", (sample) => stateOf(sample) === 0],
      ["unparsed", some(4)],
      ["errors", some(5)],
    ];

    function haystack(sample) {
      if (sample.haystack === null) {
        const texts = [sample.row[ROW.id], plain(text(sample, sample.row[ROW.prompt])), ...sample.row[ROW.references].map(plain)];
        for (const answer of answers(sample)) if (answer) texts.push(plain(answer[ANSWER.text]), plain(extracted(answer)));
        sample.haystack = texts.join("\n").toLowerCase();
      }
      return sample.haystack;
    }

    function find(query) {
      const test = (FILTERS.find(([name]) => name === query.show) || FILTERS[0])[1];
      const [column, value] = query.category ? JSON.parse(query.category) : [];
      const words = query.text.toLowerCase();
      return samples.filter((sample) => {
        if (query.task && sample.task.name !== query.task) return false;
        if (column !== undefined) {
          const own = sample.row[ROW.categories];
          if (!own || own[column] === undefined || plain(text(sample, own[column])) !== value) return false;
        }
        return test(sample) && (!words || haystack(sample).includes(words));
      });
    }

    let last = { query: "", found: samples };

    function page(query, want) {
      const name = JSON.stringify(query);
      if (last.query !== name) last = { query: name, found: find(query) };
      const { found } = last;
      const at = want.key === undefined ? want.at : found.findIndex((sample) => read.keyOf(sample) === want.key);
      const from = Math.floor(Math.max(at, 0) / PAGE_ROWS) * PAGE_ROWS;
      return { total: found.length, at: Math.max(at, 0), hit: at >= 0, from, samples: found.slice(from, from + PAGE_ROWS) };
    }

    function categories(task) {
      const values = new Map();
      for (const sample of samples) {
        if (task && sample.task.name !== task) continue;
        for (const [column, index] of Object.entries(sample.row[ROW.categories] || {})) {
          const key = JSON.stringify([column, plain(text(sample, index))]);
          values.set(key, (values.get(key) || 0) + 1);
        }
      }
      return [...values].map(([key, count]) => [...JSON.parse(key), count]);
    }

    return {
      read, tasks: data.tasks,
      filters: async () => FILTERS.map(([name, test]) => [name, samples.reduce((sum, sample) => sum + test(sample), 0)]),
      categories: async (task) => categories(task),
      page: async (query, want) => page(query, want),
      picture: (sample, index) => sample.block.pictures[index] && `data:image/jpeg;base64,${sample.block.pictures[index]}`,
    };
  }

  function onServer(data) {
    const read = reader(data.fields, data.frozen);

    async function ask(path, parameters) {
      const response = await fetch(`${path}?${new URLSearchParams(parameters)}`, { credentials: "omit" });
      if (!response.ok) throw new Error(`the server answered ${response.status}`);
      return response.json();
    }

    return {
      read, tasks: data.tasks,
      filters: () => ask("api/filters", {}),
      categories: (task) => ask("api/categories", { task }),
      page: async (query, want) => {
        const found = await ask("api/samples", { ...query, ...want, rows: PAGE_ROWS });
        const samples = found.block.rows.map(([task, row]) => ({ task: data.tasks[task], row, block: found.block }));
        return { total: found.total, at: found.at, hit: found.hit, from: found.from, samples };
      },
      picture: (sample, index) => sample.block.pictures[index],
    };
  }

  const open = (data, runs) => (data.server ? onServer(data) : inPage(data, runs));
  return { open, PAGE_ROWS };
})();
