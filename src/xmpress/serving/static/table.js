// CSV in and out (RFC 4180), with the separator that the first line has most of.

export function parse(text) {
  text = text.replace(/^\uFEFF/, "");
  const head = text.slice(0, text.search(/[\r\n]|$/));
  const separator = [",", ";", "\t"].reduce((a, b) => head.split(b).length > head.split(a).length ? b : a);
  const rows = [];
  let row = [], cell = "", quoted = false;
  for (let i = 0; i < text.length; i++) {
    const c = text[i];
    if (quoted) {
      if (c !== '"') cell += c;
      else if (text[i + 1] === '"') { cell += '"'; i++; }
      else quoted = false;
    } else if (c === '"' && cell === "") quoted = true;
    else if (c === separator) { row.push(cell); cell = ""; }
    else if (c === "\n" || c === "\r") {
      if (c === "\r" && text[i + 1] === "\n") i++;
      row.push(cell); rows.push(row); row = []; cell = "";
    } else cell += c;
  }
  if (cell !== "" || row.length) { row.push(cell); rows.push(row); }
  const full = rows.filter(r => r.length > 1 || r[0] !== "");
  return { columns: full[0] ?? [], rows: full.slice(1) };
}

export function format(columns, rows) {
  return [columns, ...rows].map(row => row.map(quote).join(",")).join("\r\n") + "\r\n";
}

function quote(value) {
  const text = String(value ?? "");
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
