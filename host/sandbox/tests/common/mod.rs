//! Guests in the text format, and batches for them.
//!
//! A hostile guest must do exactly one wrong thing, which a compiler would not let it do. So it is written by hand: a core
//! module in text form, wrapped into a component the same way as real adapters are.

#![allow(dead_code, unreachable_pub, reason = "each test program uses a part of it")]

use std::fmt::Write as _;
use std::sync::{Arc, OnceLock};
use tidegate_model::{
    Aggregate, Batch, BatchView, Dimension, MeasureColumn, MetricBatch, Name, Period, Secret, SettingValue, Settings,
    Window,
};
use tidegate_sandbox::{Adapter, Called, Fault, Limits, LoadError, Sandbox, SandboxOptions, Step, Verdict};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// Everything that the contract offers, by the names that bodies of guests use.
const IMPORTS: &[(&str, &str, &str)] = &[
    ("$request", "[constructor]request", "(param i32 i32 i32 i32) (result i32)"),
    ("$path", "[method]request.path", "(param i32 i32 i32)"),
    ("$query", "[method]request.query", "(param i32 i32 i32 i32 i32)"),
    ("$header", "[method]request.header", "(param i32 i32 i32 i32 i32)"),
    ("$credential", "[method]request.credential", "(param i32 i32 i32 i32 i32 i32 i32)"),
    ("$basic-auth", "[method]request.basic-auth", "(param i32 i32 i32 i32 i32)"),
    ("$gzip", "[method]request.gzip", "(param i32)"),
    ("$write", "[method]request.write", "(param i32 i32 i32)"),
    ("$drop-request", "[resource-drop]request", "(param i32)"),
    ("$stream", "[constructor]tcp-stream", "(param i32 i32) (result i32)"),
    ("$stream-write", "[method]tcp-stream.write", "(param i32 i32 i32)"),
    ("$verdict", "[constructor]verdict", "(result i32)"),
    ("$reject-rows", "[method]verdict.reject-rows", "(param i32 i32 i32 i32 i32 i32)"),
    ("$reject", "[method]verdict.reject", "(param i32 i32 i32)"),
    ("$retry", "[method]verdict.retry", "(param i32 i32 i32 i32 i32)"),
    ("$split", "[method]verdict.split", "(param i32 i32 i32)"),
    ("$stop", "[method]verdict.stop", "(param i32 i32 i32)"),
    ("$note", "[method]verdict.note", "(param i32 i32 i32)"),
    ("$text", "[method]settings.text", "(param i32 i32 i32 i32)"),
    ("$is-set", "[method]settings.is-set", "(param i32 i32 i32) (result i32)"),
    ("$all", "[method]settings.all", "(param i32 i32)"),
    ("$settings-packed", "[method]settings.packed", "(param i32 i32)"),
    ("$drop-settings", "[resource-drop]settings", "(param i32)"),
    ("$window-end", "[method]batch.window-end", "(param i32) (result i64)"),
    ("$metrics", "[method]batch.metrics", "(param i32 i32)"),
    ("$batch-packed", "[method]batch.packed", "(param i32 i32 i32)"),
    ("$drop-batch", "[resource-drop]batch", "(param i32)"),
    ("$rows", "[method]metric.rows", "(param i32) (result i32)"),
    ("$live-rows", "[method]metric.live-rows", "(param i32) (result i32)"),
    ("$whole", "[method]metric.whole", "(param i32) (result i32)"),
    ("$first-row", "[method]metric.first-row", "(param i32) (result i32)"),
    ("$dictionary", "[method]metric.dictionary", "(param i32 i32 i32)"),
    ("$codes", "[method]metric.codes", "(param i32 i32 i32)"),
    ("$measures", "[method]metric.measures", "(param i32 i32)"),
    ("$values", "[method]measure.values", "(param i32 i32)"),
    ("$totals", "[method]measure.totals", "(param i32 i32)"),
    ("$status", "[method]outcome.status", "(param i32 i32)"),
    ("$drop-outcome", "[resource-drop]outcome", "(param i32)"),
    ("$batches", "[method]snapshot.batches", "(param i32 i32)"),
    ("$drop-snapshot", "[resource-drop]snapshot", "(param i32)"),
    ("$scrape-header", "[method]scrape.header", "(param i32 i32 i32 i32)"),
    ("$drop-scrape", "[resource-drop]scrape", "(param i32)"),
    ("$page", "[constructor]page", "(param i32 i32) (result i32)"),
    ("$page-write", "[method]page.write", "(param i32 i32 i32)"),
];

/// Allocation, strings and the answers that every guest needs. Address 0 to 1023 is for return areas.
const PRELUDE: &str = r#"
  (global $heap (mut i32) (i32.const 65536))
  (global $lie (mut i32) (i32.const 0))
  (func $realloc (export "cabi_realloc") (param $old i32) (param $olds i32) (param $align i32) (param $new i32) (result i32)
    (local $at i32)
    (if (i32.eq (global.get $lie) (i32.const -1)) (then (call $spin)))
    (if (i32.eq (global.get $lie) (i32.const -2)) (then (drop (call $verdict))))
    (if (global.get $lie) (then (return (global.get $lie))))
    (local.set $at (i32.and
      (i32.add (global.get $heap) (i32.sub (local.get $align) (i32.const 1)))
      (i32.sub (i32.const 0) (local.get $align))))
    (global.set $heap (i32.add (local.get $at) (local.get $new)))
    (block $fits
      (br_if $fits (i32.le_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536))))
      (br_if $fits (i32.ne (i32.const -1) (memory.grow
        (i32.add (i32.const 1) (i32.shr_u (i32.sub (global.get $heap) (i32.mul (memory.size) (i32.const 65536))) (i32.const 16))))))
      (unreachable))
    (local.get $at))
  (func $answer (param $case i32) (param $handle i32) (result i32)
    (i32.store8 (i32.const 16) (local.get $case))
    (i32.store (i32.const 20) (local.get $handle))
    (i32.const 16))
  (func $send (param i32) (result i32) (call $answer (i32.const 0) (local.get 0)))
  (func $send-stream (param i32) (result i32) (call $answer (i32.const 1) (local.get 0)))
  (func $done (param i32) (result i32) (call $answer (i32.const 2) (local.get 0)))
  (func $accept (result i32) (call $done (call $verdict)))
  (func $post (result i32) (call $request @"out" @"POST"))
  (func $spin (loop $again (br $again)))
"#;

/// A guest in the making: what each of its functions does, in text. `@"..."` stands for the address and length of a string.
#[derive(Clone)]
pub struct Guest {
    pub world: &'static str,
    pub description: String,
    pub describe: String,
    pub constructor: String,
    pub begin: String,
    pub step: String,
    pub render: String,
    pub start: String,
    pub extra: String,
    pub pages: u32,
}

/// The description that guests have unless they say otherwise: two endpoints, a secret, and settings of each kind.
pub const DESCRIPTION: &str = r#"{"name":"guest","version":"1.0.0","settings":[
 {"key":"url","label":"URL","kind":"url"},{"key":"hook","label":"Hook","kind":"secret-url"},
 {"key":"host","label":"Host","kind":"host"},{"key":"port","label":"Port","kind":"port"},
 {"key":"user","label":"User","kind":"text"},{"key":"token","label":"Token","kind":"secret"},
 {"key":"spare","label":"Spare","kind":"secret"},{"key":"other","label":"Other","kind":"url"}],
 "endpoints":[{"key":"out","kind":"http","url":"{url}"},{"key":"unset","kind":"http","url":"{other}"},
 {"key":"line","kind":"tcp","host":"host","port":"port"}]}"#;

impl Default for Guest {
    /// A push adapter that accepts everything.
    fn default() -> Self {
        Self {
            world: "push-adapter",
            description: DESCRIPTION.to_owned(),
            describe: String::new(),
            constructor: String::new(),
            begin: "(call $accept)".to_owned(),
            step: "(call $accept)".to_owned(),
            render: "(call $answer (i32.const 0) (call $page @\"text/plain\"))".to_owned(),
            start: String::new(),
            extra: String::new(),
            pages: 2,
        }
    }
}

impl Guest {
    /// A push adapter that begins with `begin`.
    pub fn begin(begin: &str) -> Self {
        Self { begin: begin.to_owned(), ..Self::default() }
    }

    /// A pull adapter that renders by `render`.
    pub fn render(render: &str) -> Self {
        Self { world: "pull-adapter", render: render.to_owned(), ..Self::default() }
    }

    /// The component.
    pub fn component(&self) -> Vec<u8> {
        self.component_in(StringEncoding::UTF8)
    }

    /// The component, with texts in `encoding`.
    pub fn component_in(&self, encoding: StringEncoding) -> Vec<u8> {
        wrap_in(&self.text(), self.world, encoding)
    }

    /// The core module.
    pub fn text(&self) -> String {
        let mut text = String::from("(module\n");
        for (name, import, signature) in IMPORTS {
            writeln!(text, r#"(import "tidegate:adapter/model@1.0.0" "{import}" (func {name} {signature}))"#).unwrap();
        }
        if self.world != "pull-adapter" {
            let from = "[export]tidegate:adapter/push@1.0.0";
            writeln!(text, r#"(import "{from}" "[resource-new]delivery" (func $delivery (param i32) (result i32)))"#)
                .unwrap();
        }
        writeln!(text, r#"(memory (export "memory") {})"#, self.pages).unwrap();
        text.push_str(PRELUDE);
        let Self { describe, constructor, begin, step, render, start, extra, .. } = self;
        text.push_str(extra);
        if !start.is_empty() {
            writeln!(text, "(func $start {start}) (start $start)").unwrap();
        }
        let described = escaped(&self.description);
        writeln!(
            text,
            r#"(func $told (param $at i32) (param $length i32) (result i32)
                 (i32.store (i32.const 8) (local.get $at)) (i32.store (i32.const 12) (local.get $length)) (i32.const 8))
               (func (export "tidegate:adapter/about@1.0.0#describe") (result i32) {describe} (call $told @"{described}"))"#
        )
        .unwrap();
        if self.world != "pull-adapter" {
            writeln!(
                text,
                r#"(func (export "tidegate:adapter/push@1.0.0#[constructor]delivery") (param $settings i32) (result i32)
                     {constructor} (call $drop-settings (local.get $settings)) (call $delivery (i32.const 1)))
                   (func $begin (param $batch i32) (result i32) (local $a i32) (local $b i32) (local $i i32) {begin})
                   (func (export "tidegate:adapter/push@1.0.0#[method]delivery.begin") (param i32 i32) (result i32)
                     (call $begin (local.get 1)) (call $drop-batch (local.get 1)))
                   (func $step (param $outcome i32) (result i32) (local $a i32) {step})
                   (func (export "tidegate:adapter/push@1.0.0#[method]delivery.step") (param i32 i32) (result i32)
                     (call $step (local.get 1)) (call $drop-outcome (local.get 1)))"#
            )
            .unwrap();
        }
        if self.world != "push-adapter" {
            writeln!(
                text,
                r#"(func $render (param $settings i32) (param $snapshot i32) (param $scrape i32) (result i32) (local $a i32) {render})
                   (func (export "tidegate:adapter/pull@1.0.0#render") (param i32 i32 i32) (result i32)
                     (call $render (local.get 0) (local.get 1) (local.get 2))
                     (call $drop-settings (local.get 0)) (call $drop-snapshot (local.get 1)) (call $drop-scrape (local.get 2)))"#
            )
            .unwrap();
        }
        text.push_str("\n)");
        with_strings(&text)
    }
}

fn escaped(text: &str) -> String {
    text.bytes().map(|b| format!("\\{b:02x}")).collect()
}

/// Replaces each `@"..."` by the address and length of a string that is laid down from 1024 on.
fn with_strings(text: &str) -> String {
    let (mut out, mut data, mut at) = (String::new(), String::new(), 1024);
    let mut rest = text;
    while let Some(start) = rest.find("@\"") {
        out.push_str(&rest[..start]);
        let literal = &rest[start + 2..];
        let end = literal.find('"').expect("a closing quotation mark");
        let literal = &literal[..end];
        // Every escape is a backslash and two digits.
        let length = literal.len() - 2 * literal.matches('\\').count();
        write!(out, "(i32.const {at}) (i32.const {length})").unwrap();
        writeln!(data, "(data (i32.const {at}) \"{literal}\")").unwrap();
        // Texts of two-byte characters have to begin at even addresses.
        at += length.next_multiple_of(2);
        rest = &rest[start + 2 + end + 1..];
    }
    assert!(at < 60_000, "strings of a guest must end before its heap");
    out.push_str(rest.trim_end().strip_suffix(')').expect("a module"));
    out + &data + ")"
}

/// Wraps the core module `text` into a component of `world`.
pub fn wrap(text: &str, world: &str) -> Vec<u8> {
    wrap_in(text, world, StringEncoding::UTF8)
}

fn wrap_in(text: &str, world: &str, encoding: StringEncoding) -> Vec<u8> {
    let mut module = wat::parse_str(text).unwrap_or_else(|error| panic!("{error}"));
    let mut resolve = Resolve::default();
    let contract = concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit/v1/adapter.wit");
    let package = resolve.push_file(contract).expect("the contract");
    let world = resolve.select_world(&[package], Some(world)).expect("a world of the contract");
    embed_component_metadata(&mut module, &resolve, world, encoding, false).expect("metadata");
    let mut encoder = ComponentEncoder::default();
    encoder.module(&module).and_then(|e| e.validate(true).encode()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// One sandbox for all tests of a program.
pub fn sandbox() -> &'static Arc<Sandbox> {
    static SANDBOX: OnceLock<Arc<Sandbox>> = OnceLock::new();
    SANDBOX.get_or_init(|| Sandbox::new(SandboxOptions::default()).expect("a sandbox"))
}

pub fn load(guest: &Guest) -> Arc<Adapter> {
    sandbox().load(&guest.component()).unwrap_or_else(|error| panic!("{error}"))
}

pub fn refused(guest: &Guest) -> LoadError {
    sandbox().load(&guest.component()).expect_err("a component that is refused")
}

pub fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

/// Three metrics: five rows with one dimension, none, and three rows of which the last has only totals.
pub fn batch() -> Arc<Batch> {
    let window = Window::starting_at(1_700_000_040, Period::default()).unwrap();
    let column = |values: &[f64], totals: Option<&[f64]>| MeasureColumn {
        attribute: "_tx".to_owned(),
        aggregate: Aggregate::Count,
        values: values.to_vec(),
        totals: totals.map(<[f64]>::to_vec),
    };
    let metric = |n: &str, rows: u32, live: u32, dimensions: Vec<Dimension>, measure: MeasureColumn| MetricBatch {
        name: name(n),
        rows,
        live_rows: live,
        folded_groups: 0,
        dimensions,
        measures: vec![measure],
    };
    let version = Dimension {
        name: "app.version".to_owned(),
        dictionary: ["", "1.0", "2.0"].into_iter().collect(),
        codes: vec![2, 1, 0, 2, 1],
    };
    Arc::new(Batch {
        project: name("web"),
        metric_set: name("crashes"),
        window,
        metrics: vec![
            metric("errors", 5, 5, vec![version], column(&[5.0, 4.0, f64::NAN, 2.0, 1.0], None)),
            metric("none", 0, 0, vec![], column(&[], None)),
            metric("totals", 3, 2, vec![], column(&[7.0, 8.0], Some(&[70.0, 80.0, 90.0]))),
        ],
    })
}

pub fn view() -> BatchView {
    BatchView::whole(batch())
}

/// The secret that no guest must ever see.
pub const SECRET: &str = "hunter2-very-secret";

pub fn settings() -> Arc<Settings> {
    let text = |t: &str| SettingValue::Text(t.to_owned());
    let secret = |t: &str| SettingValue::Secret(Secret::new(t.to_owned()));
    let values = [
        ("url", text("http://sink.example/base")),
        ("hook", secret(&format!("http://hook.example/{SECRET}"))),
        ("host", text("sink.example")),
        ("port", SettingValue::Integer(2003)),
        ("user", text("ann")),
        ("token", secret(SECRET)),
    ];
    Arc::new(Settings::trusted(values.map(|(key, value)| (key.to_owned(), value))))
}

pub fn begin_within(guest: &Guest, limits: &Limits) -> Called<Step> {
    load(guest).begin(&settings(), view(), limits)
}

pub fn begin(guest: &Guest) -> Called<Step> {
    begin_within(guest, &Limits::default())
}

/// The fault that the first call of `guest` ends with; afterwards a healthy adapter must be served as before.
pub fn fault_within(guest: &Guest, limits: &Limits) -> Fault {
    let fault = begin_within(guest, limits).result.expect_err("a fault");
    still_serves();
    fault
}

pub fn fault(guest: &Guest) -> Fault {
    fault_within(guest, &Limits::default())
}

/// The action that `guest` begins with.
pub fn action(guest: &Guest) -> tidegate_sandbox::Action {
    match begin(guest).result.expect("an action") {
        Step::Act(_, action) => action,
        Step::Done(verdict) => panic!("done at once: {verdict:?}"),
    }
}

/// The verdict that `guest` begins with.
pub fn verdict(guest: &Guest) -> Verdict {
    match begin(guest).result.expect("a verdict") {
        Step::Done(verdict) => verdict,
        Step::Act(_, action) => panic!("an action: {action:?}"),
    }
}

/// Asserts that a healthy adapter in the same sandbox works.
pub fn still_serves() {
    static HEALTHY: OnceLock<Arc<Adapter>> = OnceLock::new();
    let healthy = HEALTHY.get_or_init(|| load(&Guest::default()));
    let called = healthy.begin(&settings(), view(), &Limits::default());
    assert!(matches!(called.result, Ok(Step::Done(_))), "{:?}", called.result);
}
