// One delivery: a line, and on demand its story: facts, verdict, evidence, reply.

import { clock, el, facts } from "./dom.js";

/// Sealed or open where it was delivered; else what became of it.
export function fate(record) {
  if (record.result !== "delivered") return record.result;
  return record.connection?.encryption === "tls" ? "sealed" : "open";
}

function summary(record) {
  const { connection, why, reply } = record;
  if (record.result !== "delivered") return why ?? (reply ? `the MX said ${reply}` : "the MTA gave up");
  const proof = connection.authentication === "none" ? "not authenticated" : connection.authentication;
  const how = connection.tls ? `${connection.tls.version}, ${proof}` : "plaintext";
  return `${connection.host}, ${how}${connection.would_block ? "; would have been blocked" : ""}`;
}

const code = (text) => el("span", { class: "code" }, text);

function tlsa(record) {
  return el("span", {}, code(record.record), record.unusable ? ` (unusable: ${record.unusable})` : "");
}

function hostFacts(host) {
  return facts([
    ["Addresses", host.addresses.join(", ") || host.no_address],
    ["TLSA", host.dane.records.length ? host.dane.records.map(tlsa) : `${host.dane.state}: ${host.dane.why}`],
    ["MTA-STS", host.mta_sts],
    ["Must", host.must],
  ]);
}

function known(record) {
  if (!record.facts) return el("p", {}, "Nothing was known in time.");
  const { next_hop, alias, mx_security, mta_sts, hosts } = record.facts;
  const pairs = [
    ["Next hop", alias ? `${next_hop}, an alias of ${alias}` : next_hop],
    ["MX records", mx_security],
    ["MTA-STS", mta_sts.state],
  ];
  return [facts(pairs), ...hosts.flatMap((host) => [el("h4", {}, `${host.preference} ${host.host}`), hostFacts(host)])];
}

function verdict(record) {
  const { rule, policy, connection } = record;
  return facts([
    ["Decided by", { rule: "a rule", dane: "DANE", "mta-sts": "MTA-STS", opportunistic: "no policy: TLS where it is offered" }[policy] ?? policy],
    ["Rule", rule && `${rule.origin}: ${rule.level}, ${rule.mode}${rule.route ? `, route ${rule.route}` : ""}`],
    ["Its reason", rule?.reason],
    ["It expires", rule?.expires],
    ["The server must", connection?.must],
  ]);
}

function evidence(record) {
  const { attempts, connection } = record;
  const tried = attempts.map(({ host, address, result, why }) => {
    const peer = `${host}[${address}]`;
    return why?.startsWith(peer) ? why : `${peer}: ${why ?? result}`;
  });
  const tls = connection?.tls;
  return facts([
    ["Tried", tried],
    ["Connection", connection && `${connection.host}[${connection.address}]`],
    ["In plaintext", connection?.plaintext_because],
    ["TLS", tls && `${tls.version}, ${tls.cipher}, ${tls.key_exchange}${tls.resumed ? ", resumed" : ""}`],
    ["Authentication", connection?.authentication],
    ["TLSA", connection?.tlsa && `${connection.tlsa.record} matches ${connection.tlsa.place}`],
    ["Certificates", tls?.chain.map(code)],
    ["Would have been blocked", connection?.would_block],
    ["MTA-STS in testing", connection?.mta_sts_testing],
  ]);
}

function reply(record) {
  return facts([
    ["To the MTA", record.reply],
    ["Why", record.why],
    ["Reason", record.reason],
    ["Recipients accepted", String(record.recipients)],
    ["Octets", record.bytes.toLocaleString("en")],
    ["It took", `${record.elapsed.toFixed(2)} s, by ${record.listener}`],
    ["From", record.sender ?? "nobody (a bounce)"],
    ["Id", code(record.id)],
  ]);
}

function story(record) {
  const step = (title, body) => el("div", {}, el("h3", {}, title), ...[body].flat());
  return el("div", { class: "story" },
    step("Facts", known(record)),
    step("Verdict", verdict(record)),
    step("Evidence", evidence(record)),
    step("Reply", reply(record)));
}

export function delivery(record) {
  const word = fate(record);
  const line = el("summary", {},
    clock(record.time),
    el("span", { class: `word ${word}` }, word),
    el("span", {}, record.domain),
    el("span", { class: "aside" }, summary(record)));
  const told = el("details", { "data-id": record.id }, line);
  // A story is written when somebody wants to read it.
  told.addEventListener("toggle", () => told.append(story(record)), { once: true });
  return told;
}
