"use strict";
(() => {
  const tip = document.getElementById("tip");
  let at = null;

  // What the numbers of these models rest on, in words, from the appendix.
  const origin = runs => {
    const found = (runs || "").split(" ").map(id => document.getElementById(id)).filter(Boolean);
    if (!found.length) return "";
    const shown = found.slice(0, 2).map(one => one.dataset.brief);
    if (found.length > 2) shown.push(`and ${found.length - 2} more models`);
    return shown.join(" · ");
  };
  const show = (target, text, runs, x, y) => {
    hide();
    at = target;
    tip.textContent = text;
    const from = origin(runs);
    if (from) tip.appendChild(document.createElement("small")).textContent = from;
    tip.hidden = false;
    const box = tip.getBoundingClientRect();
    tip.style.left = `${Math.max(8, Math.min(x + 14, innerWidth - box.width - 8))}px`;
    tip.style.top = `${y + 18 + box.height > innerHeight ? Math.max(8, y - box.height - 14) : y + 18}px`;
    if (target.classList.contains("hit")) target.classList.add("at");
  };
  const hide = () => {
    if (at) at.classList.remove("at");
    at = null;
    tip.hidden = true;
  };
  const middle = mark => {
    const box = mark.getBoundingClientRect();
    return [box.left + box.width / 2, box.top + box.height / 2];
  };

  // A series in the foreground: that of the mark pointed at, or of the legend's pressed button.
  const light = (figure, series) => {
    const pressed = figure.querySelector('.key [aria-pressed="true"]');
    const chosen = series ?? (pressed ? pressed.dataset.series : null);
    figure.classList.toggle("faded", chosen !== null && chosen !== undefined);
    for (const mark of figure.querySelectorAll(".hit"))
      mark.classList.toggle("lit", mark.dataset.series === chosen);
  };

  const about = event => {
    const mark = event.target.closest?.(".hit[data-tip]");
    if (mark) return [mark, mark.dataset.tip, mark.dataset.run];
    const cell = event.target.closest?.("tr[data-run] td");
    if (!cell) return null;
    const row = cell.closest("tr"), table = cell.closest("table");
    const head = table.tHead.rows[0].cells[cell.cellIndex].textContent;
    return [cell, `${row.cells[0].textContent}, ${head}: ${cell.textContent}`, row.dataset.run];
  };
  document.addEventListener("pointermove", event => {
    if (event.pointerType === "touch") return;
    const found = about(event);
    if (!found) { if (at) hide(); return; }
    show(...found, event.clientX, event.clientY);
  });
  document.addEventListener("click", event => {
    const found = about(event);
    if (found) show(...found, event.clientX, event.clientY); else hide();
  });
  document.addEventListener("keydown", event => { if (event.key === "Escape") hide(); });
  addEventListener("scroll", hide, { passive: true });

  for (const figure of document.querySelectorAll(".plot")) {
    const keyed = figure.querySelector(".key");
    if (keyed) {
      for (const button of keyed.children) {
        button.addEventListener("pointerenter", () => light(figure, button.dataset.series));
        button.addEventListener("pointerleave", () => light(figure));
        button.addEventListener("click", () => {
          const was = button.getAttribute("aria-pressed") === "true";
          for (const other of keyed.children) other.setAttribute("aria-pressed", "false");
          button.setAttribute("aria-pressed", String(!was));
          light(figure);
        });
      }
    }
    for (const chart of figure.querySelectorAll("svg.chart")) {
      const marks = [...chart.querySelectorAll(".hit[data-tip]")];
      let place = -1;
      chart.addEventListener("keydown", event => {
        const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
        if (!step || !marks.length) return;
        event.preventDefault();
        place = (place + step + marks.length) % marks.length;
        const mark = marks[place];
        show(mark, mark.dataset.tip, mark.dataset.run, ...middle(mark));
      });
      chart.addEventListener("blur", hide);
    }
  }

  // Columns sort by a click on their head; means stay at the bottom.
  const value = text => {
    const number = parseFloat(text.replace(/[,()▲▼]/g, "").replace("−", "-").trim());
    return Number.isNaN(number) ? -Infinity : number;
  };
  for (const table of document.querySelectorAll("figure.table table")) {
    if (table.tBodies[0].rows.length < 3) continue;
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      head.setAttribute("aria-sort", "none");
      head.tabIndex = 0;
      const sort = () => {
        const falling = head.getAttribute("aria-sort") === "descending";
        for (const other of head.parentNode.cells) other.setAttribute("aria-sort", "none");
        head.setAttribute("aria-sort", falling ? "ascending" : "descending");
        const rows = [...table.tBodies[0].rows].filter(row => !row.classList.contains("mean"));
        const means = [...table.tBodies[0].rows].filter(row => row.classList.contains("mean"));
        rows.sort((a, b) => {
          const [x, y] = [a, b].map(row => row.cells[column].textContent);
          const order = column ? value(x) - value(y) : y.localeCompare(x);
          return falling ? order : -order;
        });
        table.tBodies[0].append(...rows, ...means);
      };
      head.addEventListener("click", sort);
      head.addEventListener("keydown", event => { if (event.key === "Enter") sort(); });
    });
  }

  // A link into the appendix opens what it points at; paper shows everything.
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    for (let part = target; part; part = part.parentElement)
      if (part.tagName === "DETAILS") part.open = true;
    if (target) target.scrollIntoView();
  };
  addEventListener("hashchange", open);
  open();
  let closed = [];
  addEventListener("beforeprint", () => {
    closed = [...document.querySelectorAll("details:not([open])")];
    for (const one of closed) one.open = true;
  });
  addEventListener("afterprint", () => { for (const one of closed) one.open = false; });
})();
