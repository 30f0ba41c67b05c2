"use strict";
// Filters of the tables, and the browser of examples. What data sets and models say becomes text, never markup.
const STEP = 20;
const at = (selector, inside = document) => inside.querySelector(selector);
const filter = at("#filter");
const off = { task: new Set(), method: new Set(), seed: new Set() };

filter.hidden = false;
filter.addEventListener("change", () => {
  for (const kind in off)
    off[kind] = new Set([...filter.querySelectorAll(`[name=${kind}]:not(:checked)`)].map((box) => box.value));
  for (const part of document.querySelectorAll("[data-task], [data-method], [data-seed]"))
    part.hidden = Object.keys(off).some((kind) => off[kind].has(part.dataset[kind]));
  if (at("#data")) browse();
});

let browse;
if (at("#data")) {
  const { methods, seeds, colours, tasks } = JSON.parse(at("#data").textContent);
  const form = at("#browse"), { where, search, first, second, how } = form.elements;
  const total = tasks.flatMap((task) => task.datasets).reduce((sum, each) => sum + each[2], 0);
  const rows = tasks.flatMap((task) =>
    task.rows.map(([set, id, question, context, gold, answers]) => {
      const said = answers.map((answer) => answer?.[0] ?? "");
      const text = [id, question, context, ...gold, ...said].join("\n").toLowerCase();
      return { task, dataset: `${task.name}/${task.datasets[set][0]}`, id, question, context, gold, answers, text };
    }),
  );
  let shown = STEP;

  for (const task of tasks)
    for (const [name, some, all] of task.datasets)
      where.add(new Option(`${task.name}: ${name} (${some} of ${all})`, `${task.name}/${name}`));

  const pairs = (row, one, other) =>
    seeds
      .map((seed, index) => [seed, ...[one, other].map((method) => row.answers[methods.indexOf(method) * seeds.length + index])])
      .filter(([seed, a, b]) => !off.seed.has(String(seed)) && a && b && a[1] !== null && b[1] !== null);

  const differs = (row) =>
    pairs(row, first.value, second.value).some(([, a, b]) =>
      how.value === "differ" ? a[1] !== b[1] : a[1] === 100 && b[1] < 100,
    );

  const visible = (method, seed) =>
    !off.seed.has(String(seed)) &&
    (first.value && second.value ? [first.value, second.value].includes(method) : !off.method.has(method));

  const line = (method, seed, [text, score, expert, gate]) => {
    const row = document.createElement("tr");
    const name = row.insertCell(), answer = row.insertCell(), route = row.insertCell(), points = row.insertCell();
    const dot = document.createElement("span");
    dot.className = "dot";
    dot.style.background = colours[method];
    name.append(dot, seeds.length > 1 ? `${method}, seed ${seed}` : method);
    answer.className = "answer";
    answer.textContent = text ?? "(no prediction)";
    if (text === "") answer.textContent = "(empty)";
    if (expert !== undefined) route.textContent = `expert ${expert}` + (gate === null ? "" : `, gate ${gate.toFixed(2)}`);
    points.className = score === 100 ? "right" : score === 0 ? "wrong" : "part";
    points.textContent = score ?? "\u2013";
    return row;
  };

  const entry = (row) => {
    const made = at("#entry").content.cloneNode(true);
    at(".key", made).textContent = `${row.dataset}, example ${row.id}`;
    at(".context", made).textContent = row.context;
    at("strong", made).textContent = row.question || "(the test set is missing)";
    at(".gold", made).textContent = `Gold: ${row.gold.join(" | ")}`;
    const body = at("tbody", made);
    row.answers.forEach((answer, index) => {
      const method = methods[Math.floor(index / seeds.length)], seed = seeds[index % seeds.length];
      if (answer && visible(method, seed)) body.append(line(method, seed, answer));
    });
    return made;
  };

  browse = () => {
    const words = search.value.trim().toLowerCase(), compared = first.value && second.value;
    const found = rows.filter(
      (row) =>
        !off.task.has(row.task.name) &&
        (!where.value || row.dataset === where.value) &&
        row.text.includes(words) &&
        (!compared || differs(row)),
    );
    at("#found").textContent =
      `${found.length} of ${rows.length} examples match` +
      (found.length > shown ? `, the first ${shown} are below. ` : ". ") +
      (rows.length < total
        ? `The page holds ${rows.length} of ${total} test examples: a seeded sample, those first on which scores differ.`
        : `The page holds all ${total} test examples.`);
    at("#list").replaceChildren(...found.slice(0, shown).map(entry));
    at("#more").hidden = found.length <= shown;
  };

  const again = () => {
    shown = STEP;
    browse();
  };
  form.hidden = false;
  form.addEventListener("input", again);
  form.addEventListener("submit", (event) => event.preventDefault());
  at("#more").addEventListener("click", () => {
    shown += STEP;
    browse();
  });
  browse();
}
