//! The real servers that Tidegate shares metrics with, from Debian's packages, on loopback and with data of their own.

mod collectd;
mod graphite;
mod influxd;
mod prometheus;
mod pushgateway;
mod victoria;

pub use collectd::{Collectd, Polled};
pub use graphite::{Graphite, Relay, send_lines};
pub use influxd::Influxd;
pub use prometheus::{Prometheus, Sample, Target, promtool_check};
pub use pushgateway::Pushgateway;
pub use victoria::VictoriaMetrics;

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// How long a server may take to answer its first request.
const START: Duration = Duration::from_secs(60);

/// A command for `program`, which one of Debian's packages installs.
///
/// # Panics
/// If it is not installed; the text is the command that installs it.
pub(crate) fn installed(program: &str, package: &str) -> Command {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    // Servers lie in sbin folders too, which not every user has in the path.
    let more = [PathBuf::from("/usr/sbin"), PathBuf::from("/usr/local/sbin")];
    let found = std::env::split_paths(&folders).chain(more).map(|f| f.join(program)).find(|p| p.is_file());
    match found {
        Some(path) => Command::new(path),
        None => panic!("{program} is not installed. Run tests/setup.sh (it installs Debian's package {package})"),
    }
}
