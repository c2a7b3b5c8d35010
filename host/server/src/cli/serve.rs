//! `tidegate serve`.

use super::secrets::KeyArgs;
use super::signals::Signals;
use super::{CliError, allowances, program, restore};
use crate::backups::Series;
use crate::http::{HttpLimits, TlsFiles};
use crate::logging::{self, LogForm};
use crate::serve::{Options, Running, ServeError};
use clap::Args;
use ipnet::IpNet;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::EventStoreOptions;
use tidegate_export::{Allowance, EgressPolicy, ExportSettings};
use tidegate_model::{EventLimits, SystemClock};
use tidegate_sandbox::{CompileLimits, CompileOptions, Limits};
use url::Url;

/// Arguments of `serve`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate serve --data-dir /var/lib/tidegate
  tidegate serve --data-dir ./data --allow-egress 10.1.0.0/16 --log json
  tidegate serve --listen 0.0.0.0:8460 --tls-cert cert.pem --tls-key key.pem --public-url https://tidegate.example:8460

The first start prints an API token, once. Put it into TIDEGATE_TOKEN and go on with `tidegate apply`.
Without --tls-cert and --tls-key it speaks plain HTTP: keep it on loopback then, or behind a proxy that has TLS.")]
pub struct ServeArgs {
    /// Where everything is kept; made if it is not there.
    #[arg(long, env = "TIDEGATE_DATA_DIR", value_name = "DIR", default_value = "tidegate-data")]
    pub data_dir: PathBuf,
    /// The key for the secrets in the data directory.
    #[command(flatten)]
    pub key: KeyArgs,
    /// Where to listen; port 0 picks a free one, which is written to DIR/address.
    #[arg(long, env = "TIDEGATE_LISTEN", value_name = "ADDR", default_value = "127.0.0.1:8460")]
    pub listen: SocketAddr,
    /// The server's certificate (PEM, with those between it and its authority): everything is HTTPS then. Read again when the
    /// file changes, and on SIGHUP.
    #[arg(long, env = "TIDEGATE_TLS_CERT", value_name = "FILE", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key of that certificate (PEM).
    #[arg(long, env = "TIDEGATE_TLS_KEY", value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// Where scrapers and people reach this server, for the URLs that it tells them; without it, where it listens.
    #[arg(long, env = "TIDEGATE_PUBLIC_URL", value_name = "URL", value_parser = public_url)]
    pub public_url: Option<Url>,
    /// The folder with more adapters (*.wasm); one that is dropped into it goes live without a restart. Without this, DIR/adapters.
    #[arg(long, env = "TIDEGATE_ADAPTER_DIR", value_name = "DIR")]
    pub adapter_dir: Option<PathBuf>,
    /// The folder with the public keys (minisign, VENDOR.pub) of those whose adapters are trusted; looked at while the server runs.
    /// Without this, DIR/adapter-keys.
    #[arg(long, env = "TIDEGATE_ADAPTER_KEYS", value_name = "DIR")]
    pub adapter_keys: Option<PathBuf>,
    /// Refuse adapters that none of these keys has signed; those that come with Tidegate are taken anyway.
    #[arg(long, env = "TIDEGATE_REQUIRE_SIGNATURES")]
    pub require_signatures: bool,
    /// Where compiled adapters are kept, so that a start need not compile them again; without it, inside the data directory.
    #[arg(long, env = "TIDEGATE_CACHE_DIR", value_name = "DIR")]
    pub cache_dir: Option<PathBuf>,
    /// A network, or an address, that stores may reach although it is not public; repeatable.
    #[arg(long, env = "TIDEGATE_ALLOW_EGRESS", value_name = "CIDR", value_delimiter = ',', value_parser = network)]
    pub allow_egress: Vec<IpNet>,
    /// Age in seconds at which a window that has not arrived expires.
    #[arg(long, env = "TIDEGATE_LOOK_BACK", value_name = "SECONDS", default_value_t = 86_400)]
    pub look_back: u64,
    /// Make a backup this often, in seconds, and keep them as a series, with the changes between them: `tidegate ledger restore --as-of`
    /// goes back to any second.
    #[arg(long, env = "TIDEGATE_BACKUP_EVERY", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    pub backup_every: Option<u64>,
    /// How many backups of the series are kept; older ones are removed.
    #[arg(long, env = "TIDEGATE_BACKUP_KEEP", value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u16).range(1..))]
    pub backup_keep: u16,
    /// Whether the changes between two backups of the series are kept; without them a restore goes back to backups only.
    #[arg(long, env = "TIDEGATE_BACKUP_CHANGES", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    pub backup_changes: bool,
    /// Where backups are made; without it, `backups` in the data directory. Another disk is better.
    #[arg(long, env = "TIDEGATE_BACKUP_DIR", value_name = "DIR")]
    pub backup_dir: Option<PathBuf>,
    /// How long requests and deliveries under way may take to finish when the server is stopped, in seconds.
    #[arg(long, env = "TIDEGATE_GRACE", value_name = "SECONDS", default_value_t = 10)]
    pub grace: u64,
    /// The form of the log.
    #[arg(long, env = "TIDEGATE_LOG", value_name = "FORM", value_enum, default_value_t)]
    pub log: LogForm,
    /// What to log: error, warn, info, debug or trace, also for single parts, as in info,tidegate::access=debug.
    #[arg(long, env = "TIDEGATE_LOG_LEVEL", value_name = "FILTER", default_value = "info")]
    pub log_level: String,
    /// The limits.
    #[command(flatten)]
    pub limits: LimitArgs,
}

/// Limits; each has a default that suits one machine.
#[derive(Debug, Args)]
#[command(next_help_heading = "Limits (sizes may end in KiB, MiB or GiB)")]
pub struct LimitArgs {
    /// Bytes of one submission, as sent and again after decompression.
    #[arg(long, env = "TIDEGATE_MAX_BODY", value_name = "SIZE", default_value = "16MiB", value_parser = size)]
    pub max_body: usize,
    /// Bytes of one bulk, as sent and again after decompression.
    #[arg(long, env = "TIDEGATE_MAX_BULK", value_name = "SIZE", default_value = "1GiB", value_parser = size)]
    pub max_bulk: usize,
    /// Bytes of one line of a bulk.
    #[arg(long, env = "TIDEGATE_MAX_LINE", value_name = "SIZE", default_value = "1MiB", value_parser = size)]
    pub max_line: usize,
    /// Attributes of one event.
    #[arg(long, env = "TIDEGATE_MAX_ATTRIBUTES", value_name = "N", default_value_t = 512)]
    pub max_attributes: usize,
    /// Attributes that a project may have in all.
    #[arg(long, env = "TIDEGATE_MAX_PROJECT_ATTRIBUTES", value_name = "N", default_value_t = 4096)]
    pub max_project_attributes: usize,
    /// Bytes of an attribute's text.
    #[arg(long, env = "TIDEGATE_MAX_VALUE", value_name = "SIZE", default_value = "16KiB", value_parser = size)]
    pub max_value: usize,
    /// Submissions under way at once.
    #[arg(long, env = "TIDEGATE_MAX_SUBMISSIONS", value_name = "N", default_value_t = 256)]
    pub max_submissions: usize,
    /// Bytes of bodies held in memory at once.
    #[arg(long, env = "TIDEGATE_MAX_HELD", value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub max_held: usize,
    /// Connections at once.
    #[arg(long, env = "TIDEGATE_MAX_CONNECTIONS", value_name = "N", default_value_t = 1024)]
    pub max_connections: usize,
    /// Queries answered at once.
    #[arg(long, env = "TIDEGATE_MAX_QUERIES", value_name = "N", default_value_t = 4)]
    pub max_queries: usize,
    /// Bytes of memory that one query may use for what it finds.
    #[arg(long, env = "TIDEGATE_QUERY_MEMORY", value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub query_memory: usize,
    /// Bytes of windows that may wait for one store, as stored; beyond, its oldest expire.
    #[arg(long, env = "TIDEGATE_MAX_QUEUE", value_name = "SIZE", default_value = "256MiB", value_parser = size)]
    pub max_queue: usize,
    /// Bytes that events.db may grow to; without it, what the disk holds.
    #[arg(long, env = "TIDEGATE_MAX_EVENTS_FILE", value_name = "SIZE", value_parser = size)]
    pub max_events_file: Option<usize>,
    /// Rows of one metric in one window; groups beyond become one row called `other`.
    #[arg(long, env = "TIDEGATE_MAX_GROUPS", value_name = "N", default_value_t = 10_000)]
    pub max_groups: u32,
    /// Seconds that one metric may take over one window; beyond, its set is tried again later, and the others go on.
    #[arg(long, env = "TIDEGATE_METRIC_TIME", value_name = "SECONDS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    pub metric_time: u64,
    /// Bytes of memory that evaluating the metrics of one metric set may take; one that does not fit even alone fails, with both figures.
    #[arg(long, env = "TIDEGATE_EVALUATION_MEMORY", value_name = "SIZE", default_value = "512MiB", value_parser = size)]
    pub evaluation_memory: usize,
    /// Milliseconds that one call into an adapter may take.
    #[arg(long, env = "TIDEGATE_ADAPTER_TIME", value_name = "MS", default_value_t = 1_000)]
    pub adapter_time: u64,
    /// Bytes of memory that one call into an adapter may use.
    #[arg(long, env = "TIDEGATE_ADAPTER_MEMORY", value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub adapter_memory: usize,
    /// Give the memory of each call of an adapter back to the system, for hosts of tenants who do not trust each other. Without it, pages
    /// stay to be overwritten where the kernel tells which were written and there is no swap: a small call is a third quicker.
    #[arg(long, env = "TIDEGATE_FRESH_ADAPTER_MEMORY")]
    pub fresh_adapter_memory: bool,
    /// Bytes that an adapter may write for one delivery or page.
    #[arg(long, env = "TIDEGATE_ADAPTER_OUTPUT", value_name = "SIZE", default_value = "64MiB", value_parser = size)]
    pub adapter_output: usize,
    /// Requests that an adapter may make in one delivery.
    #[arg(long, env = "TIDEGATE_ADAPTER_ACTIONS", value_name = "N", default_value_t = 64)]
    pub adapter_actions: u32,
    /// Handles to metrics, measures, requests and the like that an adapter may hold at once.
    #[arg(long, env = "TIDEGATE_ADAPTER_HANDLES", value_name = "N", default_value_t = 50_000)]
    pub adapter_handles: u32,
    /// Lines that one call into an adapter may print to the log; what is beyond is left out and counted.
    #[arg(long, env = "TIDEGATE_ADAPTER_LOG_LINES", value_name = "N", default_value_t = 20)]
    pub adapter_log_lines: u32,
    /// Bytes of an adapter's file.
    #[arg(long, env = "TIDEGATE_ADAPTER_SIZE", value_name = "SIZE", default_value = "32MiB", value_parser = size)]
    pub adapter_size: usize,
    /// Milliseconds of CPU time that the adapter of one store may take in a minute.
    #[arg(long, env = "TIDEGATE_ADAPTER_CPU", value_name = "MS", default_value_t = 20_000)]
    pub adapter_cpu: u64,
    /// Milliseconds of CPU time that all adapters of one tenant may take in a minute; without it, 60,000 for each core.
    #[arg(long, env = "TIDEGATE_TENANT_CPU", value_name = "MS")]
    pub tenant_cpu: Option<u64>,
    /// Deliveries and pages of one tenant under way at once.
    #[arg(long, env = "TIDEGATE_TENANT_INSTANCES", value_name = "N", default_value_t = 96)]
    pub tenant_instances: u32,
    /// Limits of single tenants, none above those given here: a YAML file such as
    /// `tenants: {acme: {adapter-memory: 16MiB, adapter-cpu: 5000, tenant-instances: 8}}`.
    #[arg(long, env = "TIDEGATE_TENANT_LIMITS", value_name = "FILE")]
    pub tenant_limits: Option<PathBuf>,
    /// CPU seconds that compiling an adapter may take.
    #[arg(long, env = "TIDEGATE_COMPILE_TIME", value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    pub compile_time: u64,
    /// Bytes of memory that compiling an adapter may take.
    #[arg(long, env = "TIDEGATE_COMPILE_MEMORY", value_name = "SIZE", default_value = "2GiB", value_parser = size)]
    pub compile_memory: usize,
}

impl ServeArgs {
    fn options(&self) -> Options {
        let limits = &self.limits;
        let events = EventLimits {
            body_bytes: limits.max_body,
            attributes: limits.max_attributes,
            value_bytes: limits.max_value,
            project_attributes: limits.max_project_attributes,
            ..EventLimits::default()
        };
        Options {
            key: self.key.source(),
            listen: self.listen,
            tls: self
                .tls_cert
                .clone()
                .zip(self.tls_key.clone())
                .map(|(certificate, key)| TlsFiles { certificate, key }),
            public_url: self.public_url.clone(),
            adapter_dir: self.adapter_dir.clone(),
            adapter_keys: self.adapter_keys.clone(),
            require_signatures: self.require_signatures,
            cache_dir: self.cache_dir.clone(),
            compile: CompileOptions {
                limits: CompileLimits {
                    cpu: Duration::from_secs(limits.compile_time),
                    memory_bytes: u64::try_from(limits.compile_memory).unwrap_or(u64::MAX),
                    ..CompileLimits::default()
                },
                ..CompileOptions::default()
            },
            egress: EgressPolicy::allowing(self.allow_egress.clone()),
            http: HttpLimits {
                events,
                bulk_bytes: limits.max_bulk,
                line_bytes: limits.max_line,
                submissions: limits.max_submissions,
                held_bytes: limits.max_held,
                connections: limits.max_connections,
                queries: limits.max_queries,
                query_bytes: limits.query_memory,
                ..HttpLimits::default()
            },
            adapters: limits.allowance(),
            adapter_bytes: limits.adapter_size,
            fresh_adapter_memory: limits.fresh_adapter_memory,
            events: EventStoreOptions {
                file_bytes: limits.max_events_file.and_then(|b| u64::try_from(b).ok()),
                limits: events,
                ..EventStoreOptions::default()
            },
            export: ExportSettings {
                groups: limits.max_groups,
                metric_time: Duration::from_secs(limits.metric_time),
                evaluation_bytes: limits.evaluation_memory,
                look_back: Duration::from_secs(self.look_back),
                queue_bytes: limits.max_queue as u64,
                ..ExportSettings::default()
            },
            backup_dir: self.backup_dir.clone(),
            backups: self
                .backup_every
                .map(|seconds| Series { every: Duration::from_secs(seconds), keep: usize::from(self.backup_keep) }),
            keep_changes: self.backup_changes,
            grace: Duration::from_secs(self.grace),
            ..Options::new(self.data_dir.clone())
        }
    }
}

impl LimitArgs {
    fn allowance(&self) -> Allowance {
        let defaults = Allowance::default();
        Allowance {
            call: Limits {
                call_time: Duration::from_millis(self.adapter_time),
                memory_bytes: self.adapter_memory,
                output_bytes: u64::try_from(self.adapter_output).unwrap_or(u64::MAX),
                actions: self.adapter_actions,
                handles: self.adapter_handles,
                log_lines: self.adapter_log_lines,
            },
            store_cpu: Duration::from_millis(self.adapter_cpu),
            tenant_cpu: self.tenant_cpu.map_or(defaults.tenant_cpu, Duration::from_millis),
            instances: self.tenant_instances,
            component_bytes: self.adapter_size,
        }
    }
}

pub(crate) async fn run(args: ServeArgs) -> Result<ExitCode, CliError> {
    logging::start(args.log, &args.log_level).map_err(|e| CliError::Failed(e.to_string()))?;
    let mut signals = Signals::listen()?;
    let started = std::time::Instant::now();
    let mut options = args.options();
    if let Some(file) = &args.limits.tenant_limits {
        options.tenants = allowances::read(file, &options.adapters).map_err(|why| CliError::file(file, why))?;
    }
    options.compile.program = super::compile::by_child().program;
    let running = loop {
        let start = Running::start(options.clone(), Arc::new(SystemClock));
        let (error, held) = tokio::select! {
            running = start => match running {
                Ok(running) => break running,
                Err(ServeError::Damaged { error, held }) => (error, held),
                Err(error) => return Err(CliError::Failed(error.to_string())),
            },
            () = signals.next() => return Ok(ExitCode::SUCCESS),
        };
        tracing::error!("waiting for a human, and answering 503 meanwhile: {error}");
        let is_restored = tokio::select! {
            () = restore::finished(&options.data_dir) => true,
            () = signals.next() => false,
        };
        held.stop().await;
        if !is_restored {
            return Err(CliError::Failed(error.to_string()));
        }
        tracing::info!("a backup was restored; starting with it");
    };
    let address = running.address();
    let scheme = if args.tls_cert.is_some() { "https" } else { "http" };
    tracing::info!(%address, data = %args.data_dir.display(), millis = started.elapsed().as_millis(), "ready: {scheme}://{address}");
    if !address.ip().is_loopback() && args.tls_cert.is_none() {
        tracing::warn!(%address, "listening beyond this machine without TLS: tokens can be read on the way; use --tls-cert and --tls-key, or put a proxy with TLS in front");
    }
    if let Some(token) = running.first_token() {
        welcome(token.expose(), &format!("{scheme}://{address}"));
    }
    if let Some(link) = running.setup_link() {
        invite(link.expose());
    }
    signals.next().await;
    tracing::info!("stopping; once more stops at once");
    tokio::spawn(async move {
        signals.next().await;
        tracing::warn!("stopped at once; what was acknowledged is on disk");
        std::process::exit(130);
    });
    if !running.stop().await {
        tracing::warn!("some requests did not finish in time");
    }
    tracing::info!("stopped");
    Ok(ExitCode::SUCCESS)
}

/// The first token goes to the terminal and not to the log, which others may read.
#[allow(clippy::print_stderr, reason = "the one thing that must be seen and must not be logged")]
fn welcome(token: &str, server: &str) {
    eprintln!(
        "\nThis is the API token. It is shown this once:\n\n    {token}\n\nNext:\n\n    export TIDEGATE_TOKEN={token}\n    \
         {} apply -f tidegate.yaml --server {server}\n",
        program()
    );
}

/// The link goes where the token goes.
#[allow(clippy::print_stderr, reason = "as above")]
fn invite(link: &str) {
    eprintln!(
        "Nobody has an account yet. Choose a name and a password here; the link works once, until the next start:\n\n    {link}\n"
    );
}

/// A URL that `/pull/...` can be appended to.
fn public_url(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|e| format!("{e}; write for example https://tidegate.example"))?;
    let plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() || !plain {
        return Err(
            "expected http:// or https://, a host, and a path at most; for example https://tidegate.example".into()
        );
    }
    Ok(url)
}

/// A network, or a single address.
fn network(text: &str) -> Result<IpNet, String> {
    let single = |e: &dyn std::fmt::Display| text.parse::<IpAddr>().map(IpNet::from).map_err(|_| e.to_string());
    text.parse::<IpNet>()
        .or_else(|e| single(&e))
        .map_err(|e| format!("{e}; write for example 10.1.0.0/16 or 127.0.0.1"))
}

/// A number of bytes, with a unit if one is given.
pub(super) fn size(text: &str) -> Result<usize, String> {
    let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(at);
    let shift = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kib" => 10,
        "m" | "mib" => 20,
        "g" | "gib" => 30,
        other => return Err(format!("{other:?} is no unit; write for example 16MiB")),
    };
    let number: usize = number.parse().map_err(|_| "expected a number of bytes, for example 16MiB".to_owned())?;
    number
        .checked_mul(1 << shift)
        .filter(|n| *n > 0)
        .ok_or_else(|| "expected more than nothing and less than that".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn options(line: &[&str]) -> Options {
        match Cli::try_parse_from(["tidegate", "serve"].iter().chain(line)).unwrap().command {
            Command::Serve(args) => args.options(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn flags_that_are_not_given_leave_the_defaults() {
        let (ours, defaults) = (options(&[]), Options::new("tidegate-data".into()));
        assert_eq!(format!("{ours:?}"), format!("{defaults:?}"));
    }

    #[test]
    fn a_public_url_has_a_host_and_nothing_that_a_path_could_not_follow() {
        assert_eq!(public_url("https://h:1/under/").unwrap().as_str(), "https://h:1/under/");
        for wrong in ["h", "ftp://h", "https://h/?a=b", "https://h/#a", "https://u@h/"] {
            assert!(public_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn certificate_and_key_come_together() {
        let parsed = |line: &[&str]| Cli::try_parse_from(["tidegate", "serve"].iter().chain(line)).is_ok();
        assert!(!parsed(&["--tls-cert", "c.pem"]) && !parsed(&["--tls-key", "k.pem"]));
        let tls = options(&["--tls-cert", "c.pem", "--tls-key", "k.pem"]).tls.unwrap();
        assert_eq!((tls.certificate, tls.key), ("c.pem".into(), "k.pem".into()));
    }

    #[test]
    fn networks_may_be_given_several_times_and_as_single_addresses() {
        let options = options(&["--allow-egress", "10.0.0.0/8", "--allow-egress", "127.0.0.1,::1"]);
        let allowed: Vec<String> = options.egress.allowed().iter().map(ToString::to_string).collect();
        assert_eq!(allowed, ["10.0.0.0/8", "127.0.0.1/32", "::1/128"]);
        assert!(network("nowhere").unwrap_err().contains("10.1.0.0/16"));
    }

    #[test]
    fn sizes_are_read_with_and_without_units() {
        assert_eq!((size("5"), size("2KiB"), size("3m"), size("1 GiB")), (Ok(5), Ok(2048), Ok(3 << 20), Ok(1 << 30)));
        for wrong in ["", "MiB", "5 parsec", "0", "-1", "99999999999999999999"] {
            assert!(size(wrong).is_err(), "{wrong}");
        }
        assert_eq!(options(&["--max-line", "2KiB"]).http.line_bytes, 2048);
    }
}
