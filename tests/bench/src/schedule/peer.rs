//! vmagent (Debian's package victoria-metrics): scrapes as many targets as often, and passes on what it got.

use super::{Figure, Running, WINDOWS, over_windows, sink, start_sink};
use anyhow::ensure;
use std::collections::HashMap;
use std::fmt::Write;
use std::net::TcpListener;
use std::process::{Command, Stdio};

pub(super) fn measure(targets: usize, period: u64) -> anyhow::Result<Figure> {
    let scratch = tempfile::tempdir()?;
    let (_sink, port, notes) = start_sink(scratch.path())?;
    let mut config = format!("global:\n  scrape_interval: {period}s\nscrape_configs:\n");
    for n in 0..targets {
        writeln!(
            config,
            "- job_name: j{n}\n  metrics_path: /to-{n}\n  static_configs:\n  - targets: ['127.0.0.1:{port}']"
        )?;
    }
    let file = scratch.path().join("scrape.yml");
    std::fs::write(&file, config)?;
    let own = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
    let mut command = Command::new("vmagent");
    command
        .arg(format!("-promscrape.config={}", file.display()))
        .arg(format!("-remoteWrite.url=http://127.0.0.1:{port}/to-write"))
        .arg(format!("-remoteWrite.tmpDataPath={}", scratch.path().join("queue").display()))
        .arg(format!("-httpListenAddr=127.0.0.1:{own}"))
        .stderr(Stdio::null());
    let agent = Running::start(&mut command).map_err(|e| {
        e.context("vmagent cannot be started; tests/setup.sh installs Debian's package victoria-metrics")
    })?;
    let (first, used) = over_windows(&agent, period, WINDOWS)?;
    drop(agent);
    let mut times: HashMap<String, Vec<u64>> = HashMap::new();
    for arrival in sink::arrivals(&notes)?.into_iter().filter(|a| a.to != "to-write") {
        times.entry(arrival.to).or_default().push(arrival.at);
    }
    let mut late = Vec::new();
    for times in times.values() {
        let pairs = times.windows(2).filter(|pair| pair[1] / 1_000_000 >= first - period);
        late.extend(pairs.map(|pair| (pair[1] - pair[0]).saturating_sub(period * 1_000_000) as f64 / 1000.0));
    }
    ensure!(times.len() == targets, "{} of {targets} targets were scraped", times.len());
    ensure!(late.len() as u64 >= targets as u64 * (WINDOWS - 1), "{} scrapes came again", late.len());
    Ok(Figure { late, ..used }.sorted())
}
