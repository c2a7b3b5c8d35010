//! The host as a child process: started, killed in the middle, started again on the same port and data.

use crate::api::Api;
use crate::http;
use crate::process::{Process, run, run_well};
use crate::scratch::{Scratch, build_folder, free_port};
use crate::tls::Authority;
use crate::wait;
use serde_json::Value as Json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

/// How long it may take to be ready: two cores may be busy with other tests and a first start compiles the adapters.
pub const START: Duration = Duration::from_secs(120);
/// How long an orderly end may take.
pub const STOP: Duration = Duration::from_secs(60);

/// A Tidegate host with a data directory of its own.
#[derive(Debug)]
pub struct Tidegate {
    binary: PathBuf,
    data: PathBuf,
    folder: PathBuf,
    log: PathBuf,
    port: u16,
    scheme: &'static str,
    arguments: Vec<String>,
    variables: Vec<(String, String)>,
    egress: Option<&'static str>,
    room: Option<u64>,
    hosts: Option<PathBuf>,
    process: Option<Process>,
    token: String,
}

impl Tidegate {
    /// One that was not started yet.
    ///
    /// # Panics
    /// If the program was not built; the text is the command that builds it.
    #[must_use]
    pub fn new(scratch: &Scratch) -> Self {
        Self {
            binary: binary(),
            data: scratch.path("data"),
            folder: scratch.path(""),
            log: scratch.path("tidegate.log"),
            port: free_port(),
            scheme: "http",
            arguments: Vec::new(),
            variables: Vec::new(),
            egress: Some("127.0.0.1/32"),
            room: None,
            hosts: None,
            process: None,
            token: String::new(),
        }
    }

    /// With one more argument of `serve`.
    #[must_use]
    pub fn argument(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// As operators run it who allow no egress rule: stores reach public addresses only.
    #[must_use]
    pub fn without_egress_rule(mut self) -> Self {
        self.egress = None;
        self
    }

    /// With one more variable in the environment of every command, for `{env: NAME}` in a document.
    #[must_use]
    pub fn variable(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// On a disk of its own that holds so many bytes and is gone with the process: memory, mounted in namespaces of the process. That
    /// takes no rights on systems where users may have namespaces of their own.
    #[must_use]
    pub fn with_room(mut self, bytes: u64) -> Self {
        self.room = Some(bytes);
        self
    }

    /// With a table of host names of its own, in the form of `/etc/hosts`. What is written to the file later counts at once.
    #[must_use]
    pub fn with_hosts(mut self, file: &Path) -> Self {
        self.hosts = Some(file.to_owned());
        self
    }

    /// The path by which a file in the data directory is seen from here, also if that is on a disk of its own.
    ///
    /// # Panics
    /// If it does not run.
    #[must_use]
    pub fn inside(&self, name: &str) -> PathBuf {
        let process = self.process.as_ref().unwrap_or_else(|| panic!("Tidegate was not started"));
        let data = self.data.strip_prefix("/").unwrap_or(&self.data);
        Path::new("/proc").join(process.id().to_string()).join("root").join(data).join(name)
    }

    /// Serving TLS with the certificate of `authority`.
    #[must_use]
    pub fn with_tls(mut self, authority: &Authority) -> Self {
        http::trust(authority);
        self.scheme = "https";
        for (option, file) in [("--tls-cert", &authority.certificate), ("--tls-key", &authority.key)] {
            self = self.argument(option).argument(file.display().to_string());
        }
        self.variable("TIDEGATE_CA", &authority.root.display().to_string())
    }

    /// Starts it for the first time, waits until it is ready and takes the API token that it prints.
    ///
    /// # Panics
    /// If it does not come up or prints no token.
    #[must_use]
    #[track_caller]
    pub fn start(mut self) -> Self {
        self.launch();
        self.wait_until_ready();
        // It is printed a moment after the server is ready.
        let printed = || tokens(&self.log()).next().ok_or_else(|| self.log());
        let token = wait::within(Duration::from_secs(20), printed);
        self.token = token.unwrap_or_else(|log| panic!("no API token was printed at the first start:\n{log}"));
        self
    }

    /// Starts the process and does not wait.
    ///
    /// # Panics
    /// If it cannot be started.
    pub fn launch(&mut self) {
        let mut command = match (self.room, &self.hosts) {
            (None, None) => self.command(),
            (room, hosts) => self.in_namespaces(room, hosts.as_deref()),
        };
        command.args(["serve", "--log", "json", "--listen"]).arg(format!("127.0.0.1:{}", self.port));
        command.arg("--data-dir").arg(&self.data).args(&self.arguments);
        // The receivers of the tests are on loopback, which a store may not reach unless the operator allows it.
        command.args(self.egress.iter().flat_map(|rule| ["--allow-egress", rule]));
        self.process = Some(Process::start("tidegate", &mut command, &self.log));
    }

    /// Waits until it says that it is ready.
    ///
    /// # Panics
    /// If it ends, or is not ready in time.
    #[track_caller]
    pub fn wait_until_ready(&mut self) {
        let ready = self.url("/readyz");
        let process = self.process.as_mut().unwrap_or_else(|| panic!("Tidegate was not started"));
        process.until("Tidegate is ready", START, || http::get(&ready).send()?.ok());
    }

    /// Kills it in the middle of whatever it does (SIGKILL).
    pub fn kill(&mut self) {
        drop(self.process.take());
    }

    /// Asks it to end and waits for that.
    ///
    /// # Panics
    /// If it does not end in time or not with success.
    #[track_caller]
    pub fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let status = process.terminate(STOP);
        assert!(status.success(), "Tidegate ended with {status} when asked to stop");
    }

    /// Starts it again on the same port and data, and waits until it is ready.
    ///
    /// # Panics
    /// If it does not come up.
    #[track_caller]
    pub fn restart(&mut self) {
        self.launch();
        self.wait_until_ready();
    }

    /// Its URL with `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}://127.0.0.1:{}{path}", self.scheme, self.port)
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// A client of the HTTP API with the token of the first start.
    #[must_use]
    pub fn api(&self) -> Api {
        Api::new(self.url(""), self.token.clone())
    }

    /// The API token of the first start.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Everything that it has logged, over all starts.
    #[must_use]
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&std::fs::read(&self.log).unwrap_or_default()).into_owned()
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Runs a command of the CLI against this server, whatever comes of it.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    #[track_caller]
    pub fn cli_output(&self, arguments: &[&str]) -> Output {
        run(self.client().args(arguments))
    }

    /// Runs a command of the CLI against this server and gives what it prints.
    ///
    /// # Panics
    /// If it fails.
    #[must_use]
    #[track_caller]
    pub fn cli(&self, arguments: &[&str]) -> String {
        run_well(self.client().args(arguments))
    }

    /// Applies a document with `tidegate apply` and gives what it prints.
    ///
    /// # Panics
    /// If it fails.
    #[track_caller]
    pub fn apply(&self, document: &Json) -> String {
        // JSON is YAML, too.
        let path = self.folder.join("tidegate.yaml");
        std::fs::write(&path, format!("{document:#}"))
            .unwrap_or_else(|e| panic!("cannot write {}: {e}", path.display()));
        self.cli(&["apply", "-f", &path.display().to_string()])
    }

    fn client(&self) -> Command {
        let mut command = self.command();
        command.env("TIDEGATE_SERVER", self.url("")).env("TIDEGATE_TOKEN", &self.token);
        command
    }

    fn command(&self) -> Command {
        self.dressed(Command::new(&self.binary))
    }

    /// The program, in namespaces where its data directory is a disk of its own, or names have their own meaning.
    fn in_namespaces(&self, room: Option<u64>, hosts: Option<&Path>) -> Command {
        std::fs::create_dir_all(&self.data).unwrap_or_else(|e| panic!("cannot make {}: {e}", self.data.display()));
        let disk = room.map(|bytes| format!("mount -t tmpfs -o size={bytes},mode=700 tidegate {}", quoted(&self.data)));
        let names = hosts.map(|file| format!("mount --bind {} /etc/hosts", quoted(file)));
        let mounts: Vec<String> = disk.into_iter().chain(names).collect();
        let script = format!(
            "{} || {{ echo 'Namespaces are needed: sysctl kernel.unprivileged_userns_clone=1 \
             kernel.apparmor_restrict_unprivileged_userns=0' >&2; exit 1; }}; exec \"$@\"",
            mounts.join(" && ")
        );
        let mut command = Command::new("unshare");
        command.args(["--user", "--map-root-user", "--mount", "--", "sh", "-c", &script, "sh"]).arg(&self.binary);
        self.dressed(command)
    }

    fn dressed(&self, mut command: Command) -> Command {
        // One cache for all: compiling the adapters anew at each start would be most of the work of many a test.
        command.env("TIDEGATE_CACHE_DIR", build_folder().join("compiled-adapters"));
        command.current_dir(&self.folder).envs(self.variables.iter().map(|(k, v)| (k, v)));
        command
    }
}

/// The program: the one that `TIDEGATE_TEST_BINARY` names, or else the one beside this test in cargo's output.
///
/// # Panics
/// If it was not built; the text is the command that builds it.
#[must_use]
pub fn binary() -> PathBuf {
    let named = std::env::var_os("TIDEGATE_TEST_BINARY").map(PathBuf::from);
    let path = named.unwrap_or_else(|| build_folder().join("tidegate"));
    assert!(path.is_file(), "{} is missing. Run: cargo build --workspace --bins", path.display());
    path
}

/// A path as the shell reads it.
fn quoted(path: &Path) -> String {
    format!("'{}'", path.display().to_string().replace('\'', "'\\''"))
}

/// The API tokens that occur in a text.
pub fn tokens(text: &str) -> impl Iterator<Item = String> {
    let inside = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    text.match_indices("tg_").filter_map(move |(at, _)| {
        let token: String = text[at..].chars().take_while(|c| inside(*c)).collect();
        (token.len() > 20).then_some(token)
    })
}
