//! Graphite: carbon, which stores, and graphite-web, which gives back.
//!
//! Carbon answers nothing whatever comes; a line that it cannot read shows only in its log, see [`Graphite::bad_lines`]. Series
//! are found by the index of tags, which carbon tells graphite-web of a little later than it stores, so reading means waiting.

use super::{START, installed};
use crate::http;
use crate::points::{Point, Points};
use crate::process::{Process, run_well};
use crate::scratch::{Scratch, free_port};
use crate::wait;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Debian's own Python, which has the modules; another `python3` in the path has not.
const PYTHON: &str = "/usr/bin/python3";

/// After this long carbon has surely written what it took.
const WRITTEN: Duration = Duration::from_secs(5);

/// A running (or stopped) Graphite that keeps one value a second.
#[derive(Debug)]
pub struct Graphite {
    carbon: Option<Process>,
    _web: Process,
    folder: PathBuf,
    log: PathBuf,
    line_port: u16,
    web_port: u16,
    hours: u64,
}

impl Graphite {
    /// Starts both parts, to keep an hour.
    ///
    /// # Panics
    /// If they are not installed or do not come up.
    #[must_use]
    pub fn start(scratch: &Scratch) -> Self {
        Self::keeping(scratch, 1)
    }

    /// Starts both parts, to keep so many hours: carbon makes a file of a fixed size for each series.
    ///
    /// # Panics
    /// If they are not installed or do not come up.
    #[must_use]
    pub fn keeping(scratch: &Scratch, hours: u64) -> Self {
        let folder = scratch.folder("graphite");
        let [line_port, pickle, query, web_port] = [(); 4].map(|()| free_port());
        std::fs::create_dir_all(folder.join("whisper")).unwrap_or_else(|e| panic!("no folder for Graphite: {e}"));
        let write = |name: &str, text: String| scratch.file(&format!("graphite/{name}"), text);
        let at = folder.display();
        write("storage-schemas.conf", format!("[default]\npattern = .*\nretentions = 1s:{hours}h\n"));
        write(
            "carbon.conf",
            format!(
                "[cache]\nSTORAGE_DIR = {at}\nLOCAL_DATA_DIR = {at}/whisper\nCONF_DIR = {at}\nLOG_DIR = {at}\nPID_DIR = {at}\n\
                 DATABASE = whisper\nUSER =\nLINE_RECEIVER_INTERFACE = 127.0.0.1\nLINE_RECEIVER_PORT = {line_port}\n\
                 PICKLE_RECEIVER_INTERFACE = 127.0.0.1\nPICKLE_RECEIVER_PORT = {pickle}\n\
                 CACHE_QUERY_INTERFACE = 127.0.0.1\nCACHE_QUERY_PORT = {query}\nMAX_CACHE_SIZE = inf\n\
                 MAX_UPDATES_PER_SECOND = inf\nMAX_CREATES_PER_MINUTE = inf\nLOG_UPDATES = False\nLOG_CREATES = False\n\
                 CARBON_METRIC_INTERVAL = 0\nENABLE_TAGS = True\nTAG_HASH_FILENAMES = True\n\
                 GRAPHITE_URL = http://127.0.0.1:{web_port}\n"
            ),
        );
        write(
            "web_settings.py",
            format!(
                "SECRET_KEY = 'tests'\nALLOWED_HOSTS = ['*']\nLOG_DIR = STORAGE_DIR = '{at}'\n\
                 WHISPER_DIR = '{at}/whisper'\nSTANDARD_DIRS = [WHISPER_DIR]\nCARBONLINK_HOSTS = ['127.0.0.1:{query}']\n\
                 LOG_FILE_INFO = LOG_FILE_EXCEPTION = LOG_FILE_CACHE = LOG_FILE_RENDERING = '-'\nTIME_ZONE = 'UTC'\n\
                 DATABASES = {{'default': {{'ENGINE': 'django.db.backends.sqlite3', 'NAME': '{at}/web.sqlite'}}}}\n"
            ),
        );
        let serve = "import sys\nfrom wsgiref.simple_server import make_server\nfrom graphite.wsgi import application\n\
                     make_server('127.0.0.1', int(sys.argv[1]), application).serve_forever()\n";
        let serve = write("serve.py", serve.to_owned());
        run_well(web(&folder).args(["-m", "django", "migrate", "--run-syncdb"]));
        let mut command = web(&folder);
        command.arg(serve).arg(web_port.to_string());
        let mut process = Process::start("graphite-web", &mut command, &scratch.path("graphite-web.log"));
        let index = format!("http://127.0.0.1:{web_port}/metrics/index.json");
        process.until("graphite-web answers", START, || http::get(&index).send()?.ok());
        let log = scratch.path("carbon.log");
        let mut server = Self { carbon: None, _web: process, folder, log, line_port, web_port, hours };
        server.restart();
        server
    }

    /// The port for lines.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.line_port
    }

    /// Lets carbon stand still: connections are taken by the kernel, and nothing is read.
    pub fn halt(&self) {
        self.carbon.iter().for_each(Process::halt);
    }

    /// Lets carbon go on after a [`halt`](Self::halt).
    pub fn go_on(&self) {
        self.carbon.iter().for_each(Process::go_on);
    }

    /// Stops carbon so that it keeps what it has taken, if nobody sends any more: it writes what it has in memory once a second,
    /// and forgets what it has not written yet, which no sender can know.
    pub fn stop(&mut self) {
        std::thread::sleep(WRITTEN);
        self.kill();
    }

    /// Kills carbon, the receiver of lines.
    pub fn kill(&mut self) {
        drop(self.carbon.take());
    }

    /// Starts carbon again on the same port and data.
    ///
    /// # Panics
    /// If it does not come up.
    pub fn restart(&mut self) {
        self.kill();
        let mut command = installed("carbon-cache", "graphite-carbon");
        command.arg(format!("--config={}", self.folder.join("carbon.conf").display()));
        command.arg(format!("--logdir={}", self.folder.display()));
        // Its own name for the file with its process id, or it takes itself for running after a kill.
        let pid = self.folder.join(format!("carbon-{}.pid", free_port()));
        command.arg(format!("--pidfile={}", pid.display())).args(["--nodaemon", "start"]);
        let mut process = Process::start("carbon-cache", &mut command, &self.log);
        let address = ("127.0.0.1", self.line_port);
        process.until("carbon listens", START, || TcpStream::connect(address).map_err(|e| e.to_string()));
        self.carbon = Some(process);
    }

    /// Everything that is stored: for each name, tag set and second the value.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn points(&self) -> Result<Points, String> {
        self.points_of(&["seriesByTag('name=~.+')"])
    }

    /// What is stored of series that are named by path, by patterns as `a.b.*`. They are found by their files, so those are found
    /// too that carbon was killed over before it told graphite-web of them.
    ///
    /// # Errors
    /// Why it could not be read.
    pub fn points_of(&self, targets: &[&str]) -> Result<Points, String> {
        let targets: String = targets.iter().map(|target| format!("target={}&", http::encode(target))).collect();
        let url = format!("http://127.0.0.1:{}/render", self.web_port);
        let minutes = self.hours * 60 - 10;
        let body = format!("{targets}format=json&from=-{minutes}min&until=%2B1min&noNullPoints=true");
        let request = http::post(&url).header("content-type", "application/x-www-form-urlencoded").body(body);
        let answer = request.send()?.ok()?.json();
        let mut points = Points::default();
        for series in answer.as_array().ok_or("no list of series")? {
            let tags = series["tags"].as_object().ok_or_else(|| format!("a series without tags: {series}"))?;
            let text = |v: &serde_json::Value| v.as_str().unwrap_or_default().to_owned();
            let name = tags.get("name").map(text).ok_or("a series without a name")?;
            let labels = tags.iter().filter(|(k, _)| *k != "name").map(|(k, v)| (k.clone(), text(v))).collect();
            let point = Point { name, labels, time: 0 };
            for pair in series["datapoints"].as_array().into_iter().flatten() {
                let (Some(value), Some(time)) = (pair[0].as_f64(), pair[1].as_u64()) else {
                    return Err(format!("not a point: {pair}"));
                };
                points.insert(Point { time, ..point.clone() }, value)?;
            }
        }
        Ok(points)
    }

    /// What carbon says in its log of lines that it could not read.
    #[must_use]
    pub fn bad_lines(&self) -> Vec<String> {
        let log = std::fs::read(&self.log).unwrap_or_default();
        let bad = |line: &&str| line.contains("invalid line") || line.contains("Error parsing");
        String::from_utf8_lossy(&log).lines().filter(bad).map(str::to_owned).collect()
    }
}

fn web(folder: &Path) -> Command {
    assert!(Path::new(PYTHON).is_file(), "{PYTHON} is missing. Run tests/setup.sh");
    let mut command = Command::new(PYTHON);
    command.env("PYTHONPATH", folder).env("GRAPHITE_SETTINGS_MODULE", "web_settings");
    command.env("DJANGO_SETTINGS_MODULE", "graphite.settings");
    command
}

/// carbon-c-relay, which writes what it takes into a file: names that it would change come out changed.
#[derive(Debug)]
pub struct Relay {
    _process: Process,
    out: PathBuf,
    port: u16,
}

impl Relay {
    /// Starts it.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    #[must_use]
    pub fn start(scratch: &Scratch) -> Self {
        let (port, out) = (free_port(), scratch.path("relayed.txt"));
        let config = format!(
            "cluster out file {} ;\nmatch * send to out stop ;\nlisten type linemode 127.0.0.1:{port} proto tcp ;\n",
            out.display()
        );
        let config = scratch.file("relay.conf", config);
        let mut command = installed("carbon-c-relay", "carbon-c-relay");
        // -s: its statistics stay out of what it passes on.
        command.arg("-f").arg(config).args(["-w", "1", "-s"]);
        let mut process = Process::start("carbon-c-relay", &mut command, &scratch.path("carbon-c-relay.log"));
        let connect = || TcpStream::connect(("127.0.0.1", port)).map_err(|e| e.to_string());
        process.until("carbon-c-relay listens", START, connect);
        Self { _process: process, out, port }
    }

    /// The port for lines.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The lines that came out so far, sorted.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.out).unwrap_or_default();
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort();
        lines
    }
}

/// Writes lines as a program would that is none of ours: whole, then half-close, then wait for the end.
///
/// # Panics
/// If that fails.
pub fn send_lines(port: u16, lines: &[u8]) {
    use std::io::{Read, Write};
    wait::until("the lines are taken", START, || {
        let send = || -> std::io::Result<()> {
            let mut stream = TcpStream::connect(("127.0.0.1", port))?;
            stream.write_all(lines)?;
            stream.shutdown(std::net::Shutdown::Write)?;
            stream.read_to_end(&mut Vec::new()).map(drop)
        };
        send().map_err(|e| e.to_string())
    });
}
