// What the page asks for. The token, if one was entered, is kept until the tab is closed.

const KEY = "waxseal-token";

export const token = {
  get: () => sessionStorage.getItem(KEY),
  set: (text) => sessionStorage.setItem(KEY, text),
  forget: () => sessionStorage.removeItem(KEY),
};

export class Problem extends Error {
  constructor(status, detail) {
    super(detail);
    this.status = status;
  }
}

async function ask(method, path, { query = {}, body, shown = token.get() } = {}) {
  const url = new URL(`/api/v1/${path}`, location.origin);
  for (const [name, value] of Object.entries(query)) if (value) url.searchParams.set(name, value);
  const headers = {};
  if (shown) headers.Authorization = `Bearer ${shown}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  const request = { method, headers, body: body && JSON.stringify(body), credentials: "omit", cache: "no-store" };
  const response = await fetch(url, request).catch(() => {
    throw new Problem(0, "waxseal does not answer.");
  });
  const text = await response.text();
  const answer = text ? JSON.parse(text) : null;
  if (!response.ok) throw new Problem(response.status, answer?.detail ?? response.statusText);
  return answer;
}

export const get = (path, query) => ask("GET", path, { query });
export const act = (method, path, body) => ask(method, path, { body });
/// Whether there is a token, and whether this is it; throws if it is another.
export const tryToken = (shown) => ask("GET", "token", { shown });
export const part = encodeURIComponent;
