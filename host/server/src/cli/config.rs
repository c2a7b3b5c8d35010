//! What `tidegate login` remembers: one server and what opens it, in a file that nobody else can read.
//!
//! The trap is the token that goes to another server: it is used for the server that it was given with, and for no other.

use super::CliError;
use serde::{Deserialize, Serialize};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use tidegate_model::Secret;
use url::Url;

/// The server that commands talk to if none is named.
pub(super) const DEFAULT_SERVER: &str = "http://127.0.0.1:8460";

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    server: Url,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionFile>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ca: Option<PathBuf>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionFile {
    cookie: String,
    csrf: String,
}

/// What opens a server.
#[derive(Clone, Debug)]
pub(crate) enum Key {
    /// An API token.
    Token(Secret),
    /// A session of somebody who has signed in with a password: the cookie, and the word that changes repeat.
    Session { cookie: Secret, csrf: Secret },
}

/// What is remembered.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) server: Url,
    pub(crate) key: Key,
    pub(crate) ca: Option<PathBuf>,
}

impl Login {
    /// Whether its token may go to `server`: scheme, host and port are the same, and so is the path.
    pub(crate) fn is_for(&self, server: &Url) -> bool {
        let plain = |url: &Url| (url.origin(), url.path().trim_end_matches('/').to_owned());
        plain(&self.server) == plain(server)
    }
}

/// Where the file is: `$TIDEGATE_CONFIG`, or `tidegate/config.json` in the user's folder for such files.
pub(crate) fn path() -> Option<PathBuf> {
    let of = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    of("TIDEGATE_CONFIG").or_else(|| {
        let folder = of("XDG_CONFIG_HOME").or_else(|| Some(of("HOME")?.join(".config")))?;
        Some(folder.join("tidegate").join("config.json"))
    })
}

/// Reads the file; none if there is none.
pub(crate) fn read(path: &Path) -> Result<Option<Login>, CliError> {
    let text = match fs::read(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(CliError::file(path, error)),
    };
    // The text of the error could hold a part of the token; the place is enough.
    let damaged = |e: serde_json::Error| {
        let told =
            format!("line {}, column {}: this is not what `tidegate login` writes; log in again", e.line(), e.column());
        CliError::file(path, told)
    };
    let File { server, token, session, ca } = serde_json::from_slice(&text).map_err(damaged)?;
    let key = match (token, session) {
        (Some(token), _) => Key::Token(Secret::new(token)),
        (None, Some(SessionFile { cookie, csrf })) => {
            Key::Session { cookie: Secret::new(cookie), csrf: Secret::new(csrf) }
        }
        (None, None) => return Err(CliError::file(path, "neither a token nor a session is in it; log in again")),
    };
    Ok(Some(Login { server, key, ca }))
}

/// Writes the file, readable by its owner alone.
pub(crate) fn write(path: &Path, login: &Login) -> Result<(), CliError> {
    let (token, session) = match &login.key {
        Key::Token(token) => (Some(token.expose().to_owned()), None),
        Key::Session { cookie, csrf } => {
            (None, Some(SessionFile { cookie: cookie.expose().to_owned(), csrf: csrf.expose().to_owned() }))
        }
    };
    let document = File { server: login.server.clone(), token, session, ca: login.ca.clone() };
    let text = serde_json::to_string_pretty(&document).map_err(|e| CliError::failed("cannot write the login", e))?;
    let write = || {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        // Renamed into place: nobody reads half a file, and one that others could read is not written into.
        let temporary = path.with_extension("new");
        let _ = fs::remove_file(&temporary);
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            use std::os::unix::fs::OpenOptionsExt;
            options.mode(0o600);
        }
        let mut file = options.open(&temporary)?;
        writeln!(file, "{text}")?;
        fs::rename(&temporary, path)
    };
    write().map_err(|e| CliError::file(path, e))
}

/// Removes the file. Tells whether there was one.
pub(crate) fn forget(path: &Path) -> Result<bool, CliError> {
    match fs::remove_file(path) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(CliError::file(path, error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login(server: &str) -> Login {
        let key = Key::Token(Secret::new("tg_canary".to_owned()));
        Login { server: server.parse().unwrap(), key, ca: None }
    }

    #[test]
    fn a_session_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        let secret = |text: &str| Secret::new(text.to_owned());
        let key = Key::Session { cookie: secret("canary-c"), csrf: secret("canary-x") };
        write(&path, &Login { key, ..login("https://h/") }).unwrap();
        let found = read(&path).unwrap().unwrap();
        let Key::Session { cookie, csrf } = &found.key else { panic!("{found:?}") };
        assert_eq!((cookie.expose(), csrf.expose()), ("canary-c", "canary-x"));
        assert!(!format!("{found:?}").contains("canary"));
        fs::write(&path, "{\"server\": \"https://h/\"}").unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("log in again"));
    }

    #[test]
    fn a_login_is_read_as_it_was_written_and_by_its_owner_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/config.json");
        assert!(read(&path).unwrap().is_none());
        write(&path, &login("https://h:1/under")).unwrap();
        write(&path, &login("https://h:2/")).unwrap();
        let found = read(&path).unwrap().unwrap();
        let Key::Token(token) = &found.key else { panic!("{found:?}") };
        assert_eq!((found.server.as_str(), token.expose()), ("https://h:2/", "tg_canary"));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert!(forget(&path).unwrap() && !forget(&path).unwrap());
    }

    #[test]
    fn a_token_goes_to_its_own_server_and_to_no_other() {
        let found = login("https://h/under/");
        let may = |server: &str| found.is_for(&server.parse().unwrap());
        assert!(may("https://h/under") && may("https://h:443/under/"));
        for other in ["http://h/under", "https://h:8443/under", "https://i/under", "https://h/"] {
            assert!(!may(other), "{other}");
        }
    }

    #[test]
    fn a_file_that_is_damaged_is_told_without_what_is_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        fs::write(&path, "{\"server\": \"https://h/\", \"token\": tg_canary").unwrap();
        let told = read(&path).unwrap_err().to_string();
        assert!(told.contains("log in again") && !told.contains("canary"), "{told}");
    }
}
