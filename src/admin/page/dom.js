// Elements from data. Text goes in as text: names, replies and reasons come from strangers.

const SVG = "http://www.w3.org/2000/svg";

function build(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined && child !== ""));
  return element;
}

export const el = (tag, attributes = {}, ...children) => build(document.createElement(tag), attributes, children);
export const svg = (tag, attributes = {}, ...children) => build(document.createElementNS(SVG, tag), attributes, children);
export const at = (id) => document.getElementById(id);

/// A list of names and values; a value is a node, a text, or several of them. What is not known is left out.
export function facts(pairs, attributes = { class: "facts" }) {
  return el("dl", attributes, ...terms(pairs));
}

export function terms(pairs) {
  const known = pairs.filter(([, value]) => value !== null && value !== undefined && value !== "" && value.length !== 0);
  return known.flatMap(([name, value]) => {
    const values = Array.isArray(value) ? value.map((one) => el("div", {}, one)) : [value];
    return [el("dt", {}, name), el("dd", {}, ...values)];
  });
}

/// A table whose columns are [head, class, cell]; on a phone each cell tells its head.
export function table(caption, columns, rows) {
  const heads = columns.map(([head, kind]) => el("th", { scope: "col", class: kind }, head));
  const body = rows.map((row) => {
    const cells = columns.map(([head, kind, cell], place) =>
      place === 0 ? el("th", { scope: "row" }, cell(row)) : el("td", { class: kind, "data-head": head }, cell(row)));
    return el("tr", {}, ...cells);
  });
  return el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, ...heads)), el("tbody", {}, ...body));
}

const relative = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/// How long ago, or how soon.
export function ago(text) {
  if (!text) return null;
  const seconds = (Date.parse(text) - Date.now()) / 1000;
  const [unit, length] = UNITS.find(([, length]) => Math.abs(seconds) >= length) ?? ["second", 1];
  return el("time", { datetime: text, title: text }, relative.format(Math.round(seconds / length), unit));
}

/// The time of day.
export function clock(text) {
  return el("time", { datetime: text, title: text }, new Date(text).toLocaleTimeString([], { hourCycle: "h23" }));
}

export const number = (value) => value.toLocaleString("en");

/// Tells what went wrong, or what was done, until something else is told.
export function tell(text) {
  const notice = at("notice");
  notice.textContent = text;
  notice.hidden = !text;
}
