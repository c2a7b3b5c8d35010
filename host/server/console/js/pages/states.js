// The states of stores and windows in words, with the colour and shape that goes with each.

import { h } from "../lib/dom.js";

export const STATES = {
  ok: ["good", "OK"],
  delivering: ["good", "Delivering"],
  waiting: ["idle", "Waiting"],
  retrying: ["warn", "Retrying"],
  failing: ["bad", "Failing"],
  credentials: ["bad", "Credentials refused"],
  "adapter-fault": ["bad", "Adapter fault"],
  misconfigured: ["bad", "Misconfigured"],
  paused: ["idle", "Paused"],
  draining: ["warn", "Being deleted"],
  stale: ["warn", "Stale"],
};

const OUTCOMES = {
  confirmed: ["good", "Arrived"],
  queued: ["idle", "Waiting"],
  rejected: ["bad", "Rejected"],
  expired: ["warn", "Expired"],
  evaluated: ["good", "Evaluated"],
  failed: ["bad", "Failed, tried again"],
};

const shown = (table, word) => {
  const [kind, label] = table[word] ?? ["idle", word];
  return h("span.state", { class: kind }, label);
};

export const state = (word) => shown(STATES, word);
export const outcome = (word) => shown(OUTCOMES, word);
