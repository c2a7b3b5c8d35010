//! The table of the management API: each route with what it needs of whoever asks. The router is made of it, so no route is
//! without a rule, and the tests go through it, so no rule is without one.

use super::openapi::{self, Doc, list_of};
use super::page::Rules;
use super::schema::{self, any_object, array, body, boolean, count, maybe, name, object, text};
use super::{
    accounts, adapters, apply, events, ledger, log_page, preview, projects, query, quotas, sets, status, store_history,
    store_list, stores, tokens, versions,
};
use crate::http::auth::Need;
use crate::http::bulk;
use crate::http::state::App;
use axum::handler::Handler;
use axum::http::Method;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde_json::{Value, json};
use tidegate_export::WINDOW_OUTCOMES;
use tidegate_export::catalog::AUDIT_KINDS;
use tidegate_export::catalog::Role::{Admin, Member, Viewer};

/// A route of the management API.
pub(crate) struct Route {
    pub(crate) method: Method,
    /// Below `/api/v1`.
    pub(crate) path: &'static str,
    pub(crate) need: Need,
    pub(super) handler: MethodRouter<App>,
    pub(crate) doc: Doc,
}

fn route<H, T>(method: Method, filter: MethodFilter, path: &'static str, need: Need, handler: H) -> Route
where
    H: Handler<T, App>,
    T: 'static,
{
    Route { method, path, need, handler: on(filter, handler), doc: Doc::default() }
}

fn get<H: Handler<T, App>, T: 'static>(path: &'static str, need: Need, handler: H) -> Route {
    route(Method::GET, MethodFilter::GET, path, need, handler)
}

fn post<H: Handler<T, App>, T: 'static>(path: &'static str, need: Need, handler: H) -> Route {
    route(Method::POST, MethodFilter::POST, path, need, handler)
}

fn put<H: Handler<T, App>, T: 'static>(path: &'static str, need: Need, handler: H) -> Route {
    route(Method::PUT, MethodFilter::PUT, path, need, handler)
}

fn delete<H: Handler<T, App>, T: 'static>(path: &'static str, need: Need, handler: H) -> Route {
    route(Method::DELETE, MethodFilter::DELETE, path, need, handler)
}

impl Route {
    /// What it does.
    fn does(mut self, summary: &'static str) -> Self {
        self.doc.summary = summary;
        self
    }

    /// The body that it takes.
    fn takes(mut self, schema: Value) -> Self {
        self.doc.body = Some(schema);
        self
    }

    /// What it answers.
    fn gives(mut self, status: u16, schema: Value) -> Self {
        self.doc.answers.push((status, Some(schema)));
        self
    }

    /// It answers with a status alone.
    fn ends(mut self, status: u16) -> Self {
        self.doc.answers.push((status, None));
        self
    }

    /// A list of items.
    fn lists(mut self, rules: &'static Rules, item: &Value) -> Self {
        self.doc.list = Some(rules);
        self.gives(200, list_of(rules, item))
    }

    /// A parameter in the query.
    fn asks(mut self, name: &'static str, schema: Value, meaning: &'static str) -> Self {
        self.doc.query.push((name, schema, meaning));
        self
    }

    /// A log, with the parameters that all logs have.
    fn pages_of_a_log(self, orders: &'static [&'static str]) -> Self {
        let limit = json!({"type": "integer", "minimum": 1, "maximum": log_page::MOST, "default": log_page::USUAL});
        self.asks("sort", schema::one_of(orders), "The newest first, or the oldest")
            .asks("cursor", count(), "What `next` of the page before says")
            .asks("limit", limit, "Most lines of a page")
    }

    /// It makes something: a repetition with the same `Idempotency-Key` makes nothing twice.
    fn creates(mut self) -> Self {
        self.doc.creates = true;
        self
    }

    /// It changes something that has an `ETag`.
    fn edits(mut self) -> Self {
        self.doc.edits = true;
        self
    }

    /// The answer may be lines, too.
    fn streams(mut self) -> Self {
        self.doc.streams = true;
        self
    }

    /// Takes tokens that the table knows nothing of, and sees to them itself.
    fn authorizes_itself(mut self) -> Self {
        self.doc.own_authorization = true;
        self
    }

    /// The body is bytes of a kind.
    fn takes_bytes(mut self, kind: &'static str) -> Self {
        self.doc.body_type = Some(kind);
        self.takes(json!({}))
    }

    /// The body is lines of JSON.
    fn takes_lines(mut self) -> Self {
        self.doc.body_type = Some("application/x-ndjson");
        self.takes(text())
    }
}

/// All routes.
pub(crate) fn table() -> Vec<Route> {
    let mut table = accounts_and_host();
    table.extend(in_projects());
    table
}

fn accounts_and_host() -> Vec<Route> {
    use Need::{Account, Nobody, Operator, Somewhere, Tenant};
    vec![
        get("/openapi.json", Nobody, openapi::show).does("This document").gives(200, any_object()),
        post("/setup", Nobody, accounts::session::set_up)
            .does("Make the first operator, with the link of the first start")
            .takes(body(&[("token", text()), ("user", name()), ("password", text())], &[]))
            .gives(201, schema::session()),
        post("/session", Nobody, accounts::session::sign_in)
            .does("Sign in")
            .takes(body(&[("user", text()), ("password", text())], &[]))
            .gives(200, schema::session()),
        get("/session", Account, accounts::session::show)
            .does("Who asks, and what they may do")
            .gives(200, schema::session()),
        delete("/session", Account, accounts::session::sign_out).does("Sign out here").ends(204),
        delete("/sessions", Account, accounts::session::sign_out_everywhere).does("Sign out everywhere").ends(204),
        put("/password", Account, accounts::session::change_password)
            .does("Choose another password; all sessions end")
            .takes(body(&[("current", text()), ("password", text())], &[]))
            .ends(204),
        get("/users", Tenant(Admin), accounts::users::list)
            .does("Users")
            .lists(&accounts::users::LIST, &schema::user()),
        post("/users", Operator, accounts::users::create)
            .does("Make a user")
            .takes(new_user())
            .gives(201, schema::user())
            .creates(),
        get("/users/{user}", Tenant(Admin), accounts::users::show).does("One user").gives(200, schema::user()),
        put("/users/{user}", Operator, accounts::users::put)
            .does("Say whether a user runs the host")
            .takes(body(&[("operator", boolean())], &[]))
            .gives(200, schema::user())
            .edits(),
        delete("/users/{user}", Operator, accounts::users::delete)
            .does("Remove a user; their sessions end")
            .ends(204)
            .edits(),
        put("/users/{user}/password", Operator, accounts::users::set_password)
            .does("Give a user another password; their sessions end")
            .takes(body(&[("password", text())], &[]))
            .ends(204)
            .edits(),
        put("/users/{user}/roles", Tenant(Admin), accounts::users::set_roles)
            .does("Give a user these roles in the tenant, and no others there")
            .takes(body(&[("roles", schema::roles_wish())], &[]))
            .gives(200, schema::user())
            .edits(),
        get("/tokens", Tenant(Admin), tokens::list)
            .does("API tokens, without the tokens themselves")
            .lists(&tokens::LIST, &schema::token()),
        post("/tokens", Tenant(Admin), tokens::create)
            .does("Make an API token, which is told this once")
            .takes(new_token())
            .gives(201, schema::token())
            .creates(),
        delete("/tokens/{token}", Tenant(Admin), tokens::delete).does("Revoke an API token").ends(204).edits(),
        get("/audit", Tenant(Admin), accounts::audit::list)
            .does("Who changed what")
            .asks("actor", text(), "As in `user ada`, or `ada`")
            .asks("action", text(), "As in `put`")
            .asks("kind", schema::one_of(&AUDIT_KINDS), "About things of this kind")
            .asks("object", text(), "As in `project web`, or `web`; what is below it is found, too")
            .asks("search", text(), "Words that a line has in it, wherever; 16 at most")
            .asks("tenant", text(), "Its name")
            .asks("since", count(), "Seconds since the epoch")
            .asks("until", count(), "Seconds since the epoch")
            .pages_of_a_log(&accounts::audit::SORTS)
            .gives(200, object(&[("audit", array(&schema::audit_line()))], &[("next", maybe(&text()))])),
        get("/status", Somewhere(Viewer), status::status).does("How the server is doing").gives(
            200,
            object(
                &[
                    ("version", text()),
                    ("uptime_seconds", count()),
                    ("tenant", text()),
                    ("problem", maybe(&text())),
                    ("projects", count()),
                    ("metric_stores", count()),
                    ("events", any_object()),
                ],
                &[],
            ),
        ),
        get("/adapters", Account, adapters::list)
            .does("Adapters, in all versions")
            .lists(&adapters::LIST, &schema::adapter()),
        get("/adapters/{adapter}", Account, adapters::show)
            .does("One adapter: its settings, and what it may reach")
            .gives(200, schema::adapter()),
        post("/adapters", Operator, adapters::install)
            .does("Put an adapter into the folder: the component is the body")
            .takes_bytes("application/wasm")
            .asks("dry_run", openapi::switch(), "Only tell what would come of it")
            .asks("signature", text(), "The text of its signature: what minisign writes into *.wasm.minisig")
            .gives(200, schema::adapter())
            .gives(201, schema::adapter()),
        delete("/adapters/{adapter}", Operator, adapters::remove)
            .does("Remove the files of a version that no store uses")
            .ends(204),
        get("/tenants", Operator, projects::tenants)
            .does("Tenants")
            .lists(&projects::TENANTS, &object(&[("name", text())], &[])),
        post("/tenants", Operator, projects::create_tenant)
            .does("Make a tenant with its first API token, which is told this once")
            .takes(body(&[("name", name())], &[]))
            .gives(201, object(&[("name", text()), ("token", text())], &[]))
            .creates(),
        delete("/tenants/{tenant}", Operator, projects::delete_tenant)
            .does("Remove a tenant that has no projects")
            .ends(204)
            .edits(),
        get("/quotas", Somewhere(Viewer), quotas::own).does("What the tenant uses of what it may").gives(200, usage()),
        get("/tenants/{tenant}/quotas", Operator, quotas::show)
            .does("What a tenant uses of what it may")
            .gives(200, usage()),
        put("/tenants/{tenant}/quotas", Operator, quotas::put)
            .does("Say what a tenant may have; a bound that is left out is none")
            .takes(new_quotas())
            .gives(200, usage())
            .edits(),
        post("/apply", Tenant(Admin), apply::apply)
            .does("Bring projects, metric sets, metrics and stores to the state of a document")
            .asks("dry_run", openapi::switch(), "Only tell what would change")
            .takes(document())
            .gives(
                200,
                object(
                    &[("dry_run", boolean()), ("changes", array(&any_object())), ("tokens", array(&any_object()))],
                    &[],
                ),
            ),
        of_stores(get("/stores", Somewhere(Viewer), store_list::list_all).does("Metric stores of all projects")),
        get("/ledger", Somewhere(Viewer), ledger::status)
            .does("What each push store is owed; who waits longest first")
            .lists(&ledger::OWED, &object(&[("project", text()), ("store", text()), ("queued", count())], &[])),
        get("/ledger/gaps", Somewhere(Viewer), ledger::gaps).does("Windows that stores will never get, and why").lists(
            &ledger::GAPS,
            &object(&[("project", text()), ("store", text()), ("outcome", text()), ("reason", text())], &[]),
        ),
        post("/ledger/verify", Operator, ledger::verify)
            .does("Look whether the files are sound")
            .gives(200, object(&[("windows", count()), ("problems", array(&text()))], &[])),
        post("/ledger/backup", Operator, ledger::backup)
            .does("Copy catalog, ledger and events into a new folder")
            .gives(201, object(&[("backup", text()), ("bytes", count()), ("problems", array(&text()))], &[]))
            .creates(),
        get("/projects", Somewhere(Viewer), projects::list).does("Projects").lists(
            &projects::LIST,
            &object(&[("name", text()), ("retention", schema::retention()), ("events", any_object())], &[]),
        ),
        post("/projects", Tenant(Admin), projects::create)
            .does("Make a project with a submission token, which is told this once")
            .takes(body(&[("name", name())], &[]))
            .gives(201, object(&[("name", text()), ("submission_token", text())], &[]))
            .creates(),
        put("/projects/{project}", Tenant(Admin), projects::put)
            .does("Make sure that there is a project")
            .gives(200, object(&[("name", text())], &[]))
            .gives(201, object(&[("name", text()), ("submission_token", text())], &[])),
    ]
}

fn in_projects() -> Vec<Route> {
    use Need::{Nobody, Project};
    vec![
        post("/projects/{project}/events", Nobody, bulk::take)
            .does("Send events, one JSON object per line")
            .takes_lines()
            .gives(200, object(&[("taken", count()), ("duplicates", count()), ("refused", count())], &[]))
            .authorizes_itself(),
        get("/projects/{project}", Project(Viewer), projects::show).does("One project").gives(200, object(&[("name", text()), ("metric_sets", array(&text())), ("metric_stores", array(&text())), ("retention", schema::retention()), ("events", any_object())], &[])),
        delete("/projects/{project}", Project(Admin), projects::delete).does("Remove a project with all that is in it").ends(204).edits(),
        get("/projects/{project}/retention", Project(Viewer), projects::retention).does("How long events are kept").gives(200, schema::retention()),
        put("/projects/{project}/retention", Project(Admin), projects::set_retention).does("Say how long events are kept").takes(new_retention()).gives(200, schema::retention()).edits(),
        get("/projects/{project}/submission-tokens", Project(Admin), tokens::list_submission).does("Submission tokens, without the tokens themselves").lists(&tokens::SUBMISSION, &object(&[("id", count()), ("hint", text()), ("created", schema::moment())], &[])),
        post("/projects/{project}/submission-tokens", Project(Admin), tokens::create_submission).does("Make a submission token, which is told this once").gives(201, object(&[("id", count()), ("token", text())], &[])).creates(),
        delete("/projects/{project}/submission-tokens/{id}", Project(Admin), tokens::delete_submission).does("Revoke a submission token").ends(204).edits(),
        post("/projects/{project}/query", Project(Member), query::ask).does("Ask about events").asks("form", schema::one_of(&["tidegate", "backtrace"]), "The form of the answer").takes(any_object()).gives(200, any_object()).streams(),
        get("/projects/{project}/describe", Project(Member), query::describe).does("The attributes that queries can use").lists(&query::ATTRIBUTES, &object(&[("name", text()), ("types", array(&text())), ("format", maybe(&text()))], &[])),
        get("/projects/{project}/attributes", Project(Member), events::attributes).does("The attributes that events have").lists(&events::ATTRIBUTES, &object(&[("name", text()), ("types", array(&text()))], &[])),
        get("/projects/{project}/events/{object}", Project(Member), events::show).does("One event").gives(200, object(&[("object", text()), ("attributes", any_object())], &[])),
        post("/projects/{project}/metric-preview", Project(Member), preview::metric).does("What a query gives over the last windows").takes(body(&[("query", any_object())], &[("period", period()), ("windows", count())])).gives(200, object(&[("windows", array(&any_object()))], &[])),
        get("/projects/{project}/metric-sets", Project(Viewer), sets::list).does("Metric sets").lists(&sets::LIST, &schema::metric_set()),
        get("/projects/{project}/metric-sets/{set}", Project(Viewer), sets::show).does("One metric set").gives(200, schema::metric_set()),
        put("/projects/{project}/metric-sets/{set}", Project(Admin), sets::put).does("Make sure that there is a metric set").gives(200, schema::metric_set()).gives(201, schema::metric_set()).edits(),
        delete("/projects/{project}/metric-sets/{set}", Project(Admin), sets::delete).does("Remove a metric set with its metrics").ends(204).edits(),
        get("/projects/{project}/metric-sets/{set}/metrics/{metric}", Project(Viewer), sets::show_metric).does("One metric").gives(200, schema::metric()),
        put("/projects/{project}/metric-sets/{set}/metrics/{metric}", Project(Admin), sets::put_metric).does("Make sure that there is a metric with this query").takes(body(&[("query", any_object())], &[])).gives(200, schema::metric()).gives(201, schema::metric()).edits(),
        delete("/projects/{project}/metric-sets/{set}/metrics/{metric}", Project(Admin), sets::delete_metric).does("Remove a metric").ends(204).edits(),
        post("/projects/{project}/metric-sets/{set}/rename", Project(Admin), sets::rename).does("Give a metric set another name").takes(body(&[("name", name())], &[("rename_series", boolean())])).ends(204).edits(),
        post("/projects/{project}/metric-sets/{set}/metrics/{metric}/move", Project(Admin), sets::move_metric).does("Give a metric another name, or put it into another set").takes(body(&[], &[("metric_set", maybe(&text())), ("name", maybe(&name())), ("rename_series", boolean())])).gives(200, schema::metric()).edits(),
        get("/projects/{project}/metric-sets/{set}/windows/{at}", Project(Viewer), ledger::windows).does("What became of the windows that hold a moment, and which of them are not over").gives(200, object(&[("windows", array(&any_object())), ("in_progress", array(&object(&[("start", count()), ("end", count())], &[])))], &[])),
        of_stores(get("/projects/{project}/stores", Project(Viewer), store_list::list).does("Metric stores of a project")),
        get("/projects/{project}/stores/{store}", Project(Viewer), stores::show).does("One metric store").asks("reveal", openapi::switch(), "Show the password of its page, too").gives(200, schema::store()),
        put("/projects/{project}/stores/{store}", Project(Admin), stores::put).does("Make sure that there is a store like this").takes(schema::store_wish()).gives(200, schema::store()).gives(201, schema::store()).edits(),
        delete("/projects/{project}/stores/{store}", Project(Admin), stores::delete).does("Remove a store").asks("backlog", schema::one_of(&["drain", "expire"]), "What becomes of its queue").ends(204).gives(202, object(&[("queued", count())], &[])).edits(),
        get("/projects/{project}/stores/{store}/preview", Project(Viewer), preview::store).does("What the store would send or show next").gives(200, object(&[("parts", array(&any_object()))], &[])),
        get("/projects/{project}/stores/{store}/windows", Project(Viewer), store_history::windows)
            .does("What the store got, window by window")
            .asks("outcome", schema::one_of(&WINDOW_OUTCOMES), "Windows of which this became")
            .asks("metric_set", text(), "Windows of this metric set")
            .asks("since", count(), "Windows that begin at this second since the epoch or later")
            .asks("until", count(), "Windows that begin before this second since the epoch")
            .pages_of_a_log(&store_history::SORTS)
            .gives(200, object(&[("windows", array(&any_object()))], &[("next", text())])),
        post("/projects/{project}/stores/{store}/test", Project(Admin), store_history::test)
            .does("Send one labelled point")
            .gives(200, object(&[("accepted", json!({})), ("status", json!({})), ("reason", maybe(&text()))], &[])),
        get("/projects/{project}/stores/{store}/adapter", Project(Viewer), versions::show)
            .does("The version of its adapter that a store uses, and the others")
            .gives(200, object(&[("name", text()), ("versions", array(&any_object()))], &[])),
        post("/projects/{project}/stores/{store}/adapter/diff", Project(Admin), versions::diff)
            .does("What a store would send with another version")
            .takes(another_version())
            .gives(200, object(&[("to", any_object()), ("windows", array(&any_object()))], &[])),
        post("/projects/{project}/stores/{store}/adapter/upgrade", Project(Admin), versions::upgrade)
            .does("Have a store use another version")
            .takes(another_version())
            .gives(200, any_object())
            .edits(),
        post("/projects/{project}/stores/{store}/adapter/rollback", Project(Admin), versions::roll_back)
            .does("Have a store use the version before again")
            .gives(200, any_object())
            .edits(),
        post("/projects/{project}/stores/{store}/replay", Project(Admin), ledger::replay).does("The bytes of the past window that holds a moment, or of those that begin in a range (`windows`, and `next` if there are more); sends them again if asked to").takes(body(&[("metric_set", text())], &[("metric", maybe(&name())), ("at", count()), ("from", count()), ("to", count()), ("send", boolean())])).gives(200, any_object()),
        post("/projects/{project}/stores/{store}/rename", Project(Admin), stores::rename).does("Give a store another name").takes(body(&[("name", name())], &[])).ends(204).edits(),
        post("/projects/{project}/stores/{store}/pause", Project(Admin), stores::pause).does("Hold deliveries back").ends(204).edits(),
        post("/projects/{project}/stores/{store}/resume", Project(Admin), stores::resume).does("Let deliveries go on").ends(204).edits(),
        post("/projects/{project}/stores/{store}/check", Project(Admin), stores::check).does("Ask the sink whether it takes the settings").gives(200, object(&[("outcome", text()), ("reason", maybe(&text()))], &[])),
        post("/projects/{project}/stores/{store}/pull-token", Project(Admin), stores::rotate).does("Give a pull store a new URL and login").gives(200, object(&[("pull_path", maybe(&text()))], &[])).edits(),
    ]
}

fn period() -> Value {
    json!({"type": "integer", "minimum": 1, "maximum": 86_400})
}

fn new_user() -> Value {
    let optional = [("password", maybe(&text())), ("operator", boolean()), ("roles", schema::roles_wish())];
    body(&[("name", name())], &optional)
}

fn new_token() -> Value {
    let expires_in = json!({"type": "integer", "minimum": 1, "maximum": u32::MAX, "description": "Seconds"});
    let optional = [
        ("role", schema::role()),
        ("project", maybe(&text())),
        ("operator", boolean()),
        ("expires_in", maybe(&expires_in)),
    ];
    body(&[("name", name())], &optional)
}

fn new_retention() -> Value {
    let bound = |most: u64| maybe(&json!({"type": "integer", "minimum": 1, "maximum": most}));
    body(&[], &[("days", bound(u32::MAX.into())), ("megabytes", bound(u64::MAX))])
}

fn another_version() -> Value {
    body(&[], &[("to", maybe(&text())), ("consent", array(&text()))])
}

fn document() -> Value {
    let metric = body(&[("name", name()), ("query", any_object())], &[]);
    let set = body(&[("name", name())], &[("metrics", array(&metric))]);
    let mut store = schema::store_wish();
    store["properties"]["name"] = name();
    store["required"] = json!(["name", "adapter"]);
    let optional = [
        ("submission_tokens", array(&text())),
        ("retention", maybe(&new_retention())),
        ("metric_sets", array(&set)),
        ("metric_stores", array(&store)),
    ];
    body(&[], &[("projects", array(&body(&[("name", name())], &optional)))])
}

/// Used and limit of each quota, and what was set for this tenant.
fn usage() -> Value {
    let one = object(&[("limit", maybe(&count())), ("set", maybe(&count()))], &[("used", json!({"type": "number"}))]);
    object(&QUOTAS.map(|quota| (quota, one.clone())), &[])
}

fn new_quotas() -> Value {
    let bound = maybe(&json!({"type": "integer", "minimum": 0, "maximum": u32::MAX}));
    body(&[], &QUOTAS.map(|quota| (quota, bound.clone())))
}

/// What a tenant may have. Those from `adapter_time` on are limits of the server itself, which quotas can only make less.
const QUOTAS: [&str; 17] = [
    "projects",
    "metric_stores",
    "events_per_second",
    "stored_megabytes",
    "adapters",
    "evaluation_cpu",
    "query_cpu",
    "adapter_time",
    "adapter_memory",
    "adapter_output",
    "adapter_actions",
    "adapter_handles",
    "adapter_log_lines",
    "adapter_size",
    "adapter_cpu",
    "tenant_cpu",
    "tenant_instances",
];

/// Beside what all lists can do, one of stores tells what became of the newest windows.
fn of_stores(route: Route) -> Route {
    let recent = json!({"type": "integer", "minimum": 0, "maximum": store_list::MOST_RECENT, "default": 0});
    let route = route.asks("recent", recent, "Outcomes of so many windows with each store");
    route.lists(&store_list::LIST, &schema::store())
}
