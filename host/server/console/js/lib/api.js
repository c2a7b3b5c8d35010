// Talks to the HTTP API of this server. Errors are problem documents; they arrive as Problem.
// A session is a cookie that scripts cannot read, and a word that changes have to repeat. A token is kept in memory only.

const ROOT = "/api/v1";
const access = { csrf: null, token: null, tenant: "" };

export class Problem extends Error {
  constructor(status, document) {
    super(document?.detail || document?.title || `the server answered ${status}`);
    this.status = status;
    this.document = document ?? {};
  }
}

/** From now on requests carry this: {csrf} of a session, or {token}. */
export function use({ csrf = null, token = null }) {
  access.csrf = csrf;
  access.token = token;
}

/** The tenant that the address names, to which all requests belong; without one, it is the caller's own. */
export const meant = (tenant) => { access.tenant = tenant; };
export const tenant = () => access.tenant;

export const hasToken = () => access.token !== null;

/** A path with its parts percent-encoded: at`/projects/${name}`. */
export function at(strings, ...parts) {
  return strings.reduce((path, text, i) => path + encodeURIComponent(parts[i - 1]) + text);
}

const lost = new Set();
/** Called when the server does not know the session any more. */
export const onSignedOut = (call) => lost.add(call);

async function ask(method, path, { body, signal, accept, headers: more } = {}) {
  const headers = { accept: accept ?? "application/json", ...more };
  // A header holds bytes, and the name goes as those of UTF-8.
  if (access.tenant && path !== "/session") headers["tidegate-tenant"] = String.fromCharCode(...new TextEncoder().encode(access.tenant));
  if (access.token) headers.authorization = `Bearer ${access.token}`;
  else if (access.csrf && method !== "GET") headers["x-csrf-token"] = access.csrf;
  let sent = body;
  if (body !== undefined && !(body instanceof Blob)) {
    headers["content-type"] = "application/json";
    sent = JSON.stringify(body);
  }
  let response;
  try {
    response = await fetch(ROOT + path, {
      method, headers, body: sent, signal, cache: "no-store", redirect: "error",
      credentials: access.token ? "omit" : "same-origin",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem(0, { title: "No answer", detail: "the server does not answer; is it running?" });
  }
  if (response.ok) return response;
  const text = await response.text();
  let document;
  try { document = JSON.parse(text); } catch { document = { detail: text.slice(0, 500) || undefined }; }
  if (response.status === 412 && headers["if-match"]) document.detail = "Somebody has changed this meanwhile. Load the page again to see how it is now.";
  if (response.status === 401 && path !== "/session") for (const call of lost) call();
  throw new Problem(response.status, document);
}

async function json(response) {
  const text = await response.text();
  return text ? JSON.parse(text) : null;
}

/** The document with its tag, which goes back with the change: two people must not undo each other's work unseen. */
export async function tagged(path, options) {
  const response = await ask("GET", path, options);
  return { document: await json(response), tag: response.headers.get("etag") };
}

/** Headers of a change: of something that must not be there yet, or must be as it was seen. */
export const onlyNew = { headers: { "if-none-match": "*" } };
export const onlyAs = (tag) => (tag ? { headers: { "if-match": tag } } : {});

export const get = async (path, options) => json(await ask("GET", path, options));
export const post = async (path, body, options) => json(await ask("POST", path, { ...options, body }));
export const put = async (path, body, options) => json(await ask("PUT", path, { ...options, body }));
export const patch = async (path, body, options) => json(await ask("PATCH", path, { ...options, body }));
export const remove = async (path, options) => json(await ask("DELETE", path, options));

/** A whole list, however many pages it has: the document of one that had everything in `member`. */
export async function all(path, member, options) {
  const whole = await get(path, options);
  while (whole.next) {
    const more = await get(`${path}${path.includes("?") ? "&" : "?"}cursor=${encodeURIComponent(whole.next)}`, options);
    whole[member].push(...more[member]);
    whole.next = more.next;
  }
  return whole;
}

/** Reads {progress}, {progress}, …, {answer} or {error} line by line. */
export async function stream(path, body, { signal, progress }) {
  const response = await ask("POST", path, { body, signal, accept: "application/x-ndjson" });
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    rest += value ?? "";
    let end;
    while ((end = rest.indexOf("\n")) >= 0) {
      const line = JSON.parse(rest.slice(0, end));
      rest = rest.slice(end + 1);
      if (line.progress) progress?.(line.progress);
      if (line.error) throw new Problem(line.error.status, line.error);
      if (line.answer) return line.answer;
    }
    if (done) throw new Problem(0, { detail: "the answer broke off" });
  }
}
