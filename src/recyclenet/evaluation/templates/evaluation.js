// Filters and marks of the photos in the report. The page can be read without it.
(function () {
  "use strict";

  // The same rules as in core/files.py, so that `read_table` restores the cells.
  const FORMULA = /^[=+\-@\t\r\n＝＋－＠]/;
  const NUMBER = /^([-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?|[-+]?(nan|inf))$/;
  const isFormula = (cell) => FORMULA.test(cell) && !NUMBER.test(cell);
  const quoted = (cell) => '"' + cell.replace(/"/g, '""') + '"';

  // Return the CSV of marks {path, label, action}.
  function marksCsv(marks) {
    const rows = marks.map((mark) => [mark.path, mark.label, mark.action]);
    const names = ["path", "label", "action"];
    if (rows.some((row) => row.some(isFormula))) {
      names.push("escaped");
      for (const row of rows) {
        const escapes = row.some(isFormula);
        row.forEach((cell, i) => {
          if (escapes && (isFormula(cell) || cell[0] === "'")) row[i] = "'" + cell;
        });
        row.push(escapes ? "yes" : "");
      }
    }
    return [names.join(","), ...rows.map((row) => row.map(quoted).join(","))].join("\n") + "\n";
  }

  // Return text as bytes; a lone surrogate stands for a byte of a file name that is not UTF-8.
  function encoded(text) {
    const encoder = new TextEncoder();
    const bytes = [];
    for (const char of text) {
      const code = char.codePointAt(0);
      if (code >= 0xdc80 && code <= 0xdcff) bytes.push(code - 0xdc00);
      else bytes.push(...encoder.encode(char));
    }
    return Uint8Array.from(bytes);
  }

  if (typeof module !== "undefined") {
    module.exports = { marksCsv, encoded };
    return;
  }

  const form = document.getElementById("filters");
  // A page without photos has no form; a notebook may hold the same page twice.
  if (!form || form.dataset.ready) return;
  form.dataset.ready = "yes";
  const data = JSON.parse(document.getElementById("data").textContent);
  const cards = [...document.querySelectorAll("article.card")];
  const status = document.getElementById("shown");
  const field = (name) => form.elements.namedItem(name);
  const chosen = (name) => (field(name) ? field(name).value : "");

  function isShown(card) {
    const { t, p, d, c, known, suspect } = card.dataset;
    const answer = { "": true, wrong: t !== p, right: t === p, unsure: known === "0", suspect: suspect === "1" };
    return (
      (chosen("truth") === "" || chosen("truth") === t) &&
      (chosen("label") === "" || chosen("label") === p) &&
      (chosen("domain") === "" || chosen("domain") === d) &&
      answer[chosen("answer")] &&
      Number(c) >= Number(chosen("low") || 0) &&
      Number(c) <= Number(chosen("high") || 100)
    );
  }

  function filter() {
    let count = 0;
    for (const card of cards) {
      card.hidden = !isShown(card);
      if (!card.hidden) count += 1;
    }
    status.textContent = count + " of the " + cards.length + " photos on this page";
    for (const cell of document.querySelectorAll("td.chosen")) cell.classList.remove("chosen");
  }

  function showCell(cell) {
    form.reset();
    field("truth").value = cell.dataset.t;
    field("label").value = cell.dataset.p;
    filter();
    cell.classList.add("chosen");
    const count = cell.dataset.n;
    status.textContent += "; the cell has " + count + (count === "1" ? " photo" : " photos");
    document.getElementById("photos").scrollIntoView();
  }

  for (const cell of document.querySelectorAll("[data-n]")) {
    cell.tabIndex = 0;
    cell.setAttribute("role", "button");
    cell.addEventListener("click", () => showCell(cell));
    cell.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        showCell(cell);
      }
    });
  }
  form.addEventListener("input", filter);
  document.getElementById("all").addEventListener("click", () => {
    form.reset();
    filter();
  });
  form.addEventListener("submit", (event) => event.preventDefault());

  // Marks: card number to {path, label, action}.
  const marks = new Map();
  let isSaved = true;
  const button = document.getElementById("export");

  function mark(number, value) {
    const photo = data.photos[number];
    if (value === "") marks.delete(number);
    else if (value === "remove") marks.set(number, { ...photo, action: "remove" });
    else marks.set(number, { ...photo, label: data.classes[Number(value)], action: "relabel" });
    cards[number].classList.toggle("marked", marks.has(number));
    isSaved = marks.size === 0;
    button.disabled = marks.size === 0;
    button.textContent = "Download " + marks.size + (marks.size === 1 ? " mark" : " marks") + " (CSV)";
  }

  cards.forEach((card, number) => {
    const select = document.createElement("select");
    select.setAttribute("aria-label", "mark");
    select.append(new Option("no mark", ""), new Option("remove", "remove"));
    // Only when needed: many photos of many classes would have very many options.
    function fill() {
      if (select.length > 2) return;
      data.classes.forEach((name, index) => {
        if (name !== data.photos[number].label) select.append(new Option("label: " + name, index));
      });
    }
    select.addEventListener("focus", fill);
    select.addEventListener("pointerdown", fill);
    select.autocomplete = "off";
    select.addEventListener("change", () => mark(number, select.value));
    card.querySelector(".body").append(select);
  });
  button.addEventListener("click", () => {
    const link = document.createElement("a");
    const ordered = [...marks.keys()].sort((a, b) => a - b).map((number) => marks.get(number));
    link.href = URL.createObjectURL(new Blob([encoded(marksCsv(ordered))], { type: "text/csv" }));
    link.download = "marks.csv";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    isSaved = true;
  });
  addEventListener("beforeunload", (event) => {
    if (!isSaved) event.preventDefault();
  });

  form.reset();
  for (const part of document.querySelectorAll(".scripted")) part.hidden = false;
  filter();
})();
