"use strict";
// Lets the times on the page go on between two reloads, by the server's clock at the time of the
// page; without scripts they stand still.
const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
const began = performance.now();

function words(seconds) {
  const left = Math.max(0, Math.round(seconds));
  for (let position = 0; position < UNITS.length; position++) {
    const [size, unit] = UNITS[position];
    if (left < size) continue;
    const count = Math.floor(left / size), rest = left % size, smaller = UNITS[position + 1];
    const more = smaller && count < 10 && rest >= smaller[0]
      ? ` ${Math.floor(rest / smaller[0])} ${smaller[1]}` : "";
    return `${count} ${unit}${more}`;
  }
  return "0 s";
}

function move() {
  const passed = (performance.now() - began) / 1000;
  for (const one of document.querySelectorAll("time[data-left]")) {
    const left = Number(one.dataset.left) - passed;
    one.textContent =
      Math.abs(left) < 1 ? "now" : left < 0 ? `${words(-left)} ago` : `in ${words(left)}`;
  }
}

setInterval(move, 1000);
