//! The whole way at work, with nothing to set up: a server, the example document, made-up crashes sent as any client would send
//! them, and a stand-in for InfluxDB that takes the pushes.

pub mod generator;
mod show;
mod words;

use crate::cli::{ApiClient, Attempt, CliError, Output, ServerArgs, parse_document, resolve_references};
use crate::receiver::{Received, Receiver};
use crate::serve::{Options, Running, ServeError};
use generator::Generator;
use ipnet::IpNet;
use serde_json::{Value as Json, json};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tidegate_export::EgressPolicy;
use tidegate_export::catalog::{DEFAULT_TENANT, TokenSpec};
use tidegate_model::{Clock, Secret, SystemClock};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The document that the demo applies, with a shorter period and the stand-in's address.
const EXAMPLE: &str = include_str!("../../../../examples/tidegate.yaml");
/// The project in it.
const PROJECT: &str = "lantern";
const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// What a demo is told.
#[derive(Clone, Debug)]
pub struct Wishes {
    /// Which events to make up.
    pub seed: u64,
    /// Events in a second.
    pub rate: u32,
    /// Period of the stores in seconds.
    pub period: u32,
    /// When to end; none for when the user says so.
    pub duration: Option<Duration>,
    /// Where to keep data; none for nowhere.
    pub data_dir: Option<PathBuf>,
}

/// Runs until its time is up or Ctrl-C. Tells whether pushes arrived and the page was filled.
pub(crate) async fn run(wishes: Wishes, out: &mut Output) -> Result<bool, CliError> {
    let temporary = match wishes.data_dir {
        Some(_) => None,
        None => Some(tempfile::tempdir().map_err(|e| CliError::failed("cannot make a temporary directory", e))?),
    };
    let data_dir =
        wishes.data_dir.clone().or_else(|| temporary.as_ref().map(|t| t.path().join("data"))).unwrap_or_default();
    let (seen, arrived) = mpsc::channel(1024);
    let receiver = Receiver::start(SocketAddr::new(LOOPBACK, 0), None, seen).await;
    let receiver = receiver.map_err(|e| CliError::failed("cannot start the stand-in for InfluxDB", e))?;
    let running = start(&data_dir).await?;
    let stop = CancellationToken::new();
    let shown = show_all(&wishes, &running, &receiver, arrived, out, &stop).await;
    stop.cancel();
    running.stop().await;
    drop(temporary);
    shown
}

/// The usual port if it is free, so that the commands of the documentation work as they stand; any other if not.
async fn start(data_dir: &Path) -> Result<Running, CliError> {
    let options = |port| Options {
        listen: SocketAddr::new(LOOPBACK, port),
        egress: EgressPolicy::allowing(vec![IpNet::from(LOOPBACK)]),
        grace: Duration::from_secs(2),
        ..Options::new(data_dir.to_owned())
    };
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let started = match Running::start(options(8460), Arc::clone(&clock)).await {
        Err(ServeError::Listen { .. }) => Running::start(options(0), clock).await,
        other => other,
    };
    started.map_err(|e| CliError::Failed(e.to_string()))
}

async fn show_all(
    wishes: &Wishes,
    running: &Running,
    receiver: &Receiver,
    arrived: mpsc::Receiver<Received>,
    out: &mut Output,
    stop: &CancellationToken,
) -> Result<bool, CliError> {
    let token = token(running)?;
    let server = format!("http://{}", running.address());
    let client = Arc::new(client(&server, &token)?);
    let document = document(wishes.period, receiver.http)?;
    client.post(&["apply"], &[], &document).await?;
    let sent = Arc::new(AtomicU64::new(0));
    let sender = send(Arc::clone(&client), wishes.seed, wishes.rate, Arc::clone(&sent));
    let sender = tokio::spawn(stop.clone().run_until_cancelled_owned(sender));
    let mut show = show::Show::new(&client, &server, &token, wishes, receiver, sent).await?;
    show.welcome(out, running.setup_link().map(Secret::expose))?;
    let worked = show.follow(out, arrived, wishes.duration).await;
    stop.cancel();
    if let Ok(Some(Err(error))) = sender.await {
        return Err(error);
    }
    worked
}

/// The token of the first start; in a directory that was used before, a new one.
fn token(running: &Running) -> Result<String, CliError> {
    if let Some(token) = running.first_token() {
        return Ok(token.expose().to_owned());
    }
    let name = format!("demo {}", SystemClock.now().micros());
    let made = running
        .catalog()
        .edit(|edit| edit.create_api_token(edit.tenant_named(DEFAULT_TENANT)?.id, &TokenSpec::operator(&name)));
    made.map(|t| t.expose().to_owned()).map_err(|e| CliError::failed("cannot make an API token", e))
}

fn client(server: &str, token: &str) -> Result<ApiClient, CliError> {
    let server = server.parse().map_err(|e| CliError::failed("cannot address the server", e))?;
    ApiClient::new(&ServerArgs::at(server, Some(token.to_owned())))
}

/// The example with the demo's period and the stand-in in the place of InfluxDB.
fn document(period: u32, influxdb: SocketAddr) -> Result<Json, CliError> {
    let wrong = |e: String| CliError::Failed(format!("the example document: {e}"));
    let mut document = parse_document(EXAMPLE).map_err(wrong)?;
    let secret = |_: &str| Some("not-a-real-password".to_owned());
    resolve_references(&mut document, Path::new("."), &secret).map_err(|e| wrong(e.to_string()))?;
    for project in document["projects"].as_array_mut().into_iter().flatten() {
        for store in project["metric_stores"].as_array_mut().into_iter().flatten() {
            store["period"] = json!(period);
            if store["adapter"] == "influxdb" {
                store["settings"]["url"] = json!(format!("http://{influxdb}"));
            }
        }
    }
    Ok(document)
}

/// Sends made-up events at an even rate, for ever.
async fn send(client: Arc<ApiClient>, seed: u64, rate: u32, sent: Arc<AtomicU64>) -> Result<(), CliError> {
    /// Requests in a second.
    const BEATS: u32 = 5;
    let mut generator = Generator::new(seed);
    let mut beat = tokio::time::interval(Duration::from_secs(1) / BEATS);
    beat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut owed = 0;
    loop {
        beat.tick().await;
        // What does not divide evenly is carried over.
        owed += rate;
        let events = owed / BEATS;
        owed %= BEATS;
        if events == 0 {
            continue;
        }
        let now = SystemClock.now().seconds();
        let mut lines = String::new();
        for _ in 0..events {
            lines.push_str(&Json::Object(generator.event(now)).to_string());
            lines.push('\n');
        }
        match client.post_lines(&["projects", PROJECT, "events"], lines.into_bytes()).await? {
            Attempt::Answer(answer) => {
                sent.fetch_add(answer["taken"].as_u64().unwrap_or_default(), Ordering::Relaxed);
                if let Some(error) = answer["errors"].get(0) {
                    return Err(CliError::Failed(format!("an event was refused: {error}")));
                }
            }
            Attempt::Again { reason, .. } => tracing::warn!(reason, "some events could not be sent"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_demo_applies_the_example_with_its_own_period_and_address() {
        let document = document(5, "127.0.0.1:9".parse().unwrap()).unwrap();
        let stores = document["projects"][0]["metric_stores"].as_array().unwrap();
        assert!(stores.iter().all(|s| s["period"] == 5));
        assert!(stores.iter().any(|s| s["settings"]["url"] == "http://127.0.0.1:9"));
        assert_eq!(document["projects"][0]["name"], PROJECT);
        crate::apply::Document::read(document).unwrap();
    }
}
