// Rules, policies, health, and what mail would meet.

import { ago, el, facts, number, table, terms } from "./dom.js";

function expiry(rule) {
  if (!rule.expires) return "";
  return el("span", { class: rule.expired ? "wrong" : null }, rule.expired ? "expired " : "", ago(rule.expires));
}

export function rules(rows, actions) {
  return table("Rules in force, in the order of their files", [
    ["For", null, (rule) => el("span", {}, rule.pattern, rule.sender === "*" ? "" : ` from ${rule.sender}`)],
    ["TLS", null, (rule) => rule.tls + (rule.mode === "observe" ? ", only observed" : "") + (rule.route ? `, route ${rule.route}` : "")],
    ["Hits", "number", (rule) => number(rule.hits)],
    ["Expires", null, expiry],
    ["Reason", null, (rule) => rule.reason ?? ""],
    ["Where", null, (rule) => el("span", { class: "code" }, rule.origin)],
    ["", "acts", actions],
  ], rows);
}

export function hosts(rows, actions) {
  return table("MX hosts that show less than before", [
    ["Host", null, (host) => host.host],
    ["Lost", null, (host) => el("span", { class: "wrong" }, { starttls: "STARTTLS" }[host.lost.kind] ?? host.lost.kind)],
    ["Had", null, (host) => host.best],
    ["Since", null, (host) => ago(host.lost.since)],
    ["Accepted", null, (host) => ago(host.lost.until)],
    ["", "acts", actions],
  ], rows);
}

export function policies(rows, actions) {
  return table("MTA-STS policies that are remembered", [
    ["Domain", null, (policy) => policy.domain],
    ["Mode", null, (policy) => policy.mode],
    ["MX", null, (policy) => policy.mx.join(", ")],
    ["Fetched", null, (policy) => ago(policy.fetched)],
    ["Expires", null, (policy) => ago(policy.expires)],
    ["Refresh", null, (policy) => policy.failing
      ? el("span", { class: "wrong" }, "fails since ", ago(policy.failing.since), `: ${policy.failing.why}`)
      : ago(policy.next_refresh)],
    ["", "acts", actions],
  ], rows);
}

export function health(view) {
  const { last_reload: reload, dnssec, store } = view;
  const wrong = (is, ...text) => el("span", { class: is ? "wrong" : null }, ...text);
  return terms([
    ["State", wrong(view.state !== "ready", view.state)],
    ["DNSSEC", dnssec && wrong(["unavailable", "waiting"].includes(dnssec.in_force), dnssec.in_force)],
    ["Name servers", dnssec?.servers.map(({ server, as, probe }) => wrong(probe !== "passed", `${server} as ${as}: ${probe}`))],
    ["Store", store && wrong(store.degraded, store.degraded ? `${store.place}: ${store.degraded}` : store.place)],
    ["Last reload", reload ? wrong(reload.result !== "ok", `${reload.detail} (`, ago(reload.at), ")") : "none since the start"],
  ]);
}

function hostCheck(host) {
  const { dane } = host;
  return facts([
    ["Addresses", host.addresses.join(", ") || "none"],
    ["TLSA", dane.records ? dane.records.map((one) => one.record + (one.unusable ? ` (unusable: ${one.unusable})` : "")) : dane.absent ? `none: ${dane.absent}` : `failed: ${dane.failed}`],
    ["MTA-STS", host.mta_sts],
    ["Must", host.must],
  ]);
}

export function check(report) {
  const { rule } = report;
  const head = facts([
    ["Verdict", el("span", {}, el("span", { class: `word ${report.grade}` }, report.grade.replace("-", " ")), `: ${report.why}`)],
    ["Rule", rule ? `${rule.origin}: ${rule.level}${rule.observe ? ", only observed" : ""}${rule.reason ? ` (${rule.reason})` : ""}` : "none; built in: standard (floor may)"],
    ["MX records", report.mx_security],
    ["MTA-STS", report.mta_sts.state],
  ]);
  const hosts = report.hosts.flatMap((host) => [el("h4", {}, `${host.preference} ${host.host}`), hostCheck(host)]);
  return el("div", {}, el("h3", {}, report.domain), head, ...hosts);
}
