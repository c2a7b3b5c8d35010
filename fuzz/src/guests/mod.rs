//! Targets that look at components and run them: files of strangers, and what crosses the border between a guest and the host.

mod made;
mod mirror;
mod puppet;
mod text;

use made::Bytes;
use serde_json::Map;
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tidegate_model::{BatchView, Period, Secret, SettingValue, Settings};
use tidegate_sandbox::{
    Action, Adapter, Called, Credential, Disposition, Limits, Outcome, Sandbox, SandboxOptions, Snapshot, Step,
    Verdict, builtin,
};

/// What no guest may ever hold.
const CANARY: &str = "canary-7741-secret";

fn sandbox() -> &'static Arc<Sandbox> {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    SANDBOX.get_or_init(|| {
        let options = SandboxOptions { max_instances: 4, describe: brief(), ..SandboxOptions::default() };
        Sandbox::new(options).unwrap_or_else(|error| panic!("{error}"))
    })
}

fn brief() -> Limits {
    Limits {
        call_time: Duration::from_millis(200),
        memory_bytes: 16 << 20,
        handles: 500,
        actions: 8,
        ..Limits::default()
    }
}

/// The adapters that travel inside the binary, and two small guests.
pub(crate) fn components() -> Vec<Vec<u8>> {
    let mut all: Vec<Vec<u8>> = builtin::COMPONENTS.iter().map(|(_, component)| component.to_vec()).collect();
    all.extend([puppet::component(), mirror::component()]);
    all
}

/// A file in the adapter folder: read, and nothing of it compiled or run.
pub(crate) fn inspection(bytes: &[u8]) {
    if let Err(error) = sandbox().inspect(bytes) {
        let told = error.to_string();
        assert!(told.len() < 20_000, "an error without an end");
        assert!(!told.chars().any(char::is_control), "{told:?}");
    }
}

/// The sandbox for one input alone: tests run side by side, and each looks whether it has left an instance behind.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A file in the adapter folder: read, inspected, compiled, described, and used if it is an adapter.
pub(crate) fn component(bytes: &[u8]) {
    let _alone = alone();
    let Ok(adapter) = sandbox().load(bytes) else { return };
    let settings = Arc::new(Settings::check(adapter.description(), &Map::new()).unwrap_or_default());
    let view = made::view(&mut Bytes::new(b"some rows for whatever adapter this is"));
    converse(&adapter, &settings, &view, bytes);
    if adapter.direction().pulls() {
        let snapshot = Snapshot { batches: vec![Arc::clone(&view.batch)], period: Period::default() };
        let _ = adapter.render(&settings, snapshot, vec![("accept".to_owned(), "*/*".to_owned())], &brief());
    }
    assert_eq!(sandbox().running(), 0, "an instance was left behind");
}

/// What a guest calls and answers, value by value: the input is the script of a guest that says whatever its script says.
pub(crate) fn calls(bytes: &[u8]) {
    let _alone = alone();
    static PUPPET: OnceLock<Arc<Adapter>> = OnceLock::new();
    let puppet = PUPPET.get_or_init(|| load(&puppet::component()));
    let Some((&first, script)) = bytes.split_first() else { return };
    let settings =
        Arc::new(Settings::trusted(puppet::settings(&script[..script.len().min(puppet::MOST_BYTES)], CANARY)));
    // Some thirty rows in three metrics, unless the first byte wants none.
    let rows: &[u8] = if first & 1 == 0 { b"\x03\x00a\x0c\x0b\x02\x01d\x02\x01x\x01y\x02\x01v" } else { b"" };
    let view = made::view(&mut Bytes::new(rows));
    if first & 2 == 0 {
        converse(puppet, &settings, &view, script);
    } else {
        let headers = vec![("accept".to_owned(), "*/*".to_owned())];
        let snapshot = Snapshot { batches: vec![Arc::clone(&view.batch)], period: Period::default() };
        let rendered = puppet.render(&settings, snapshot, headers, &brief());
        within(&rendered);
        if let Ok(page) = rendered.result {
            assert!(page.content_type.chars().all(|c| matches!(c, ' '..='~')), "{:?}", page.content_type);
            no_canary(&page.body.concat(), script);
        }
    }
    assert_eq!(sandbox().running(), 0, "an instance was left behind");
}

/// What the host hands to a guest: the input becomes a batch, and a guest sends all that it reads back, byte by byte.
pub(crate) fn columns(bytes: &[u8]) {
    let _alone = alone();
    static MIRROR: OnceLock<Arc<Adapter>> = OnceLock::new();
    let mirror = MIRROR.get_or_init(|| load(&mirror::component()));
    let view = made::view(&mut Bytes::new(bytes));
    let settings = Arc::new(Settings::trusted(puppet::settings(b"", CANARY)));
    let begun = mirror.begin(&settings, view.clone(), &Limits { call_time: Duration::from_secs(20), ..brief() });
    within(&begun);
    match begun.result {
        Ok(Step::Act(_, Action::Send(request))) => {
            let (sent, expected) = (request.body.concat(), mirror::expected(&view));
            assert!(sent == expected, "the guest read something else: {view:?}");
        }
        other => panic!("the mirror did not send: {other:?}"),
    }
}

fn load(component: &[u8]) -> Arc<Adapter> {
    sandbox().load(component).unwrap_or_else(|error| panic!("{error}"))
}

/// A delivery to its end. `input` is what the sink answers.
fn converse(adapter: &Arc<Adapter>, settings: &Arc<Settings>, view: &BatchView, input: &[u8]) {
    if !adapter.direction().pushes() {
        return;
    }
    let mut called = adapter.begin(settings, view.clone(), &brief());
    for step in 0..=brief().actions {
        within(&called);
        match called.result {
            Ok(Step::Act(conversation, action)) => {
                allowed(adapter, &action, input);
                let status = (step % 3 != 2).then_some([200, 429][step as usize % 2]);
                let failure = status.is_none().then(|| "timed out".to_owned());
                let headers = vec![("retry-after".to_owned(), "7".to_owned())];
                called = conversation.step(Outcome { status, failure, headers, body: input.to_vec().into() });
            }
            Ok(Step::Done(verdict)) => return judged(&verdict, view),
            Err(fault) => {
                let told = fault.to_string();
                assert!(told.len() < 20_000 && !told.chars().any(char::is_control), "{told:?}");
                return;
            }
        }
    }
    panic!("more actions than the limit");
}

fn within<T>(called: &Called<T>) {
    let (used, limits) = (&called.usage, brief());
    assert!(used.memory_peak <= limits.memory_bytes, "{used:?}");
    assert!(used.output_bytes <= limits.output_bytes && used.handles_peak <= limits.handles, "{used:?}");
}

/// An action names what the adapter described and nothing else, and cannot break out of its place on the wire.
fn allowed(adapter: &Adapter, action: &Action, input: &[u8]) {
    let description = adapter.description();
    assert!(description.endpoints.iter().any(|e| e.key() == action.endpoint()), "{:?}", action.endpoint());
    let Action::Send(request) = action else { return };
    assert!(request.path.is_empty() || request.path.starts_with('/'), "{:?}", request.path);
    assert!(!request.path.split('/').any(|segment| matches!(segment, "." | "..")), "{:?}", request.path);
    let mut names = HashSet::new();
    for (name, value) in &request.headers {
        assert!(names.insert(name.as_str()), "header {name} is there twice");
        let token = name.bytes().all(|b| b.is_ascii_graphic() && !b.is_ascii_uppercase() && !b"():;,/\"@".contains(&b));
        assert!(token && !name.is_empty() && value.bytes().all(|b| matches!(b, b' '..=b'~')), "{name:?}: {value:?}");
        let hosts = ["host", "content-length", "transfer-encoding", "connection", "authorization", "cookie", "te"];
        assert!(!hosts.contains(&name.as_str()), "{name}");
    }
    for credential in &request.credentials {
        let slots: &[&String] = match credential {
            Credential::Header { slot, .. } => &[slot],
            Credential::Basic { user_key, password_key } => &[user_key, password_key],
        };
        assert!(slots.iter().all(|slot| description.setting(slot).is_some()), "{credential:?}");
    }
    no_canary(&request.body.concat(), input);
    no_canary(format!("{request:?}").as_bytes(), input);
}

/// The input may spell the canary by itself: a fuzzer that sees comparisons finds it.
fn no_canary(sent: &[u8], input: &[u8]) {
    let holds = |bytes: &[u8]| bytes.windows(CANARY.len()).any(|window| window == CANARY.as_bytes());
    assert!(!holds(sent) || holds(input), "a secret came out of a guest");
}

/// A verdict speaks of rows that exist, each once.
fn judged(verdict: &Verdict, view: &BatchView) {
    let mut named = HashSet::new();
    for group in &verdict.rejected {
        let metric = &view.batch.metrics[group.metric as usize];
        assert!(
            group.rows.iter().all(|row| *row < metric.live_rows && named.insert((group.metric, *row))),
            "{group:?}"
        );
        assert!(!group.reason.chars().any(char::is_control), "{:?}", group.reason);
    }
    let whole = !matches!(verdict.disposition, Disposition::Accepted | Disposition::Rejected(_));
    assert!(!whole || verdict.rejected.is_empty(), "{verdict:?}");
    assert!(!verdict.notes.iter().any(|note| note.chars().any(char::is_control)), "{:?}", verdict.notes);
}

/// Settings as a store keeps them, from their keys.
fn kept(values: impl IntoIterator<Item = (&'static str, String)>, secret: &str) -> Vec<(String, SettingValue)> {
    let texts = values.into_iter().map(|(key, text)| (key.to_owned(), SettingValue::Text(text)));
    texts.chain([("token".to_owned(), SettingValue::Secret(Secret::new(secret.to_owned())))]).collect()
}
