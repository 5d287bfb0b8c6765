// The last hour: one bar a minute, sealed below, open and blocked on top.

import { number, svg } from "./dom.js";

const [HEIGHT, FOOT, SIDE] = [144, 18, 34];
const KINDS = ["sealed", "open", "blocked"];

/// The next round number: 1, 2 or 5 times a power of ten.
function round(most) {
  const power = 10 ** Math.floor(Math.log10(Math.max(most, 1)));
  return [1, 2, 5, 10].map((step) => step * power).find((step) => step >= most) ?? 1;
}

function bar(minute, place, scale, step) {
  let y = HEIGHT - FOOT;
  return KINDS.map((kind) => {
    const height = minute[kind] * scale;
    y -= height;
    return svg("rect", { class: kind, x: SIDE + place * step, y, width: Math.max(step - 2, 2), height });
  });
}

function label(minutes, place, step, anchor) {
  const time = new Date(minutes[place].at).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
  const x = SIDE + place * step + (anchor === "end" ? step : 0);
  return svg("text", { x, y: HEIGHT - 4, "text-anchor": anchor }, time);
}

/// For a place so wide, in pixels, so that the letters keep their size.
export function chart(minutes, sums, width) {
  const top = round(Math.max(...minutes.map((minute) => minute.sealed + minute.open + minute.blocked)));
  const scale = (HEIGHT - FOOT - 12) / top;
  const step = (width - SIDE) / minutes.length;
  const ground = HEIGHT - FOOT;
  const level = (value) => [
    svg("line", { class: "axis", x1: SIDE, x2: width, y1: ground - value * scale, y2: ground - value * scale }),
    svg("text", { x: SIDE - 6, y: ground - value * scale + 4, "text-anchor": "end" }, number(value)),
  ];
  const told = `By minute over the last hour: ${KINDS.map((kind) => `${number(sums[kind])} ${kind}`).join(", ")}.`;
  return svg("svg", { viewBox: `0 0 ${width} ${HEIGHT}`, role: "img", "aria-label": told },
    ...level(0), ...level(top),
    ...minutes.flatMap((minute, place) => bar(minute, place, scale, step)),
    label(minutes, 0, step, "start"),
    label(minutes, 30, step, "middle"),
    label(minutes, minutes.length - 1, step, "end"));
}
