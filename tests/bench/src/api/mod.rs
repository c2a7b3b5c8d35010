//! The pages of the console with a thousand stores: the requests that each page makes, and its documents.
//!
//! The server is a process of its own, so its CPU time is that of the answers alone. Beside it, the same rows come out of the same
//! database by the shortest program that there is: Python's own HTTP server, one SELECT, JSON. And beside the lists of stores, Prometheus
//! tells of as many targets, which is the list that its own page of targets shows. Each request has a connection of its own, on
//! both sides.

mod fill;
mod http;
mod serve;

pub(crate) use serve::serve;

use crate::report;
use crate::schedule::Running;
use anyhow::{Context, ensure};
use fill::{PROJECTS, STORES};
use http::Client;
use serde_json::Value as Json;
use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Times that each page is asked for.
const LOADS: u32 = 40;

/// A page: its name, the requests that it makes, and what the peer is asked for (a name in `peers/api_rows.py`).
struct Page {
    name: &'static str,
    requests: Vec<String>,
    peer: &'static str,
}

fn pages() -> Vec<Page> {
    let page = |name, requests: &[&str], peer| {
        let requests = requests.iter().map(|path| format!("/api/v1{path}")).collect();
        Page { name, requests, peer }
    };
    vec![
        page("projects", &["/projects"], "projects"),
        page("project", &["/projects/p0", "/projects/p0/submission-tokens"], "project"),
        page("metric_sets", &["/projects/p0/metric-sets"], "metric_sets"),
        page("stores", &["/projects/p0/stores?limit=50&recent=30"], "stores"),
        page("all_stores", &["/stores?limit=50&recent=30"], "all_stores"),
        page("all_stores_by_state", &["/stores?limit=50&recent=30&sort=-status.state"], "all_stores"),
        page("all_stores_that_fail", &["/stores?limit=50&recent=30&status.state=failing"], "all_stores"),
        page("all_stores_searched", &["/stores?limit=50&recent=30&search=to-99"], "all_stores"),
        page("store", &["/projects/p0/stores/to-0"], "store"),
        page("windows", &["/projects/p0/stores/to-0", "/projects/p0/stores/to-0/windows?limit=200"], "windows"),
        page("edit_store", &["/projects/p0/stores/to-0", "/adapters/influxdb", "/projects/p0/metric-sets"], "store"),
        page("adapters", &["/adapters"], "adapters"),
        page("users", &["/users", "/projects"], "users"),
        page("tokens", &["/tokens", "/projects"], "tokens"),
        page("audit", &["/audit?limit=200"], "audit"),
    ]
}

pub(crate) fn run() -> anyhow::Result<()> {
    let scratch = tempfile::tempdir()?;
    let role = format!("api {}", scratch.path().display());
    let own = |role: &str| {
        let mut command = Command::new(std::env::current_exe().unwrap_or_default());
        command.env(crate::schedule::ROLE, role);
        command
    };
    // It makes the catalog, and ends; the ledger is filled while nobody runs.
    let mut made = Running::start(&mut own(&format!("api-made {}", scratch.path().display())))?;
    made.line()?;
    drop(made);
    fill::ledger(&scratch.path().join("tidegate.db"))?;
    let mut server = Running::start(&mut own(&role))?;
    let line = server.line()?;
    let (address, token) = line.trim().split_once(' ').context("address and token")?;
    let ours = Client::new(address, Some(token));
    let (peer, beside) = start_peer(&scratch.path().join("tidegate.db"))?;
    for page in pages() {
        let (figure, answer) = measure(&server, &ours, &page.requests)?;
        let path = format!("/{}", page.peer);
        let (of_peer, rows) = measure(&peer, &beside, &[path])?;
        if page.name == "all_stores" {
            ensure!(names(&answer, "metric_stores")? == names(&rows, "rows")?, "two lists of stores");
        }
        tell(page.name, page.requests.len(), &figure);
        report(&format!("api_page_{}", page.name), figure.cpu, "python_sqlite3", of_peer.cpu, "ms");
    }
    let documents = documents(&ours)?;
    let (figure, _) = measure(&server, &ours, &documents)?;
    tell("documents", documents.len(), &figure);
    let (of_peer, _) = measure(&peer, &beside, &vec!["/file".to_owned(); documents.len()])?;
    report("api_console_documents", figure.cpu, "python_http.server", of_peer.cpu, "ms");
    let (targets, prometheus) = start_prometheus(scratch.path())?;
    let list = ["/api/v1/targets?state=active".to_owned()];
    // It listens before it has read which targets there are.
    let end = Instant::now() + Duration::from_secs(30);
    let of_targets = loop {
        let (figure, page) = measure(&targets, &prometheus, &list)?;
        let listed = page.windows(11).filter(|text| text == b"\"scrapeUrl\"").count();
        if listed == STORES {
            break figure;
        }
        ensure!(Instant::now() < end, "Prometheus tells of {listed} targets");
    };
    let whole = ["/api/v1/stores?limit=1000".to_owned()];
    let (figure, _) = measure(&server, &ours, &whole)?;
    tell("all_stores_whole", 1, &figure);
    report("api_all_stores_whole", figure.cpu, "prometheus_targets", of_targets.cpu, "ms");
    let half = ["/api/v1/stores?limit=50&sort=-status.state".to_owned()];
    let (figure, _) = measure(&server, &ours, &half)?;
    report("api_all_stores_sorted_by_state", figure.cpu, "prometheus_targets", of_targets.cpu, "ms");
    Ok(())
}

/// What a page needs, in milliseconds.
struct Figure {
    cpu: f64,
    typical: f64,
    worst: f64,
    bytes: usize,
}

fn tell(name: &str, requests: usize, figure: &Figure) {
    println!(
        "api: page {name}: {requests} requests, {:.0} kB; answered in {:.1} ms, at worst {:.1} ms; {:.1} ms of CPU time ({STORES} stores in {PROJECTS} projects)",
        figure.bytes as f64 / 1000.0,
        figure.typical,
        figure.worst,
        figure.cpu
    );
}

/// Loads a page again and again; the figure, and the last answer.
fn measure(server: &Running, client: &Client, requests: &[String]) -> anyhow::Result<(Figure, Vec<u8>)> {
    let load = || -> anyhow::Result<(usize, Vec<u8>)> {
        let (mut bytes, mut last) = (0, Vec::new());
        for path in requests {
            last = client.get(path)?;
            bytes += last.len();
        }
        Ok((bytes, last))
    };
    // What is read for the first time is not what a page costs.
    load()?;
    let (mut took, mut last) = (Vec::new(), (0, Vec::new()));
    let before = server.cpu()?;
    for _ in 0..LOADS {
        let began = Instant::now();
        last = load()?;
        took.push(began.elapsed().as_secs_f64() * 1000.0);
    }
    let cpu = (server.cpu()? - before) * 1000.0 / f64::from(LOADS);
    took.sort_by(f64::total_cmp);
    let typical = took[took.len() / 2];
    let worst = took.last().copied().unwrap_or_default();
    Ok((Figure { cpu, typical, worst, bytes: last.0 }, last.1))
}

fn names(answer: &[u8], list: &str) -> anyhow::Result<BTreeSet<String>> {
    let answer: Json = serde_json::from_slice(answer)?;
    let rows = answer[list].as_array().context("a list")?;
    Ok(rows.iter().map(|row| row["name"].as_str().unwrap_or_default().to_owned()).collect())
}

/// The console's page and everything that it names.
fn documents(client: &Client) -> anyhow::Result<Vec<String>> {
    let shell = String::from_utf8(client.get("/console/")?)?;
    let named = shell.split(['"', '\'']).filter(|text| text.starts_with("/console/a/"));
    let found: BTreeSet<String> = named.map(str::to_owned).collect();
    ensure!(found.len() > 30, "the console's page names {} files", found.len());
    Ok(std::iter::once("/console/".to_owned()).chain(found).collect())
}

fn start_peer(database: &Path) -> anyhow::Result<(Running, Client)> {
    let python = std::env::var("TIDEGATE_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let script = format!("{}/peers/api_rows.py", env!("CARGO_MANIFEST_DIR"));
    let mut peer = Running::start(Command::new(python).arg(script).arg(database))?;
    let address = peer.line()?;
    Ok((peer, Client::new(address.trim(), None)))
}

/// Prometheus with as many targets as there are stores, which it hardly ever scrapes.
fn start_prometheus(scratch: &Path) -> anyhow::Result<(Running, Client)> {
    let targets: Vec<String> = (0..STORES).map(|n| format!("'127.0.0.1:{}'", 20_000 + n)).collect();
    let config = format!(
        "global: {{scrape_interval: 1d, scrape_timeout: 1s}}\nscrape_configs: [{{job_name: many, static_configs: [{{targets: [{}]}}]}}]\n",
        targets.join(", ")
    );
    let file = scratch.join("prometheus.yml");
    std::fs::write(&file, config)?;
    let address = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?.to_string();
    let mut command = Command::new("prometheus");
    command
        .arg(format!("--config.file={}", file.display()))
        .arg(format!("--storage.tsdb.path={}", scratch.join("prometheus").display()))
        .arg(format!("--web.listen-address={address}"))
        .stderr(Stdio::null());
    let process = Running::start(&mut command)
        .context("Prometheus cannot be started; tests/setup.sh installs Debian's package prometheus")?;
    let client = Client::new(&address, None);
    let end = Instant::now() + Duration::from_secs(30);
    while client.get("/-/ready").is_err() {
        ensure!(Instant::now() < end, "Prometheus does not get ready");
        std::thread::sleep(Duration::from_millis(100));
    }
    Ok((process, client))
}
