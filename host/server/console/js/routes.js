// Which address shows which page.

import { route } from "./lib/router.js";
import { audit } from "./pages/audit.js";
import { adapter, adapters } from "./pages/adapters.js";
import { event } from "./pages/event.js";
import { explore } from "./pages/explore.js";
import { ledger } from "./pages/ledger.js";
import { metric, metricSet, metricSets } from "./pages/metrics.js";
import { newProject, project, projects } from "./pages/projects.js";
import { setup, signin } from "./pages/signin.js";
import { allStores, store, stores } from "./pages/stores.js";
import { editStore, newStore } from "./pages/store-form.js";
import { newTenant, tenant, tenants } from "./pages/tenants.js";
import { tokens } from "./pages/tokens.js";
import { account, users } from "./pages/users.js";

export function routes() {
  route("/signin", signin, { open: true });
  route("/setup", setup, { open: true });
  route("/", projects, { section: "projects" });
  route("/projects/new", newProject, { section: "projects" });
  route("/p/:project", project, { section: "project" });
  route("/p/:project/explore", explore, { section: "explore" });
  route("/p/:project/events/:object", event, { section: "explore" });
  route("/p/:project/metric-sets", metricSets, { section: "sets" });
  route("/p/:project/metric-sets/:set", metricSet, { section: "sets" });
  route("/p/:project/metric-sets/:set/:metric", metric, { section: "sets" });
  route("/p/:project/stores", stores, { section: "stores" });
  route("/p/:project/stores/new", newStore, { section: "stores" });
  route("/p/:project/stores/:store", store, { section: "stores" });
  route("/p/:project/stores/:store/edit", editStore, { section: "stores" });
  route("/stores", allStores, { section: "all-stores" });
  route("/ledger", ledger, { section: "ledger" });
  route("/tenants", tenants, { section: "tenants" });
  route("/tenants/new", newTenant, { section: "tenants" });
  route("/tenants/:tenant", tenant, { section: "tenants" });
  route("/adapters", adapters, { section: "adapters" });
  route("/users", users, { section: "users" });
  route("/tokens", tokens, { section: "tokens" });
  route("/audit", audit, { section: "audit" });
  route("/account", account, { section: "account" });
  route("/adapters/:adapter", adapter, { section: "adapters" });
}
