// The page: what is shown, when it is asked for again, and what may be done.

import { act, get, part, token, tryToken } from "./api.js";
import { chart } from "./chart.js";
import { delivery } from "./delivery.js";
import { ago, at, el, number, tell } from "./dom.js";
import * as lists from "./lists.js";

const SOON = 5000;
const LATER = 30000;

async function showTotals() {
  const totals = await get("totals");
  const sums = { sealed: 0, open: 0, blocked: 0 };
  for (const minute of totals.last_hour) for (const kind of Object.keys(sums)) sums[kind] += minute[kind];
  for (const kind of Object.keys(sums)) at(`hour-${kind}`).textContent = number(sums[kind]);
  at("chart").replaceChildren(chart(totals.last_hour, sums, at("chart").clientWidth));
  const words = ["sealed", "open", "blocked", "would_block", "failed", "rejected"];
  const since = words.map((word) => `${number(totals[word])} ${word.replace("would_block", "would have been blocked")}`);
  at("since").replaceChildren("Since the start ", ago(totals.since), `: ${since.join(", ")}.`);
}

async function showHealth() {
  const view = await get("health");
  const state = at("state");
  state.textContent = view.state;
  state.className = `badge ${view.state === "ready" ? "sealed" : "blocked"}`;
  at("version").textContent = `waxseal ${view.version}`;
  at("health").replaceChildren(...lists.health(view));
}

// ------------------------------------------------------------------------------------------ deliveries

const wanted = () => ({ result: at("deliveries-result").value, domain: at("deliveries-domain").value.trim(), limit: 50 });
let older = null;

/// Puts what is new above what is there, so that what is open stays open.
async function showDeliveries() {
  const page = await get("deliveries", wanted());
  const list = at("deliveries");
  const latest = list.firstElementChild?.dataset.id;
  const known = page.deliveries.findIndex((record) => record.id === latest);
  const fresh = known < 0 ? page.deliveries : page.deliveries.slice(0, known);
  if (known < 0) {
    list.replaceChildren();
    older = page.next;
  }
  list.prepend(...fresh.map(delivery));
  at("deliveries-more").hidden = !older;
  at("deliveries-none").hidden = list.childElementCount > 0;
}

async function showOlder() {
  const page = await get("deliveries", { ...wanted(), after: older });
  older = page.next;
  at("deliveries").append(...page.deliveries.map(delivery));
  at("deliveries-more").hidden = !older;
}

function showOthers() {
  at("deliveries").replaceChildren();
  return showDeliveries();
}

// ---------------------------------------------------------------------------------- rules and policies

const shown = { rules: 100, policies: 100 };

async function showRules() {
  const page = await get("rules", { limit: shown.rules });
  at("rules-loaded").replaceChildren(page.total ? `${number(page.total)}, loaded ` : "None, loaded ", ago(page.loaded));
  at("rules").replaceChildren(page.rules.length ? lists.rules(page.rules, ruleActions) : "");
  at("rules-more").hidden = page.next === null || shown.rules >= 1000;
}

async function showPolicies() {
  const page = await get("policies", { limit: shown.policies });
  const none = el("p", { class: "aside" }, "None is remembered.");
  at("policies").replaceChildren(page.policies.length ? lists.policies(page.policies, policyActions) : none);
  at("policies-more").hidden = page.next === null || shown.policies >= 1000;
}

function policyActions({ domain }) {
  const button = (word, method, path) =>
    el("button", { type: "button", class: "small", "aria-label": `${word} ${domain}`, click: doing(method, path, `${word}: ${domain}`, showPolicies) }, word);
  return el("span", { class: "line" },
    button("Refresh", "POST", `policies/${part(domain)}/refresh`),
    button("Forget", "DELETE", `policies/${part(domain)}`));
}

async function showHosts() {
  const { hosts } = await get("hosts", { lost: true, limit: 100 });
  const none = el("p", { class: "aside" }, "None.");
  at("hosts").replaceChildren(hosts.length ? lists.hosts(hosts, hostActions) : none);
}

function hostActions({ host }) {
  const click = doing("DELETE", `hosts/${part(host)}`, `Accepted: ${host}`, showHosts);
  return el("button", { type: "button", class: "small", "aria-label": `Accept ${host} as it is`, click }, "Accept as it is");
}

/// Only rules that were made by hand are a page's to end; other files are written by people.
function ruleActions(rule) {
  if (!rule.origin.startsWith("80-by-hand.toml:") || rule.expired) return "";
  const mx = rule.pattern.startsWith("mx ");
  const scope = { [mx ? "mx" : "domains"]: [mx ? rule.pattern.slice(3) : rule.pattern], senders: rule.sender === "*" ? [] : [rule.sender] };
  const click = doing("POST", "rules/expire", `Expired: ${rule.pattern}`, showRules, scope);
  return el("button", { type: "button", class: "small", "aria-label": `Let the rule for ${rule.pattern} expire now`, click }, "Expire now");
}

const more = (what, show) => () => {
  shown[what] = Math.min(shown[what] * 10, 1000);
  return show();
};

// --------------------------------------------------------------------------------------------- actions

/// Does something when a button is pressed, and tells what came of it.
function doing(method, path, done, show, body) {
  return guarded(async (event) => {
    const button = event.target;
    button.disabled = true;
    try {
      const answer = await act(method, path, body);
      tell(answer?.result ?? `${done}: done.`);
    } finally {
      button.disabled = false;
    }
    await show();
  });
}

async function addRule(event) {
  event.preventDefault();
  const rule = { domains: [at("rule-domain").value.trim()], tls: at("rule-tls").value, mode: at("rule-mode").value };
  if (at("rule-reason").value) rule.reason = at("rule-reason").value;
  if (at("rule-expires").value) rule.expires = at("rule-expires").value;
  const { origins, warnings, result } = await act("POST", "rules", rule);
  tell([`Added: ${origins.join(", ")}; ${result}`, ...warnings].join(". "));
  at("rule-form").reset();
  await showRules();
}

async function check(event) {
  event.preventDefault();
  const result = at("check-result");
  result.replaceChildren(el("p", { class: "aside" }, "Looking it up…"));
  try {
    const report = await get(`check/${part(at("check-domain").value.trim())}`);
    result.replaceChildren(lists.check(report));
  } catch (problem) {
    result.replaceChildren(el("p", { class: "wrong" }, problem.message));
  }
}

// ----------------------------------------------------------------------------------------------- token

const dialog = at("token-dialog");

/// Without a token of waxseal's there is none to enter.
async function arm() {
  const { set_up: setUp, shown } = await tryToken(token.get());
  document.body.classList.toggle("armed", shown);
  at("token-button").hidden = !setUp;
  at("token-button").textContent = shown ? "Token entered" : "Enter token";
  at("read-only").hidden = setUp;
}

async function useToken(event) {
  event.preventDefault();
  const text = at("token").value.trim();
  try {
    await tryToken(text);
  } catch (problem) {
    at("token-error").textContent = problem.message;
    return;
  }
  token.set(text);
  tell("");
  await closeDialog();
}

async function closeDialog() {
  at("token").value = "";
  at("token-error").textContent = "";
  dialog.close();
  await showAll();
}

function forgetToken() {
  token.forget();
  return closeDialog();
}

// ------------------------------------------------------------------------------------------------ life

let asked = false;

/// Runs `task`, and tells why it failed; who lacks the token is asked for it once.
function guarded(task) {
  return async (...given) => {
    try {
      await task(...given);
      return true;
    } catch (problem) {
      tell(problem.message);
      if (problem.status === 401) {
        at("token-button").hidden = false;
        if (!dialog.open && !asked) dialog.showModal();
        asked = true;
      }
      if (problem.status === 0) {
        at("state").textContent = "no answer";
        at("state").className = "badge blocked";
      }
      return false;
    }
  };
}

let failed = false;

const often = guarded(async () => {
  await Promise.all([showTotals(), showHealth(), showDeliveries()]);
  if (failed) tell("");
});
const seldom = guarded(() => Promise.all([showRules(), showPolicies(), showHosts()]));

async function showAll() {
  failed = !((await guarded(arm)()) && (await often()) && (await seldom()));
}

function repeat(task, every) {
  setInterval(async () => {
    if (document.visibilityState === "visible" && !dialog.open) failed = !(await task());
  }, every);
}

at("check-form").addEventListener("submit", check);
at("deliveries-form").addEventListener("submit", (event) => event.preventDefault());
at("deliveries-form").addEventListener("change", guarded(showOthers));
at("deliveries-more").addEventListener("click", guarded(showOlder));
at("rules-more").addEventListener("click", guarded(more("rules", showRules)));
at("policies-more").addEventListener("click", guarded(more("policies", showPolicies)));
at("rule-form").addEventListener("submit", guarded(addRule));
at("reload").addEventListener("click", doing("POST", "reload", "Reload", showAll));
at("token-button").addEventListener("click", () => dialog.showModal());
at("token-form").addEventListener("submit", useToken);
at("token-forget").addEventListener("click", forgetToken);
at("token-cancel").addEventListener("click", () => dialog.close());

await showAll();
repeat(often, SOON);
repeat(seldom, LATER);
