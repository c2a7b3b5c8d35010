//! InfluxDB 1.x with authentication on: an admin who reads, and a writer who may do nothing but write.

use super::{START, installed};
use crate::http;
use crate::points::{Point, Points};
use crate::process::Process;
use crate::scratch::{Scratch, free_port};
use serde_json::Value as Json;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A running (or stopped) InfluxDB server.
#[derive(Debug)]
pub struct Influxd {
    process: Option<Process>,
    config: PathBuf,
    log: PathBuf,
    port: u16,
}

impl Influxd {
    /// The user that may write into [`DATABASE`](Self::DATABASE), and nothing else.
    pub const USER: &str = "writer";
    /// The writer's password: a text that can be looked for in places where it must not be.
    pub const PASSWORD: &str = "canary-influx-password-5f1c";
    /// The database.
    pub const DATABASE: &str = "shared";
    const ADMIN: (&str, &str) = ("admin", "admin-password");

    /// Starts it and makes the users and the database.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    #[must_use]
    pub fn start(scratch: &Scratch) -> Self {
        Self::with_largest_body(scratch, 25_000_000)
    }

    /// Starts one that takes bodies up to `bytes` as sent, which is 25,000,000 unless configured.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    #[must_use]
    pub fn with_largest_body(scratch: &Scratch, bytes: u64) -> Self {
        let folder = scratch.folder("influxd");
        let (port, rpc) = (free_port(), free_port());
        let at = folder.display();
        let config = scratch.file(
            "influxd.conf",
            format!(
                "reporting-disabled = true\nbind-address = \"127.0.0.1:{rpc}\"\n\
                 [meta]\n  dir = \"{at}/meta\"\n\
                 [data]\n  dir = \"{at}/data\"\n  wal-dir = \"{at}/wal\"\n  query-log-enabled = false\n\
                 [http]\n  bind-address = \"127.0.0.1:{port}\"\n  auth-enabled = true\n  log-enabled = false\n\
                 \x20 max-body-size = {bytes}\n\
                 [monitor]\n  store-enabled = false\n"
            ),
        );
        let mut server = Self { process: None, config, log: scratch.path("influxd.log"), port };
        server.restart();
        let (admin, password) = Self::ADMIN;
        server.set_up(&format!("CREATE USER {admin} WITH PASSWORD '{password}' WITH ALL PRIVILEGES"));
        server.set_up(&format!("CREATE DATABASE {}", Self::DATABASE));
        server.set_up(&format!("CREATE USER {} WITH PASSWORD '{}'", Self::USER, Self::PASSWORD));
        server.set_up(&format!("GRANT WRITE ON {} TO {}", Self::DATABASE, Self::USER));
        server
    }

    /// The URL for a store's settings.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The port of its HTTP API.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Lets it stand still: connections are taken by the kernel, and nothing answers.
    pub fn halt(&self) {
        self.process.iter().for_each(Process::halt);
    }

    /// Lets it go on after a [`halt`](Self::halt).
    pub fn go_on(&self) {
        self.process.iter().for_each(Process::go_on);
    }

    /// Stops it in an orderly way, so that it keeps what it acknowledged.
    ///
    /// # Panics
    /// If it does not end.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.terminate(Duration::from_secs(60));
        }
    }

    /// Starts it again after a [`stop`](Self::stop), on the same port and data.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&mut self) {
        self.stop();
        let mut command = installed("influxd", "influxdb");
        let mut process = Process::start("influxd", influxd(&mut command, &self.config), &self.log);
        let ping = format!("{}/ping", self.url());
        process.until("InfluxDB answers", START, || http::get(&ping).send()?.ok());
        self.process = Some(process);
    }

    /// Runs a query as admin and gives the answer.
    ///
    /// # Errors
    /// What the server answered instead, or why it did not.
    pub fn query(&self, query: &str) -> Result<Json, String> {
        let (admin, password) = Self::ADMIN;
        let url = format!("{}/query?db={}&epoch=s&q={}", self.url(), Self::DATABASE, http::encode(query));
        let answer = http::get(&url).basic(admin, password).send()?.ok()?.json();
        match answer["results"][0].get("error") {
            Some(error) => Err(format!("{query}: {error}")),
            None => Ok(answer),
        }
    }

    /// All points of the database: for each measurement, tag set and second the fields.
    ///
    /// # Errors
    /// Why they could not be read.
    pub fn points(&self) -> Result<Points, String> {
        let answer = self.query("SELECT * FROM /.*/ GROUP BY *")?;
        let mut points = Points::default();
        let empty = Vec::new();
        for series in answer["results"][0]["series"].as_array().unwrap_or(&empty) {
            let name = series["name"].as_str().ok_or("a series without a name")?;
            let mut tags = BTreeMap::new();
            for (key, value) in series["tags"].as_object().into_iter().flatten() {
                // A tag that this series lacks, but another one has, comes as an empty text.
                if let Some(value) = value.as_str().filter(|v| !v.is_empty()) {
                    tags.insert(key.clone(), value.to_owned());
                }
            }
            let columns = series["columns"].as_array().ok_or("a series without columns")?;
            for row in series["values"].as_array().unwrap_or(&empty) {
                let time = row[0].as_u64().ok_or_else(|| format!("a point without a time: {row}"))?;
                for (column, value) in columns.iter().zip(row.as_array().unwrap_or(&empty)).skip(1) {
                    let field = column.as_str().ok_or("a column without a name")?;
                    if let Some(value) = value.as_f64() {
                        points.insert(Point { name: format!("{name}.{field}"), labels: tags.clone(), time }, value)?;
                    } else if !value.is_null() {
                        return Err(format!("field {field} of {name} is not a number: {value}"));
                    }
                }
            }
        }
        Ok(points)
    }

    /// Writes lines as the writer, not through Tidegate.
    ///
    /// # Panics
    /// If they are refused.
    pub fn write(&self, lines: &str) {
        let url = format!("{}/write?db={}&precision=s", self.url(), Self::DATABASE);
        http::post(&url).basic(Self::USER, Self::PASSWORD).body(lines).send_well();
    }

    fn set_up(&self, statement: &str) {
        let (admin, password) = Self::ADMIN;
        let url = format!("{}/query?q={}", self.url(), http::encode(statement));
        let answer = http::post(&url).basic(admin, password).send_well().text();
        assert!(!answer.contains("error"), "{statement}: {answer}");
    }
}

fn influxd<'c>(command: &'c mut Command, config: &std::path::Path) -> &'c mut Command {
    command.arg("-config").arg(config)
}
