"use strict";
// Sorts the table by the column whose heading is pressed, and shows the rows that hold a text, not
// too many at once.
{
  const table = document.getElementById("sessions");
  const body = table.tBodies[0];
  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  };
  const collator = new Intl.Collator("en", { numeric: true });
  const compare = (a, b) => {
    if (typeof a === "number" && typeof b === "number") return a - b;
    return collator.compare(a, b);
  };
  for (const button of table.tHead.querySelectorAll("button")) {
    const heading = button.closest("th");
    button.addEventListener("click", () => {
      const isDown = heading.getAttribute("aria-sort") === "ascending";
      for (const other of heading.parentElement.cells) other.removeAttribute("aria-sort");
      heading.setAttribute("aria-sort", isDown ? "descending" : "ascending");
      const keyed = [...body.rows].map((row) => [value(row, heading.cellIndex), row]);
      keyed.sort(([a], [b]) => {
        // What is not known comes last, whichever way.
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
        return isDown ? compare(b, a) : compare(a, b);
      });
      body.append(...keyed.map(([, row]) => row));
      show();
    });
  }
  const field = document.getElementById("find");
  const found = document.getElementById("found");
  const all = document.getElementById("all");
  let most = Number(table.dataset.most);
  const texts = new Map([...body.rows].map((row) => [row, row.textContent.toLowerCase()]));
  const number = (count) => count.toLocaleString("en");
  const show = () => {
    const wanted = field.value.trim().toLowerCase();
    let count = 0;
    for (const row of body.rows) {
      const isFound = texts.get(row).includes(wanted);
      count += isFound;
      const isHidden = !isFound || count > most;
      if (row.hidden !== isHidden) row.hidden = isHidden;
    }
    all.hidden = count <= most;
    found.textContent = [
      wanted && `${number(count)} found`, count > most && `${number(most)} of ${number(count)} shown`,
    ].filter(Boolean).join(", ");
  };
  field.addEventListener("input", show);
  all.addEventListener("click", () => { most = Infinity; show(); });
}
