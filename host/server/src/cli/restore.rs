//! `tidegate ledger restore`: a backup in the place of what a data directory holds.
//!
//! It takes the lock of the data directory: no server may run on it. The trap is an end half way, with neither the old files nor all
//! of the new ones in place: a server that starts on that would begin with an empty ledger. So the backup is copied and looked at
//! under other names first, which may take long and can be broken off; and while files change their names, a mark says so.

use super::{CliError, Output, time};
use crate::backups;
use crate::changes;
use crate::data_dir::DataDir;
use clap::Args;
use jiff::Timestamp;
use serde_json::json;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tidegate_events::changes::{Database, End, apply};
use tidegate_export::catalog::{Catalog, OpenError};
use tidegate_export::verify_database;
use tidegate_model::{Instant, SystemClock};

/// The databases of a data directory.
const DATABASES: [&str; 2] = [Database::Catalog.name(), Database::Events.name()];
/// What belongs to a database beside its file.
const SUFFIXES: [&str; 3] = ["", "-wal", "-shm"];
/// How folders are called that hold what a restore has replaced.
const REPLACED: &str = "replaced-";

/// Arguments of `ledger restore`.
#[derive(Debug, Args)]
pub struct RestoreArgs {
    /// The data directory of the server, which must be stopped.
    #[arg(long, env = "TIDEGATE_DATA_DIR", value_name = "DIR", default_value = "tidegate-data")]
    pub data_dir: PathBuf,
    /// The folder that `ledger backup` made; with --as-of the folder in which they all are, by default `backups` in the data directory.
    #[arg(long, value_name = "DIR", required_unless_present = "as_of")]
    pub from: Option<PathBuf>,
    /// Go back to this time, as 2026-11-22T13:00:00Z or in seconds since the epoch: from the newest backup that is not later, by the changes
    /// that were kept since.
    #[arg(long, value_name = "TIME", value_parser = time::argument)]
    pub as_of: Option<u64>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// A moment to go to from a backup.
struct Asked {
    at: Timestamp,
    /// When the backup was whole.
    made: Timestamp,
    changes: PathBuf,
}

/// The backup that is meant, and which moment after it.
fn backup_of(args: &RestoreArgs) -> Result<(PathBuf, Option<Asked>), CliError> {
    let Some(at) = args.as_of else { return Ok((args.from.clone().unwrap_or_default(), None)) };
    let at = i64::try_from(at).ok().and_then(|at| Timestamp::from_second(at).ok());
    let at = at.ok_or_else(|| CliError::Failed("--as-of: expected a time before the year 9999".to_owned()))?;
    let series = args.from.clone().unwrap_or_else(|| args.data_dir.join("backups"));
    let (made, backup) = backups::as_of(&series, at).map_err(CliError::Failed)?;
    Ok((backup, Some(Asked { at, made, changes: changes::folder_in(&series) })))
}

pub(super) fn restore(args: &RestoreArgs, out: &mut Output) -> Result<(), CliError> {
    let (from, asked) = backup_of(args)?;
    for name in DATABASES {
        let copy = from.join(name);
        if !copy.is_file() {
            return Err(CliError::file(
                copy,
                "there is no such file; name a folder that `tidegate ledger backup` made",
            ));
        }
        let verified = verify_database(&copy).map_err(|e| CliError::Failed(e.to_string()))?;
        if let Some(problem) = verified.problems.first() {
            return Err(CliError::file(copy, format!("the backup is damaged ({problem}); nothing was changed")));
        }
    }
    let data = DataDir::open_to_restore(&args.data_dir).map_err(|e| CliError::Failed(e.to_string()))?;
    let prepared = prepare(&from, asked.as_ref(), &data, out);
    if prepared.is_err() {
        // Whatever there is of it is no use.
        DATABASES.iter().for_each(|name| remove(&data, &beside(name)));
    }
    let as_of = prepared?;
    let failed = |e: io::Error| {
        CliError::failed("the restore broke off; no server starts on the data directory until one is complete", e)
    };
    let aside = aside(&data);
    swap(&data, &aside).map_err(failed)?;
    let mut document = json!({"restored": from.display().to_string(), "replaced": aside.display().to_string()});
    if let Some(as_of) = as_of {
        document["as-of"] = as_of.to_string().into();
    }
    out.show(args.json, &document, |out, _| {
        out.line(format_args!("restored {}", from.display()))?;
        out.note(format_args!(
            "What was there is in {}. Windows since then are evaluated again from the events that there were.",
            aside.display()
        ));
        Ok(())
    })
}

/// How often a server that waits for a restore looks whether there was one.
const LOOK: Duration = Duration::from_secs(1);

/// Returns once a restore into a data directory that is not locked has begun and ended. Files that are replaced by hand are no
/// reason to touch the directory: nobody knows when that is finished.
pub(super) async fn finished(data_dir: &Path) {
    let before = replaced(data_dir);
    loop {
        tokio::time::sleep(LOOK).await;
        // The lock says whether it goes on; what was not finished lets nobody in.
        if replaced(data_dir) > before && DataDir::open(data_dir).is_ok() {
            return;
        }
    }
}

/// How many times something was restored into a data directory.
fn replaced(data_dir: &Path) -> usize {
    let entries = fs::read_dir(data_dir).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_name().to_string_lossy().starts_with(REPLACED)).count()
}

/// A folder for what is replaced, which is not there yet.
fn aside(data: &DataDir) -> PathBuf {
    let named = data.path().join(format!("{REPLACED}{}", Timestamp::now().strftime("%Y%m%dT%H%M%SZ")));
    let numbered =
        (2..).map(|n| named.with_file_name(format!("{}-{n}", named.file_name().unwrap_or_default().display())));
    std::iter::once(named.clone()).chain(numbered).find(|path| !path.exists()).unwrap_or(named)
}

/// The name of a database while it is not in place.
fn beside(name: &str) -> String {
    format!("{name}.restoring")
}

fn remove(data: &DataDir, name: &str) {
    for suffix in SUFFIXES {
        // Mostly there is none.
        let _ = fs::remove_file(data.path().join(format!("{name}{suffix}")));
    }
}

/// Copies the backup beside what is there, takes it to the moment that is asked for, and brings it forward if it is of an older
/// version. Nothing is replaced. Tells of which moment it is, if one was asked for.
fn prepare(
    from: &Path,
    asked: Option<&Asked>,
    data: &DataDir,
    out: &mut Output,
) -> Result<Option<Timestamp>, CliError> {
    for name in DATABASES {
        remove(data, &beside(name));
        copy(&from.join(name), &data.path().join(beside(name)))
            .map_err(|e| CliError::failed("the backup cannot be copied, so nothing was changed", e))?;
    }
    let as_of = asked.map(|asked| go_to(asked, from, data, out)).transpose()?;
    let catalog = data.path().join(beside("tidegate.db"));
    match Catalog::open_with(&catalog, &super::secrets::key_of(data), Arc::new(SystemClock)) {
        Ok(_) => Ok(as_of),
        // No backup has its key in it; whoever restores brings it from where it was kept.
        Err(OpenError::Key(wanted)) => {
            out.note(format_args!("Before the server can start: {wanted}"));
            Ok(as_of)
        }
        Err(OpenError::Newer { found, known, .. }) => {
            let told = format!(
                "the backup has version {found}, this Tidegate knows versions up to {known}: restore it with the newer Tidegate. Nothing \
                 was changed"
            );
            Err(CliError::file(from.join("tidegate.db"), told))
        }
        Err(error) => Err(CliError::file(from, format!("{error}; nothing was changed"))),
    }
}

/// Makes the changes to the copies that lead to the moment asked for, and says which moment it is.
fn go_to(asked: &Asked, from: &Path, data: &DataDir, out: &mut Output) -> Result<Timestamp, CliError> {
    let Asked { at, made, changes } = asked;
    let Some(base) = backups::base_of(from) else {
        out.note(format_args!("This is the backup of {made}. The server that made it kept no changes after it."));
        return Ok(*made);
    };
    let moment = Instant::from_seconds(u64::try_from(at.as_second()).unwrap_or(0));
    let copies = DATABASES.map(|name| data.path().join(beside(name)));
    let applied = apply(changes, &base, moment, [&copies[0], &copies[1]])
        .map_err(|e| CliError::failed("nothing was changed", e))?;
    for (copy, name) in copies.iter().zip(DATABASES) {
        let verified = verify_database(copy).map_err(|e| CliError::Failed(e.to_string()))?;
        if let Some(problem) = verified.problems.first() {
            let told = format!("with the changes up to {at} it is damaged ({problem}); nothing was changed");
            return Err(CliError::file(from.join(name), told));
        }
    }
    let as_of = applied.as_of.and_then(|at| Timestamp::from_microsecond(i64::try_from(at.micros()).ok()?).ok());
    let as_of = as_of.unwrap_or(*made);
    match applied.end {
        End::Later => out.note(format_args!("This is the state of {as_of}: the backup of {made}, and what came then.")),
        End::Last => out.note(format_args!(
            "This is the state of {as_of}: the backup of {made}, and what came then. After that, no change up to {at} is known."
        )),
        End::Damaged { file } => out.note(format_args!(
            "This is the state of {as_of}, not of {at}: what comes next in {} cannot be read.",
            file.display()
        )),
    }
    Ok(as_of)
}

/// Moves what is there aside, and what was prepared into its place.
fn swap(data: &DataDir, aside: &Path) -> io::Result<()> {
    fs::create_dir(aside)?;
    data.mark_restore()?;
    let all = || DATABASES.iter().flat_map(|name| SUFFIXES.iter().map(move |suffix| (*name, *suffix)));
    for (name, suffix) in all() {
        let name = format!("{name}{suffix}");
        rename_if_there(&data.path().join(&name), &aside.join(&name))?;
    }
    for (name, suffix) in all() {
        let prepared = data.path().join(format!("{}{suffix}", beside(name)));
        rename_if_there(&prepared, &data.path().join(format!("{name}{suffix}")))?;
    }
    sync(data.path())?;
    data.unmark_restore()
}

fn rename_if_there(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}

/// Copies a file: whole, on disk, for its owner only.
fn copy(from: &Path, to: &Path) -> io::Result<()> {
    fs::copy(from, to)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(to, fs::Permissions::from_mode(0o600))?;
    }
    File::open(to)?.sync_all()
}

/// Has the names in a directory on disk, where the system knows of that.
fn sync(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidegate_events::{EventStore, EventStoreOptions};
    use tidegate_export::copy_database;

    #[test]
    fn a_folder_that_is_no_backup_is_refused_before_anything_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let args = RestoreArgs {
            data_dir: folder.path().join("data"),
            from: Some(folder.path().join("none")),
            as_of: None,
            json: false,
        };
        let captured = crate::cli::output::testing::Captured::default();
        let told = restore(&args, &mut captured.output()).unwrap_err().to_string();
        assert!(told.contains("tidegate ledger backup"), "{told}");
        assert!(!args.data_dir.exists());
    }

    /// A data directory with a catalog and events, and a backup that has the same.
    fn with_backup(folder: &Path) -> RestoreArgs {
        let (data, backup) = (folder.join("data"), folder.join("backup"));
        let clock = || Arc::new(SystemClock);
        fs::create_dir(&data).unwrap();
        drop(Catalog::open(&data.join("tidegate.db"), clock()).unwrap());
        EventStore::open(&data.join("events.db"), EventStoreOptions::default(), clock()).unwrap().close();
        fs::create_dir(&backup).unwrap();
        for name in DATABASES {
            copy_database(&data.join(name), &backup.join(name)).unwrap();
        }
        RestoreArgs { data_dir: data, from: Some(backup), as_of: None, json: false }
    }

    fn names(folder: &Path) -> Vec<String> {
        let mut names: Vec<_> =
            fs::read_dir(folder).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_backup_of_a_newer_version_is_refused_and_what_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let args = with_backup(folder.path());
        let backup = args.from.clone().unwrap().join("tidegate.db");
        let mut bytes = fs::read(&backup).unwrap();
        // Where SQLite keeps the number of the version: https://www.sqlite.org/fileformat.html, 1.3.
        bytes[60..64].copy_from_slice(&99_u32.to_be_bytes());
        fs::write(&backup, bytes).unwrap();
        let before: Vec<_> = DATABASES.iter().map(|name| fs::read(args.data_dir.join(name)).unwrap()).collect();
        let captured = crate::cli::output::testing::Captured::default();
        let told = restore(&args, &mut captured.output()).unwrap_err().to_string();
        assert!(told.contains("the backup has version 99") && told.contains("Nothing was changed"), "{told}");
        let after: Vec<_> = DATABASES.iter().map(|name| fs::read(args.data_dir.join(name)).unwrap()).collect();
        assert!(before == after);
        let left = names(&args.data_dir);
        assert!(!left.iter().any(|name| name.contains("restoring") || name.starts_with("replaced")), "{left:?}");
        assert!(DataDir::open(&args.data_dir).is_ok());
    }

    #[test]
    fn a_restore_that_broke_off_between_two_files_lets_no_server_start_until_one_is_complete() {
        let folder = tempfile::tempdir().unwrap();
        let args = with_backup(folder.path());
        // What a death in the middle leaves behind.
        let data = DataDir::open(&args.data_dir).unwrap();
        data.mark_restore().unwrap();
        fs::rename(data.catalog(), data.path().join("elsewhere")).unwrap();
        drop(data);
        let told = DataDir::open(&args.data_dir).unwrap_err().to_string();
        assert!(told.contains("run `tidegate ledger restore` again"), "{told}");
        let captured = crate::cli::output::testing::Captured::default();
        restore(&args, &mut captured.output()).unwrap();
        let data = DataDir::open(&args.data_dir).unwrap();
        let left = names(data.path());
        assert!(!left.iter().any(|name| name.contains("restoring")), "{left:?}");
        assert!(DATABASES.iter().all(|name| left.iter().any(|there| there == name)), "{left:?}");
    }
}
