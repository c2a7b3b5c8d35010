//! The network and what is at its ends: sinks that keep what they are sent by series and time, as InfluxDB does, and that refuse,
//! hang, lose replies and answer badly as told.

use super::{Notes, SimClock};
use crate::egress::{Exchange, Transport, Unsendable};
use crate::offload::fate::Fate;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tidegate_model::adapter::Target;
use tidegate_model::settings::SettingValue;
use tidegate_model::{Clock, Description, Settings};
use tidegate_sandbox::{Action, Outcome};

/// When the egress gives up waiting for an answer.
const DEADLINE: Duration = Duration::from_secs(30);
/// How far a sink lets stamps lie in the future.
const FUTURE: u64 = 5;

/// How a sink behaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Mood {
    #[default]
    Well,
    /// No connection.
    Refuses,
    /// Takes the request and never answers; whether it kept the data is up to the flag.
    Hangs { keeps: bool },
    /// Keeps the data and breaks the connection before the answer.
    LosesReplies,
    /// Answers with a status and perhaps `Retry-After`.
    Says(u16, Option<u64>),
    /// Takes its time.
    Slow(u64),
    /// Refuses every body with this text in it.
    Dislikes(&'static str, u16),
    /// Refuses bodies with more lines.
    AtMost(usize),
}

/// One request as it came in.
#[derive(Clone, Debug)]
pub(super) struct Got {
    pub(super) at: u64,
    pub(super) body: String,
    pub(super) kept: bool,
}

#[derive(Debug, Default)]
pub(super) struct Sink {
    pub(super) mood: Mood,
    pub(super) held: BTreeMap<(String, u64), f64>,
    pub(super) got: Vec<Got>,
    under_way: u32,
    /// The most requests that were under way at once.
    pub(super) most_at_once: u32,
}

pub(super) struct Net {
    fate: Arc<Fate>,
    clock: Arc<SimClock>,
    sinks: Mutex<HashMap<String, Sink>>,
    /// What a sink saw that must never be.
    pub(super) offences: Notes,
}

impl Net {
    pub(super) fn new(fate: Arc<Fate>, clock: Arc<SimClock>) -> Self {
        Self { fate, clock, sinks: Mutex::default(), offences: Notes::default() }
    }

    pub(super) fn set(&self, sink: &str, mood: Mood) {
        self.with(sink, |s| s.mood = mood);
    }

    pub(super) fn heal(&self) {
        self.sinks.lock().unwrap().values_mut().for_each(|s| s.mood = Mood::Well);
    }

    /// The host is gone, and with it its connections.
    pub(super) fn cut(&self) {
        self.sinks.lock().unwrap().values_mut().for_each(|s| s.under_way = 0);
    }

    pub(super) fn with<T>(&self, sink: &str, work: impl FnOnce(&mut Sink) -> T) -> T {
        work(self.sinks.lock().unwrap().entry(sink.to_owned()).or_default())
    }

    fn keep(&self, name: &str, body: &str) {
        let now = self.clock.sent_by();
        self.with(name, |sink| {
            for line in body.lines() {
                let (series, rest) = line.split_once(' ').unwrap();
                let (field, stamp) = rest.split_once(' ').unwrap();
                let (field, value) = field.split_once('=').unwrap();
                let (value, stamp): (f64, u64) = (value.parse().unwrap(), stamp.parse().unwrap());
                if stamp > now + FUTURE {
                    self.offences.lock().unwrap().push(format!("{name} was sent {line:?} at {now}, before its time"));
                }
                let key = (format!("{series} {field}"), stamp);
                if let Some(old) = sink.held.insert(key, value)
                    && old != value
                {
                    self.offences.lock().unwrap().push(format!("{name} held {old} and was then sent {line:?}"));
                }
            }
        });
    }

    async fn answer(&self, name: &str, body: String) -> Outcome {
        let mood = self.with(name, |s| s.mood.clone());
        let said = |status: u16| Outcome { status: Some(status), ..Outcome::default() };
        let failed = |why: &str| Outcome { failure: Some(why.to_owned()), ..Outcome::default() };
        let mut kept = false;
        let outcome = match mood {
            Mood::Well => {
                kept = true;
                said(204)
            }
            Mood::Slow(seconds) => {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
                kept = true;
                said(204)
            }
            Mood::Refuses => failed("cannot connect: connection refused"),
            Mood::Hangs { keeps } => {
                if keeps {
                    self.keep(name, &body);
                }
                tokio::time::sleep(DEADLINE).await;
                failed("timed out while waiting for the answer")
            }
            Mood::LosesReplies => {
                self.keep(name, &body);
                failed("the exchange broke off: connection reset")
            }
            Mood::Says(status, after) => {
                let headers = after.map(|s| ("retry-after".to_owned(), s.to_string()));
                Outcome { headers: headers.into_iter().collect(), ..said(status) }
            }
            Mood::Dislikes(text, status) if body.contains(text) => {
                let told = Bytes::from_static(b"{\"error\":\"unable to parse a line\"}");
                Outcome { body: told, ..said(status) }
            }
            Mood::AtMost(lines) if body.lines().count() > lines => said(413),
            Mood::Dislikes(..) | Mood::AtMost(_) => {
                kept = true;
                said(204)
            }
        };
        if kept {
            self.keep(name, &body);
        }
        self.with(name, |s| s.got.push(Got { at: self.clock.now().seconds(), body, kept }));
        outcome
    }
}

impl Transport for Net {
    fn perform<'a>(
        &'a self,
        action: &'a Action,
        description: &'a Description,
        settings: &'a Settings,
    ) -> BoxFuture<'a, Result<Exchange, Unsendable>> {
        Box::pin(async move {
            let Action::Send(request) = action else { panic!("only HTTP is simulated") };
            let Some(Target::Http { url: SettingValue::Text(url) }) = description.target(&request.endpoint, settings)
            else {
                return Err(Unsendable::NoTarget(request.endpoint.clone()));
            };
            let name = url.trim_start_matches("http://").split(':').next().unwrap().to_owned();
            let body = String::from_utf8(request.body.concat()).unwrap();
            let bytes = body.len() as u64;
            self.fate.place().await;
            self.with(&name, |s| {
                s.under_way += 1;
                s.most_at_once = s.most_at_once.max(s.under_way);
            });
            let outcome = self.answer(&name, body).await;
            self.with(&name, |s| s.under_way = s.under_way.saturating_sub(1));
            self.fate.place().await;
            Ok(Exchange { outcome, bytes })
        })
    }
}
