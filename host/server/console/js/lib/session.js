// Who is signed in, and what they may do here.

import * as api from "./api.js";

let me = null;

export const who = () => me;

/** Takes up a session that the browser still has a cookie of. */
export async function resume() {
  if (api.hasToken()) return me;
  try {
    return adopt(await api.get("/session"));
  } catch (error) {
    if (error.status === 401 || error.status === 404) return null;
    throw error;
  }
}

function adopt(document) {
  me = document;
  api.use({ csrf: document.csrf });
  return me;
}

export async function signIn(user, password) {
  return adopt(await api.post("/session", { user, password }));
}

/** With an API token, which is kept in memory and gone when the page is loaded again. */
export async function signInWithToken(token) {
  api.use({ token });
  try {
    const told = await api.get("/session");
    me = { ...told, user: `Token ${told.token}`, token: true };
    return me;
  } catch (error) {
    api.use({});
    throw error;
  }
}

export async function signOut(everywhere = false) {
  const token = me?.token;
  if (!token) await api.remove(everywhere ? "/sessions" : "/session");
  forget();
}

export function forget() {
  me = null;
  api.use({});
}

/** The tenant that is looked at: the one that the address names, or one's own. */
export const tenant = () => api.tenant() || me?.tenant || "";

/** The tenants in which there is something to see, by name; of operators, those that are known without asking. */
export const tenants = () => [...new Set([me?.tenant, ...(me?.roles ?? []).map((r) => r.tenant), api.tenant()].filter(Boolean))].sort();

const rolesHere = () => (me?.roles ?? []).filter((r) => r.tenant === tenant());
const everywhere = (r) => r.project === null || r.project === undefined;

/** Whether there is a whole tenant to administer: its users, tokens and log. */
export const administers = () => me !== null && (me.operator || rolesHere().some((r) => everywhere(r) && r.role === "admin"));

const RANK = { viewer: 1, member: 2, admin: 3 };

/** Whether the role for a project is at least this one. The server has the last word; this only spares useless buttons. */
export function may(role, project) {
  if (!me) return false;
  if (me.operator) return true;
  if (me.token && (me.roles ?? []).length === 0) return true;
  return rolesHere().some((r) => (everywhere(r) || r.project === project) && (RANK[r.role] ?? 0) >= RANK[role]);
}
