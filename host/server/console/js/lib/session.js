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
    const status = await api.get("/status");
    me = { user: `API token of ${status.tenant ?? "this host"}`, operator: true, roles: [], token: true };
    try { Object.assign(me, await api.get("/session"), { token: true }); } catch { /* the server tells sessions only about cookies */ }
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

const RANK = { viewer: 1, member: 2, admin: 3 };

/** Whether the role for a project is at least this one. The server has the last word; this only spares useless buttons. */
export function may(role, project) {
  if (!me) return false;
  if (me.operator) return true;
  const roles = me.roles ?? [];
  if (me.token && roles.length === 0) return true;
  return roles.some((r) => (r.project === null || r.project === undefined || r.project === project) && (RANK[r.role] ?? 0) >= RANK[role]);
}
