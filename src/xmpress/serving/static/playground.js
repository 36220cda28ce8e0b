import { parse, format } from "./table.js";

const $ = id => document.getElementById(id);
const SHOWN = 100;         // texts drawn; all are in the download
const AT_ONCE = 64;        // texts per request: small enough that progress shows
const EXAMPLES = [
  "Trop d'attente au guichet, personne ne répond.",
  "最高の接客でした！また来ます。",
  "The new app is great, but please add a dark mode.",
  "Die Lieferung kam zwei Wochen zu spät. Unverschämt!",
];
const TONES = {
  very_negative: "bad", negative: "bad", very_hard: "bad", hard: "bad", anger: "bad", disgust: "bad",
  positive: "good", very_positive: "good", easy: "good", very_easy: "good", joy: "good", gratitude: "good", trust: "good",
  frustration: "warm", disappointment: "warm", response_needed: "warm", high: "warm",
  worry: "violet", sadness: "violet", confusion: "violet", surprise: "cool", suggestion: "cool",
};

let models = [], table = null, result = null, stopped = null;

const words = name => name.replaceAll("_", " ");
const title = m => models.some(o => o !== m && o.name === m.name) ? `${m.name} ${m.version}` : m.name;
const element = (tag, className, text) => {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
};

function tell(text, bad = false) {
  $("note").textContent = text;
  $("note").classList.toggle("bad", bad);
}

async function ask(path, options = {}) {
  const key = $("key").value;
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  const answer = await fetch(path, { ...options, headers });
  if (answer.ok) return answer.json();
  const said = await answer.json().then(body => body.error, () => answer.statusText);
  const error = new Error(said);
  error.status = answer.status;
  error.after = Number(answer.headers.get("Retry-After")) || 1;
  throw error;
}

async function askPatiently(path, options) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await ask(path, options);
    } catch (error) {
      if (![429, 503].includes(error.status) || attempt === 8) throw error;
      await new Promise(done => setTimeout(done, 1000 * Math.min(error.after, 5)));
    }
  }
}

async function start() {
  if (!$("texts").value) $("texts").value = EXAMPLES.join("\n");
  try {
    models = (await askPatiently("v1/models")).models;
  } catch (error) {
    if (error.status === 401) {
      $("keybox").hidden = false;
      tell("This server asks for a key.");
    } else tell(error.message, true);
    return;
  }
  for (const [id, none] of [["model", null], ["other", "nothing"]]) {
    const options = models.map((m, i) => new Option(title(m), i));
    $(id).replaceChildren(...(none ? [new Option(none, "")] : []), ...options);
  }
  $("other").closest("div").hidden = models.length < 2;
}

function takeFile(file) {
  const reader = new FileReader();
  reader.onload = () => {
    table = parse(reader.result);
    if (!table.rows.length) {
      table = null;
      return tell(`${file.name} has no rows.`, true);
    }
    const options = () => table.columns.map((name, i) => new Option(name, i));
    $("column").replaceChildren(...options());
    $("langcolumn").replaceChildren(new Option("none", ""), ...options());
    const find = names => table.columns.findIndex(c => names.includes(c.trim().toLowerCase()));
    $("column").value = Math.max(0, find(["text", "comment", "comments", "feedback", "answer"]));
    $("langcolumn").value = find(["lang", "language"]) >= 0 ? find(["lang", "language"]) : "";
    $("columns").hidden = $("filenote").hidden = false;
    $("texts").hidden = true;
    $("filenote").textContent = `${file.name}: ${table.rows.length.toLocaleString()} rows`;
    $("run").focus();
  };
  reader.readAsText(file);
}

function discard() {
  table = null;
  $("columns").hidden = $("filenote").hidden = true;
  $("texts").hidden = false;
  $("file").value = "";
  $("texts").focus();
}

function input() {
  if (!table) {
    const texts = $("texts").value.split(/\r?\n/).filter(line => line.trim());
    return { texts, langs: null, columns: ["text"], rows: texts.map(text => [text]) };
  }
  const place = $("column").value, lang = $("langcolumn").value;
  return {
    texts: table.rows.map(row => row[place] ?? ""),
    langs: lang === "" ? null : table.rows.map(row => row[lang] || null),
    columns: table.columns, rows: table.rows,
  };
}

async function run(event) {
  event?.preventDefault();
  if (stopped) return;
  if (!models.length) await start();
  if (!models.length) return;
  const given = input();
  if (!given.texts.length) return tell("There is nothing to analyze.", true);
  const chosen = [...new Set([$("model").value, $("other").value])].filter(v => v !== "").map(v => models[v]);
  const runs = chosen.map(model => ({ model, analyses: [], seconds: 0, times: [] }));
  stopped = new AbortController();
  result = { given, runs };
  $("run").disabled = true;
  $("stop").hidden = $("progress").hidden = false;
  try {
    for (let from = 0; from < given.texts.length; from += AT_ONCE) {
      for (const one of runs) await step(one, given, from);
      $("progress").value = (from + AT_ONCE) / given.texts.length;
      if (from === 0 || from + AT_ONCE < SHOWN) show();
      tell(`${Math.min(from + AT_ONCE, given.texts.length).toLocaleString()} of ${given.texts.length.toLocaleString()} texts`);
    }
    tell(`${given.texts.length.toLocaleString()} texts done.`);
  } catch (error) {
    if (error.status === 401) {
      $("keybox").hidden = false;
      $("key").focus();
    }
    tell(error.name === "AbortError" ? "Stopped." : error.message, error.name !== "AbortError");
  } finally {
    stopped = null;
    $("run").disabled = false;
    $("stop").hidden = $("progress").hidden = true;
    show();
  }
}

async function step(one, given, from) {
  const part = list => list && list.slice(from, from + AT_ONCE);
  const body = { texts: part(given.texts), model: one.model.name, version: one.model.version };
  if (given.langs) body.langs = part(given.langs);
  const began = performance.now();
  const answer = await askPatiently("v1/analyze", {
    method: "POST", body: JSON.stringify(body), signal: stopped.signal,
  });
  const seconds = (performance.now() - began) / 1000;
  one.analyses.push(...answer.analyses);
  one.seconds += seconds;
  one.times.push(seconds);
}

function show() {
  const runs = result.runs.filter(one => one.analyses.length);
  $("summary").hidden = !runs.length;
  $("sums").replaceChildren(...runs.map(one => summary(one, runs)));
  const first = runs[0]?.analyses ?? [];
  const cards = first.slice(0, SHOWN).map((_, row) => card(row, runs));
  $("results").replaceChildren(...cards);
  $("more").hidden = first.length <= SHOWN;
  $("more").textContent = `The first ${SHOWN} are shown; all ${first.length.toLocaleString()} are in the download.`;
}

function summary(one, runs) {
  const box = element("div", "sum");
  const median = [...one.times].sort((a, b) => a - b)[one.times.length >> 1];
  box.append(element("h3", "", title(one.model)));
  const line = element("p");
  line.append(
    element("strong", "", one.analyses.length.toLocaleString()), " texts, ",
    element("strong", "", `${(1000 * median).toFixed(0)} ms`), ` per request of up to ${AT_ONCE}, `,
    element("strong", "", (one.analyses.length / one.seconds).toFixed(0)), " texts/s",
  );
  box.append(line);
  if (one !== runs[0]) box.append(element("p", "", agreement(runs[0], one)));
  return box;
}

function agreement(a, b) {
  const shares = a.model.tasks.filter(t => b.model.tasks.some(o => o.name === t.name)).map(task => {
    const n = Math.min(a.analyses.length, b.analyses.length);
    let same = 0;
    for (let i = 0; i < n; i++) same += said(a.analyses[i][task.name]) === said(b.analyses[i][task.name]);
    return `${words(task.name)} ${Math.round(100 * same / n)} %`;
  });
  return `Same as ${title(a.model)}: ${shares.join(", ")}`;
}

const said = p => p && (p.labels ? p.labels.join(";") : p.label ?? "");

function card(row, runs) {
  const box = element("article", "card");
  const text = element("p", "text");
  text.append(element("small", "", row + 1), result.given.texts[row]);
  const grid = element("div", runs.length > 1 ? "models two" : "models");
  for (const one of runs) {
    const analysis = one.analyses[row];
    if (!analysis) continue;
    const column = element("div");
    if (runs.length > 1) column.append(element("h3", "", title(one.model)));
    const tasks = element("div", "tasks");
    for (const task of one.model.tasks) {
      const prediction = analysis[task.name];
      const differs = one !== runs[0] && runs[0].analyses[row][task.name]
        && said(prediction) !== said(runs[0].analyses[row][task.name]);
      tasks.append(taskBox(task, prediction, differs));
    }
    column.append(tasks);
    grid.append(column);
  }
  box.append(text, grid);
  return box;
}

function taskBox(task, prediction, differs) {
  const box = element("div", differs ? "task differs" : "task");
  const heading = element("h4", "", words(task.name));
  const chosen = prediction.labels ?? (prediction.label === null || prediction.label === undefined ? [] : [prediction.label]);
  heading.append(element("b", "", chosen.length ? chosen.map(words).join(", ") : prediction.confidence === null ? "no text" : "none"));
  box.append(heading);
  let labels = Object.entries(prediction.probabilities);
  if (task.kind !== "ordinal") labels = labels.sort((a, b) => b[1] - a[1]).slice(0, 5);
  for (const [label, probability] of labels) {
    const bar = element("div", chosen.includes(label) ? "bar on" : "bar");
    const track = element("span", "track"), fill = element("div", `fill ${TONES[label] ?? ""}`);
    const percent = `${Math.round(100 * probability)} %`;
    fill.style.width = `${100 * probability}%`;
    track.append(fill);
    const name = element("span", "", words(label));
    name.title = words(label);
    bar.append(name, track, element("span", "", percent));
    box.append(bar);
  }
  return box;
}

function download() {
  const { given, runs } = result;
  const columns = [...given.columns];
  for (const one of runs) {
    const prefix = runs.length > 1 ? `${title(one.model)}.` : "";
    for (const task of one.model.tasks) {
      const name = prefix + task.name;
      const free = given.columns.includes(name) ? `${name}_predicted` : name;
      columns.push(free, `${free}_confidence`, ...task.labels.map(label => `${free}.${label}`));
    }
  }
  const rows = given.rows.slice(0, runs[0].analyses.length).map((row, i) => {
    const cells = given.columns.map((_, k) => row[k] ?? "");
    for (const one of runs) {
      for (const task of one.model.tasks) {
        const p = one.analyses[i]?.[task.name];
        cells.push(said(p) ?? "", p?.confidence ?? "", ...task.labels.map(label => p?.probabilities[label] ?? ""));
      }
    }
    return cells;
  });
  const link = element("a");
  link.href = URL.createObjectURL(new Blob(["\uFEFF", format(columns, rows)], { type: "text/csv" }));
  link.download = "analyses.csv";
  link.click();
  URL.revokeObjectURL(link.href);
}

$("form").addEventListener("submit", run);
$("stop").addEventListener("click", () => stopped?.abort());
$("discard").addEventListener("click", discard);
$("download").addEventListener("click", download);
$("key").addEventListener("change", start);
$("file").addEventListener("change", event => event.target.files[0] && takeFile(event.target.files[0]));
document.addEventListener("keydown", event => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) run(event);
});
for (const kind of ["dragover", "dragleave", "drop"]) {
  $("form").addEventListener(kind, event => {
    event.preventDefault();
    $("form").classList.toggle("drop", kind === "dragover");
    if (kind === "drop" && event.dataTransfer.files[0]) takeFile(event.dataTransfer.files[0]);
  });
}
start();
