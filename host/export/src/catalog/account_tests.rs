//! Users, sessions, tokens with an end, and the log of changes.

use super::*;
use serde_json::json;
use tidegate_model::{ManualClock, Secret};

const HOUR: u64 = 3_600_000_000;

fn catalog() -> (Catalog, Arc<ManualClock>, tempfile::TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at(Instant::from_seconds(1_000_000)));
    let catalog = Catalog::open(&dir.path().join("tidegate.db"), clock.clone()).unwrap();
    (catalog, clock, dir)
}

fn secret(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

fn user(catalog: &Catalog, name: &str, operator: bool) -> User {
    catalog.edit_accounts(|e| e.create_user(name, Some(&secret("$argon2id$")), operator)).unwrap()
}

fn sign_in(catalog: &Catalog, user: &User) -> Secret {
    catalog.edit_accounts(|e| e.create_session(user.id, HOUR, 10 * HOUR)).unwrap()
}

#[test]
fn a_session_ends_when_it_is_idle_for_too_long_and_however_busy_when_it_is_too_old() {
    let (catalog, clock, _dir) = catalog();
    let token = sign_in(&catalog, &user(&catalog, "ada", false));
    let who = || catalog.session_access(token.expose(), HOUR, 10 * HOUR).map(|a| a.actor.to_string());
    for _ in 0..10 {
        assert_eq!(who().as_deref(), Some("user ada"));
        clock.advance(3_599);
    }
    assert_eq!(who().as_deref(), Some("user ada"));
    clock.advance(10);
    assert_eq!(who(), None, "ten hours old");
    let token = sign_in(&catalog, &catalog.read(|v| v.user_named("ada")).unwrap());
    clock.advance(3_600);
    assert!(catalog.session_access(token.expose(), HOUR, 10 * HOUR).is_none(), "an hour idle");
}

#[test]
fn that_a_session_was_used_outlives_the_process_to_the_minute() {
    let (catalog, clock, dir) = catalog();
    let token = sign_in(&catalog, &user(&catalog, "ada", false));
    clock.advance(3_000);
    assert!(catalog.session_access(token.expose(), HOUR, 10 * HOUR).is_some());
    drop(catalog);
    clock.advance(3_000);
    let catalog = Catalog::open(&dir.path().join("tidegate.db"), clock).unwrap();
    assert!(catalog.session_access(token.expose(), HOUR, 10 * HOUR).is_some());
}

#[test]
fn a_new_password_the_end_of_the_account_and_signing_out_end_sessions_at_once() {
    let (catalog, _clock, _dir) = catalog();
    let ada = user(&catalog, "ada", false);
    let valid = |token: &Secret| catalog.session_access(token.expose(), HOUR, HOUR).is_some();
    let (one, two) = (sign_in(&catalog, &ada), sign_in(&catalog, &ada));
    catalog.edit_accounts(|e| e.end_session(one.expose())).unwrap();
    assert!(!valid(&one) && valid(&two));
    catalog.edit_accounts(|e| e.set_password(ada.id, &secret("$argon2id$2"))).unwrap();
    assert!(!valid(&two));
    let three = sign_in(&catalog, &ada);
    catalog.edit_accounts(|e| e.end_sessions(ada.id)).unwrap();
    assert!(!valid(&three));
    let four = sign_in(&catalog, &ada);
    catalog.edit_accounts(|e| e.delete_user(&ada)).unwrap();
    assert!(!valid(&four));
}

#[test]
fn a_role_that_is_taken_away_is_gone_from_a_session_at_once_and_goes_with_its_project() {
    let (catalog, _clock, _dir) = catalog();
    let ada = user(&catalog, "ada", false);
    let token = sign_in(&catalog, &ada);
    let (tenant, web) = catalog
        .edit(|e| {
            let tenant = e.tenant_named(DEFAULT_TENANT)?.id;
            Ok((tenant, e.create_project(tenant, "web")?.id))
        })
        .unwrap();
    let grant = Grant { tenant, project: Some(web), role: Role::Admin };
    let role = || catalog.session_access(token.expose(), HOUR, HOUR).unwrap().role_in(tenant, web);
    assert_eq!(role(), None);
    catalog.edit_accounts(|e| e.set_roles(&ada, tenant, &[grant])).unwrap();
    assert_eq!(role(), Some(Role::Admin));
    let twice = catalog.edit_accounts(|e| e.set_roles(&ada, tenant, &[grant, grant])).unwrap_err().to_string();
    assert!(twice.contains("named twice"), "{twice}");
    catalog.edit_accounts(|e| e.set_roles(&ada, tenant, &[])).unwrap();
    assert_eq!(role(), None);
    catalog.edit_accounts(|e| e.set_roles(&ada, tenant, &[grant])).unwrap();
    catalog.edit(|e| e.delete_project(web)).unwrap();
    assert_eq!(catalog.read(|v| v.grants(ada.id)).unwrap(), []);
}

#[test]
fn the_last_operator_who_can_sign_in_stays() {
    let (catalog, _clock, _dir) = catalog();
    let ada = user(&catalog, "ada", true);
    let told = catalog.edit_accounts(|e| e.delete_user(&ada)).unwrap_err().to_string();
    assert!(told.contains("only operator"), "{told}");
    assert!(catalog.edit_accounts(|e| e.set_operator(&ada, false)).is_err());
    user(&catalog, "bob", true);
    catalog.edit_accounts(|e| e.delete_user(&ada)).unwrap();
}

#[test]
fn the_link_of_the_first_start_works_once_and_not_when_there_are_users() {
    let (catalog, _clock, _dir) = catalog();
    let old = catalog.edit_accounts(|e| e.create_setup_link()).unwrap().unwrap();
    let new = catalog.edit_accounts(|e| e.create_setup_link()).unwrap().unwrap();
    let works = |token: &Secret| catalog.edit_accounts(|e| e.use_setup_link(token.expose())).unwrap();
    assert!(!works(&old), "the next start makes another");
    assert!(works(&new) && !works(&new));
    user(&catalog, "ada", true);
    assert!(catalog.edit_accounts(|e| e.create_setup_link()).unwrap().is_none());
}

#[test]
fn a_token_opens_what_it_was_made_for_until_it_expires() {
    let (catalog, clock, _dir) = catalog();
    let (tenant, web, other) = catalog
        .edit(|e| {
            let tenant = e.tenant_named(DEFAULT_TENANT)?.id;
            Ok((tenant, e.create_project(tenant, "web")?.id, e.create_project(tenant, "other")?.id))
        })
        .unwrap();
    let token = catalog.edit(|e| {
        let spec =
            TokenSpec { project: Some(web), role: Role::Member, expires: Some(e.after(60)), ..TokenSpec::admin("ci") };
        e.create_api_token(tenant, &spec)
    });
    let token = token.unwrap();
    let access = catalog.api_access(token.expose()).unwrap();
    assert_eq!(access.role_in(tenant, web), Some(Role::Member));
    assert_eq!((access.role_in(tenant, other), access.role_over(tenant), access.operator), (None, None, false));
    clock.advance(59);
    assert!(catalog.api_access(token.expose()).is_some());
    clock.advance(1);
    assert!(catalog.api_access(token.expose()).is_none());
}

#[test]
fn passwords_sessions_and_links_are_not_in_the_file_as_they_are() {
    let (catalog, _clock, dir) = catalog();
    let link = catalog.edit_accounts(|e| e.create_setup_link()).unwrap().unwrap();
    let session = sign_in(&catalog, &user(&catalog, "ada", true));
    drop(catalog);
    let all: Vec<u8> =
        std::fs::read_dir(dir.path()).unwrap().flat_map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
    let holds = |text: &str| all.windows(text.len()).any(|w| w == text.as_bytes());
    assert!(holds("$argon2id$"), "the search finds what is there");
    assert!(!holds(session.expose()) && !holds(link.expose()));
}

fn write(catalog: &Catalog, tenant: Option<TenantId>, actor: &str, subject: &Subject) {
    let (before, after) = (None, Some(json!({"n": 1})));
    let entry = AuditEntry { tenant, actor, address: None, action: "put", subject, before, after, details: &[] };
    catalog.edit_accounts(|e| e.record(&entry)).unwrap();
}

#[test]
fn the_log_is_read_newest_first_by_tenant_actor_thing_and_time() {
    let (catalog, clock, _dir) = catalog();
    let ours = catalog.read(|v| v.tenant_named(DEFAULT_TENANT)).unwrap().id;
    let theirs = catalog.edit(|e| e.create_tenant("acme")).unwrap().id;
    write(&catalog, Some(ours), "user ada", &Subject::Project("web".to_owned()));
    clock.advance(10);
    write(&catalog, Some(ours), "user bob", &Subject::Store("web".to_owned(), "50%_x".to_owned()));
    write(&catalog, Some(theirs), "user eve", &Subject::Project("web".to_owned()));
    write(&catalog, Some(ours), "user bob", &Subject::Project("webshop".to_owned()));
    let objects = |filter: AuditFilter| -> Vec<String> {
        let lines = catalog.read(|v| v.audit(&AuditFilter { limit: 10, ..filter })).unwrap();
        lines.into_iter().map(|l| format!("{} {}", l.actor, l.object)).collect()
    };
    let of =
        |object: &str| AuditFilter { tenant: Some(ours), object: Some(object.to_owned()), ..AuditFilter::default() };
    assert_eq!(objects(AuditFilter::default()).len(), 4);
    assert_eq!(objects(of("project web")), ["user bob metric-store web/50%_x", "user ada project web"]);
    assert_eq!(objects(of("web/50%_x")), ["user bob metric-store web/50%_x"]);
    assert_eq!(objects(of("web/50x_x")), [""; 0]);
    assert_eq!(objects(AuditFilter { tenant: Some(theirs), ..AuditFilter::default() }), ["user eve project web"]);
    let by = AuditFilter { actor: Some("user bob".to_owned()), ..AuditFilter::default() };
    assert_eq!(objects(by).len(), 2);
    let by = AuditFilter { actor: Some("bob".to_owned()), ..AuditFilter::default() };
    assert_eq!(objects(by).len(), 2, "by the name alone");
    let of_kind = |kind: &str| AuditFilter { kind: Some(kind.to_owned()), ..AuditFilter::default() };
    assert_eq!((objects(of_kind("metric-store")).len(), objects(of_kind("metric")).len()), (1, 0));
    let with = |words: &[&str]| {
        let words = words.iter().map(|word| (*word).to_owned()).collect();
        objects(AuditFilter { tenant: Some(ours), words, ..AuditFilter::default() })
    };
    assert_eq!(with(&["BOB", "50%_"]), ["user bob metric-store web/50%_x"]);
    assert_eq!((with(&["50x"]), with(&["ada", "bob"])), (vec![], vec![]));
    assert_eq!(with(&["\"n\":1"]).len(), 3, "what it looked like is searched, too");
    let until = AuditFilter { until: Some(Instant::from_seconds(1_000_010)), ..AuditFilter::default() };
    assert_eq!(objects(until), ["user ada project web"]);
    let lines = catalog.read(|v| v.audit(&AuditFilter { limit: 2, ..AuditFilter::default() })).unwrap();
    let rest = AuditFilter { after_id: Some(lines[1].id), ..AuditFilter::default() };
    assert_eq!((lines.len(), objects(rest).len()), (2, 2));
    let forwards = AuditFilter { oldest_first: true, after_id: Some(lines[1].id), ..AuditFilter::default() };
    assert_eq!(objects(forwards), ["user bob project webshop"]);
    assert_eq!(lines[0].after, Some(json!({"n": 1})));
}

#[test]
fn a_thing_of_one_kind_is_not_taken_for_one_of_another_that_has_its_name() {
    let (catalog, _clock, _dir) = catalog();
    let ours = catalog.read(|v| v.tenant_named(DEFAULT_TENANT)).unwrap().id;
    for subject in [
        Subject::User("web shop".to_owned()),
        Subject::Project("web shop".to_owned()),
        Subject::Store("web shop".to_owned(), "central".to_owned()),
        Subject::Metric("web shop".to_owned(), "central".to_owned(), "errors".to_owned()),
    ] {
        write(&catalog, Some(ours), "user ada", &subject);
        assert!(AUDIT_KINDS.contains(&subject.words().split(' ').next().unwrap()));
    }
    let about = |object: &str| -> Vec<String> {
        let filter = AuditFilter { object: Some(object.to_owned()), limit: 10, ..AuditFilter::default() };
        catalog.read(|v| v.audit(&filter)).unwrap().into_iter().map(|l| l.object).collect()
    };
    let below = ["metric web shop/central/errors", "metric-store web shop/central", "project web shop"];
    assert_eq!(about("project web shop"), below);
    assert_eq!(about("metric-set web shop/central"), ["metric web shop/central/errors"]);
    assert_eq!(about("user web shop"), ["user web shop"]);
    assert_eq!(about("metric-store web shop/central"), ["metric-store web shop/central"]);
    assert_eq!(about("web shop/central"), ["metric web shop/central/errors", "metric-store web shop/central"]);
    assert_eq!(about("web shop").len(), 4);
}

#[test]
fn lines_are_kept_for_four_hundred_days() {
    let (catalog, clock, _dir) = catalog();
    let count = || catalog.read(|v| v.audit(&AuditFilter { limit: 100, ..AuditFilter::default() })).unwrap().len();
    for _ in 0..3 {
        write(&catalog, None, "user ada", &Subject::Host);
    }
    clock.advance(400 * 86_400);
    write(&catalog, None, "user ada", &Subject::Host);
    assert_eq!(count(), 4);
    clock.advance(1);
    write(&catalog, None, "user ada", &Subject::Host);
    assert_eq!(count(), 2);
}
