//! Receivers written to a vendor's published rules, for the products of which nothing can be run here: strict where the product
//! swallows a fault in silence, so that the fault shows.
//!
//! A receiver of one's own proves less than a real one: it may share a misreading with the code that it checks. So each is written
//! from the rules alone, and is itself checked with bodies that it must take (from the vendor's own client where there is one)
//! and with faults that it must find. `docs/verification.md` says what follows from that.

mod circonus;
mod datadog;
mod grafana;
mod influxdb;

pub use circonus::{HttpTrap, read_name};
pub use datadog::Datadog;
pub use grafana::{Generation, Grafana};
pub use influxdb::{InfluxOne, InfluxTwo};

use crate::points::{Point, Points};
use crate::receiver::{Received, Receiver, Reply};
use crate::tls::Authority;
use serde_json::{Map, Value as Json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

/// What a receiver has taken, and what it found wrong.
#[derive(Debug, Default, Clone)]
pub struct Book {
    /// Values by name, tags and second.
    pub points: Points,
    /// What each name was sent as (gauge, count, …), in the product's words.
    pub kinds: BTreeMap<String, String>,
    /// Every breach of a rule, also those that the product would not tell.
    pub faults: Vec<String>,
}

impl Book {
    fn fault(&mut self, fault: impl Into<String>) {
        self.faults.push(fault.into());
    }

    /// Keeps a value; a second one that differs is a fault.
    fn keep(&mut self, point: Point, value: f64) {
        if let Err(fault) = self.points.insert(point, value) {
            self.fault(fault);
        }
    }
}

/// The rules of one product.
pub trait Rules: Send + Sync + 'static {
    /// Takes a request as the product would, and notes what is wrong with it.
    fn take(&self, request: &Received, book: &mut Book) -> Reply;
}

/// A running receiver with rules.
pub struct Intake {
    receiver: Receiver,
    book: Arc<Mutex<Book>>,
}

impl std::fmt::Debug for Intake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Intake").field("url", &self.url()).finish_non_exhaustive()
    }
}

impl Intake {
    /// Starts one.
    #[must_use]
    pub fn start(rules: impl Rules) -> Self {
        Self::scripted(rules, |_, _| None)
    }

    /// Starts one that asks `script` first, with the number of the request (from 0): what that answers is sent, and nothing is
    /// taken; where it answers nothing the rules hold.
    #[must_use]
    pub fn scripted(
        rules: impl Rules,
        script: impl Fn(usize, &Received) -> Option<Reply> + Send + Sync + 'static,
    ) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let receiver = Receiver::answering(respond(rules, script, book.clone()));
        Self { receiver, book }
    }

    /// Starts one that speaks TLS.
    #[must_use]
    pub fn with_tls(authority: &Authority, rules: impl Rules) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let receiver = Receiver::with_tls(authority, respond(rules, |_, _| None, book.clone()));
        Self { receiver, book }
    }

    /// Its URL without a path.
    #[must_use]
    pub fn url(&self) -> String {
        self.receiver.url()
    }

    /// Every request as it came, those that the script answered among them.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.receiver.received()
    }

    /// What it has taken so far, and what was wrong.
    #[must_use]
    pub fn book(&self) -> Book {
        lock(&self.book).clone()
    }

    /// Values that it has taken.
    ///
    /// # Errors
    /// The first breach of a rule, if there was one.
    pub fn points(&self) -> Result<Points, String> {
        let book = self.book();
        match book.faults.first() {
            Some(fault) => Err(format!("{} faults, the first: {fault}", book.faults.len())),
            None => Ok(book.points),
        }
    }
}

fn respond(
    rules: impl Rules,
    script: impl Fn(usize, &Received) -> Option<Reply> + Send + Sync + 'static,
    book: Arc<Mutex<Book>>,
) -> impl Fn(&Received) -> Reply + Send + Sync + 'static {
    let count = Mutex::new(0_usize);
    move |request| {
        let number = {
            let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
            *count += 1;
            *count - 1
        };
        script(number, request).unwrap_or_else(|| rules.take(request, &mut lock(&book)))
    }
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An answer without headers of its own.
pub fn reply(status: u16, body: impl Into<String>) -> Reply {
    (status, String::new(), body.into())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The fields of an object, if it is one and has none but these.
fn fields<'j>(value: &'j Json, known: &[&str]) -> Result<&'j Map<String, Json>, String> {
    let fields = value.as_object().ok_or_else(|| format!("not an object: {value}"))?;
    match fields.keys().find(|key| !known.contains(&key.as_str())) {
        Some(unknown) => Err(format!("an unknown field {unknown:?} in {value}")),
        None => Ok(fields),
    }
}
