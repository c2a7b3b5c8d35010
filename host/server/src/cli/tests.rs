//! Commands against a server, as they run from a shell.

use super::output::testing::Captured;
use super::{Cli, CliError, Command, adapter, apply, events, ledger, metric, store};
use crate::http::tests::Server;
use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;
use clap::Parser;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;

/// Runs a command line; gives what it printed and whether it ended with 0.
async fn run(line: &[&str]) -> Result<(String, bool), CliError> {
    let captured = Captured::default();
    let mut out = captured.output();
    let code = match Cli::try_parse_from(["tidegate"].iter().chain(line)).unwrap().command {
        Command::Apply(args) => apply::run(args, &mut out).await,
        Command::Store(command) => store::run(command, &mut out).await,
        Command::Ledger(command) => ledger::run(command, &mut out).await,
        Command::Metric(command) => metric::run(command, &mut out).await,
        Command::Events(command) => events::run(command, &mut out).await,
        Command::Adapter(command) => adapter::run(command, &mut out).await,
        other => panic!("{other:?} needs no server"),
    }?;
    Ok((captured.text(), format!("{code:?}") == format!("{:?}", ExitCode::SUCCESS)))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_bad_lines_is_imported_once_however_often_it_is_tried() {
    let server = Server::start().await;
    let token = server.project("web").await;
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..2_500)
        .map(|n| match n {
            700 => "{\"broken\":\n".to_owned(),
            // A good line and an empty one, which both count.
            900 => "{\"uuid\":\"7f9a2b64-0c1d-4e5f-8a9b-0123456789ab\"}\n\n".to_owned(),
            1_900 => "{\"nested\":{\"a\":1}}\n".to_owned(),
            n => format!("{{\"n\":{}}}\n", n % 10),
        })
        .collect();
    let (plain, packed) = (folder.path().join("a.ndjson"), folder.path().join("a.gz"));
    std::fs::write(&plain, &lines).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(lines.as_bytes()).unwrap();
    std::fs::write(&packed, gzip.finish().unwrap()).unwrap();
    let url = server.url("");
    for (file, known) in [(&plain, 0), (&plain, 2_498), (&packed, 2_498)] {
        let file = file.display().to_string();
        // A submission token is enough.
        let (said, well) =
            run(&["events", "import", &file, "--project", "web", "--server", &url, "--token", &token]).await.unwrap();
        assert!(!well, "lines were refused, and it says that all is well");
        assert!(said.contains("line 701: ") && said.contains("line 1902: \"nested\""), "{said}");
        assert!(said.ends_with(&format!("2498 taken ({known} of them were there already), 2 refused\n")), "{said}");
    }
    assert_eq!(server.get("/status").await.1["events"]["stored"], 2_498);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_import_goes_on_after_failures_and_gives_up_with_the_line_to_look_at() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let take = move |body: Bytes| {
        let count = Arc::clone(&count);
        async move {
            let lines = body.split(|b| *b == b'\n').count() - 1;
            if count.fetch_add(1, Ordering::SeqCst) < 3 {
                return (StatusCode::SERVICE_UNAVAILABLE, [("retry-after", "0")], "{\"detail\":\"full\"}")
                    .into_response();
            }
            axum::Json(json!({"taken": lines, "duplicates": 0, "refused": 0, "errors": [], "arrival": []}))
                .into_response()
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = Router::new().route("/api/v1/projects/web/events", post(take));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let _ = rustls::crypto::ring::default_provider().install_default();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "{\"a\":1}\n{\"a\":2}\n").unwrap();
    let path = file.path().display().to_string();
    let line = |retries: &'static str| {
        ["events", "import", &path, "--project", "web", "--server", &url, "--retries", retries].map(str::to_owned)
    };
    let impatient: Vec<String> = line("1").to_vec();
    let error = run(&impatient.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap_err().to_string();
    assert!(error.starts_with("full (HTTP 503)\nStopped at line 1;"), "{error}");
    let patient: Vec<String> = line("2").to_vec();
    let (said, well) = run(&patient.iter().map(String::as_str).collect::<Vec<_>>()).await.unwrap();
    assert!(well && said.contains("2 taken"), "{said}");
    assert_eq!(asked.load(Ordering::SeqCst), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_is_applied_and_its_stores_are_listed_shown_and_previewed() {
    let server = Server::start().await;
    let folder = tempfile::tempdir().unwrap();
    let example = include_str!("../../../../examples/tidegate.yaml");
    let secret = folder.path().join("password");
    std::fs::write(&secret, "hunter2\n").unwrap();
    let example = example.replace("{env: INFLUX_PASSWORD}", "{file: password}");
    let file = folder.path().join("tidegate.yaml");
    std::fs::write(&file, example).unwrap();
    let (url, file) = (server.url(""), file.display().to_string());
    let with = async |line: &[&str]| {
        let line: Vec<&str> = line.iter().copied().chain(["--server", &url, "--token", &server.token]).collect();
        run(&line).await.unwrap().0
    };
    let rehearsed = with(&["apply", "-f", &file, "--dry-run"]).await;
    assert!(rehearsed.starts_with("+ project lantern\n") && rehearsed.contains("nothing was changed"), "{rehearsed}");
    let applied = with(&["apply", "-f", &file]).await;
    assert!(applied.contains("The submission token of lantern (shown this once): "), "{applied}");
    let again = with(&["apply", "-f", &file]).await;
    assert!(again.lines().rev().skip(1).all(|l| l.starts_with("= ")), "{again}");
    let listed = with(&["store", "list"]).await;
    assert!(listed.contains("lantern/influxdb    influxdb    push"), "{listed}");
    let shown = with(&["store", "show", "lantern/prometheus"]).await;
    assert!(shown.contains(&format!("pull URL        {url}/pull/")), "{shown}");
    let preview = with(&["store", "preview", "lantern/influxdb"]).await;
    assert!(preview.contains("POST http://127.0.0.1:8086/write") && preview.contains("errors,"), "{preview}");
    for text in [&applied, &listed, &shown, &preview] {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let metric =
        with(&["metric", "preview", "--project", "lantern", "--metric", "crashes/errors", "--windows", "2"]).await;
    assert_eq!(metric.matches("COUNT(_TX)").count(), 2, "{metric}");
    let inspected = with(&["adapter", "inspect", "influxdb"]).await;
    assert!(inspected.contains("password") && inspected.contains("May reach"), "{inspected}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_and_a_wrong_name_are_told_with_what_to_do() {
    let server = Server::start().await;
    let url = server.url("");
    let wrong = run(&["store", "list", "--server", &url, "--token", "tg_wrong"]).await.unwrap_err().to_string();
    assert!(wrong.contains("refused this: ") && wrong.contains("TIDEGATE_TOKEN"), "{wrong}");
    let missing =
        run(&["store", "show", "web/x", "--server", &url, "--token", &server.token]).await.unwrap_err().to_string();
    assert!(missing.contains("there is no project \"web\""), "{missing}");
    let form = run(&["store", "show", "x", "--server", &url, "--token", &server.token]).await.unwrap_err().to_string();
    assert!(form.contains("expected PROJECT/STORE"), "{form}");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ledger_tells_of_stores_and_is_verified_and_backed_up_while_the_server_runs() {
    let server = Server::start().await;
    server.project("web").await;
    let url = server.url("");
    let folder = tempfile::tempdir().unwrap();
    let document = folder.path().join("t.yaml");
    let text = json!({"projects": [{"name": "web",
        "metric_sets": [{"name": "crashes", "metrics": [{"name": "errors", "query": {"fold": {"_tx": [["count"]]}}}]}],
        "metric_stores": [{"name": "central", "adapter": "influxdb", "metric_sets": ["crashes"],
            "settings": {"version": "1", "url": "http://127.0.0.1:1", "database": "m"}}]}]});
    std::fs::write(&document, text.to_string()).unwrap();
    let token = server.token.as_str();
    let ask = async |line: &[&str]| {
        let mut whole = line.to_vec();
        whole.extend(["--server", &url, "--token", token]);
        run(&whole).await
    };
    ask(&["apply", "-f", &document.display().to_string()]).await.unwrap();
    let (said, _) = ask(&["ledger", "status"]).await.unwrap();
    assert!(said.contains("web/central") && said.contains("OLDEST UNDELIVERED"), "{said}");
    let (said, _) = ask(&["ledger", "gaps"]).await.unwrap();
    assert!(said.contains("No window is missing in any store."), "{said}");
    let (said, _) = ask(&["ledger", "show", "web/crashes", "2020-01-01T00:00:00Z"]).await.unwrap();
    assert!(said.contains("Nothing is on record"), "{said}");
    let refused = ask(&["ledger", "replay", "web/central", "crashes", "2020-01-01T00:00:00Z"]).await.unwrap_err();
    assert!(refused.to_string().contains("no window of this metric set and store"), "{refused}");
    let (said, well) = ask(&["ledger", "verify"]).await.unwrap();
    assert!(well && said.starts_with("sound: "), "{said}");
    let (said, well) = ask(&["ledger", "backup"]).await.unwrap();
    assert!(well, "{said}");
    let backup = std::path::PathBuf::from(said.lines().next().unwrap());
    ask(&["store", "rename", "web/central", "middle"]).await.unwrap();
    let metric = ["metric", "rename", "--project", "web", "crashes/errors", "faults"];
    let (_, well) = ask(&metric).await.unwrap();
    assert!(well);
    ask(&["metric", "rename-set", "--project", "web", "crashes", "health", "--rename-series"]).await.unwrap();
    let refused = ask(&["metric", "rename", "--project", "web", "health/errors", "x"]).await.unwrap_err();
    assert!(refused.to_string().contains("errors"), "{refused}");
    ask(&["metric", "move", "--project", "web", "health/faults", "health/errors"]).await.unwrap();
    ask(&["store", "pause", "web/middle"]).await.unwrap();
    ask(&["store", "resume", "web/middle"]).await.unwrap();
    let (said, _) = ask(&["store", "delete", "web/middle", "--drain"]).await.unwrap();
    assert!(said.contains("is deleted"), "{said}");
    // The copy is of the moment at which it was made: the store is in it under its old name.
    let data = folder.path().join("data");
    let line = ["ledger", "restore", "--data-dir", data.to_str().unwrap(), "--from", backup.to_str().unwrap()];
    let (said, well) = run(&line).await.unwrap();
    assert!(well && said.contains("restored") && said.contains("there is no key file"), "{said}");
    // The key is in no backup: it comes from where it was kept.
    let kept = backup.ancestors().map(|folder| folder.join("tidegate.key")).find(|key| key.exists()).unwrap();
    std::fs::copy(kept, data.join("tidegate.key")).unwrap();
    let clock = Arc::new(tidegate_model::SystemClock);
    let catalog = tidegate_export::catalog::Catalog::open(&data.join("tidegate.db"), clock).unwrap();
    let names = catalog.read(|v| {
        let project = v.projects(v.tenants()?[0].id)?.remove(0).id;
        Ok(v.stores(project)?.into_iter().map(|s| s.name.to_string()).collect::<Vec<_>>())
    });
    assert_eq!(names.unwrap(), ["central"]);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_catalog_or_event_store_is_told_to_whoever_asks_and_never_written_to() {
    for name in ["tidegate.db", "events.db"] {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join(name);
        let damaged = b"this was a database once ".repeat(1000);
        std::fs::write(&file, &damaged).unwrap();
        let mut options = crate::serve::Options::new(folder.path().to_owned());
        options.listen = "127.0.0.1:0".parse().unwrap();
        let started = crate::serve::Running::start(options, Arc::new(tidegate_model::SystemClock)).await;
        let Err(crate::serve::ServeError::Damaged { error, held }) = started else { panic!("it started") };
        assert!(error.to_string().contains("tidegate ledger restore"), "{error}");
        let address = std::fs::read_to_string(folder.path().join("address")).unwrap();
        let answer = reqwest::get(format!("http://{}/readyz", address.trim())).await.unwrap();
        assert_eq!(answer.status(), 503);
        assert!(answer.headers().contains_key("retry-after"));
        let told = answer.text().await.unwrap();
        assert!(told.contains(name) && told.contains("is damaged"), "{told}");
        held.stop().await;
        assert_eq!(std::fs::read(&file).unwrap(), damaged);
    }
}
