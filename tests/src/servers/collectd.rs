//! collectd with its plugin `curl_json`: a poller of JSON documents over HTTPS with a login that is none of ours, with the parser
//! (YAJL) that Circonus' brokers use. It stands in for the transport of JSON:Pull and knows nothing of `_type`.

use super::installed;
use crate::process::Process;
use crate::scratch::{Scratch, free_port};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A running collectd that polls one document each second.
#[derive(Debug)]
pub struct Collectd {
    process: Process,
    folder: PathBuf,
}

/// What it polls.
#[derive(Debug, Clone, Copy)]
pub struct Polled<'a> {
    /// The whole URL.
    pub url: &'a str,
    /// User and password.
    pub login: (&'a str, &'a str),
    /// The only authority that it trusts, if the URL is one of HTTPS.
    pub root: Option<&'a Path>,
}

impl Collectd {
    /// Starts it. `name` keeps several of one test apart.
    ///
    /// # Panics
    /// If it is not installed.
    #[must_use]
    pub fn start(scratch: &Scratch, name: &str, polled: Polled<'_>) -> Self {
        let folder = scratch.folder(&format!("{name}-values"));
        let root = polled.root.map_or(String::new(), |root| format!("    CACert \"{}\"\n", root.display()));
        let (user, password) = polled.login;
        // No daemon looks up its own name, and values of a whole document have one host.
        let config = format!(
            "Hostname \"tests\"\nFQDNLookup false\nInterval 1\nBaseDir \"{at}\"\nPIDFile \"{at}/pid\"\n\
             LoadPlugin logfile\n<Plugin logfile>\n  File stdout\n  LogLevel info\n</Plugin>\n\
             LoadPlugin csv\n<Plugin csv>\n  DataDir \"{at}\"\n  StoreRates false\n</Plugin>\n\
             LoadPlugin curl_json\n<Plugin curl_json>\n  <URL \"{url}\">\n    Instance \"tidegate\"\n    User \"{user}\"\n    \
             Password \"{password}\"\n{root}    VerifyPeer true\n    VerifyHost true\n    <Key \"*/_value\">\n      \
             Type \"gauge\"\n    </Key>\n  </URL>\n</Plugin>\n",
            at = folder.display(),
            url = polled.url,
        );
        let config = scratch.file(&format!("{name}.conf"), config);
        let mut command = installed("collectd", "collectd-core");
        command.arg("-f").arg("-C").arg(config).arg("-P").arg(folder.join(format!("pid-{}", free_port())));
        let process = Process::start("collectd", &mut command, &scratch.path(&format!("{name}.log")));
        Self { process, folder }
    }

    /// What it has logged, with what it could not read.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// All values that it has read, by the key of the document: each a list, oldest first. It writes six digits after the point.
    ///
    /// # Errors
    /// If what it wrote cannot be read.
    pub fn values(&self) -> Result<BTreeMap<String, Vec<f64>>, String> {
        let mut values: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let folder = self.folder.join("tests/curl_json-tidegate");
        let Ok(files) = std::fs::read_dir(&folder) else { return Ok(values) };
        let mut files: Vec<_> = files.flatten().map(|f| f.path()).collect();
        // One file a day, so in the order of their names.
        files.sort();
        for path in files {
            let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            // gauge-KEY-_value-YYYY-MM-DD
            let key = file.strip_prefix("gauge-").and_then(|f| f.get(..f.len().checked_sub(11)?));
            let key = key.and_then(|k| k.strip_suffix("-_value")).ok_or_else(|| format!("a file named {file}"))?;
            let text = std::fs::read_to_string(&path).map_err(|e| e.to_string())?;
            let read = |line: &str| line.split_once(',').and_then(|(_, v)| v.parse::<f64>().ok());
            values.entry(key.to_owned()).or_default().extend(text.lines().skip(1).filter_map(read));
        }
        Ok(values)
    }
}
