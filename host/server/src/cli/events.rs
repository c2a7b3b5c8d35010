//! `tidegate events`.

use super::client::{ApiClient, AskArgs, Attempt};
use super::ids::LineIds;
use super::{CliError, Output};
use clap::{Args, Subcommand};
use flate2::read::MultiGzDecoder;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value as Json, json};
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Lines of one request.
const BATCH_LINES: usize = 20_000;
/// Bytes of one request.
const BATCH_BYTES: usize = 8 << 20;
/// Longest line that is sent at all.
const LINE_BYTES: u64 = 64 << 20;

/// Commands about events.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Send the events of a file, one JSON object per line.
    Import(ImportArgs),
}

/// Arguments of `events import`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  tidegate events import crashes.ndjson --project web
  tidegate events import crashes.ndjson.gz --project web --token-file ~/.tidegate-token
  zcat old/*.gz | tidegate events import - --project web

An import that broke off can be run again: a line without a \"uuid\" gets one that follows from the file up to and including
it, and a uuid is stored once. So lines added to the end are new, and the others are not stored twice.
The token may be an API token or a submission token of the project. Exit code 1 if a line was refused.")]
pub struct ImportArgs {
    /// The file, plain or gzip; - reads standard input.
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The project that the events go to.
    #[arg(long)]
    pub project: String,
    /// Most refused lines to show.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub errors: usize,
    /// How often to try a request again that could not be answered.
    #[arg(long, value_name = "N", default_value_t = 8)]
    pub retries: u32,
    /// Which server, and the form of the answer.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// What became of the lines so far.
#[derive(Debug, Default)]
struct Tally {
    taken: u64,
    duplicates: u64,
    refused: u64,
    errors: Vec<Json>,
}

/// Lines on their way, and where they stand in the file.
#[derive(Default)]
struct Batch {
    body: Vec<u8>,
    numbers: Vec<u64>,
}

pub(crate) async fn run(command: EventsCommand, out: &mut Output) -> Result<ExitCode, CliError> {
    let EventsCommand::Import(args) = command;
    let client = ApiClient::new(&args.ask.server)?;
    let (mut lines, size, read) = open(&args.file)?;
    let bar = progress(size);
    let mut import = Import { args: &args, client, tally: Tally::default() };
    let mut ids = LineIds::default();
    let (mut batch, mut number) = (Batch::default(), 0);
    loop {
        let mut line = Vec::new();
        let got = lines.by_ref().take(LINE_BYTES).read_until(b'\n', &mut line);
        if got.map_err(|e| CliError::file(&args.file, format!("line {}: {e}", number + 1)))? == 0 {
            break;
        }
        number += 1;
        if line.last() == Some(&b'\n') {
            line.pop();
        } else if line.len() as u64 == LINE_BYTES {
            let reason = format!("line {number}: a line may have {LINE_BYTES} bytes, this one has more");
            return Err(CliError::file(&args.file, reason));
        }
        let line = ids.with_id(&line);
        if line.trim_ascii().is_empty() {
            continue;
        }
        batch.body.extend_from_slice(&line);
        batch.body.push(b'\n');
        batch.numbers.push(number);
        if batch.numbers.len() >= BATCH_LINES || batch.body.len() >= BATCH_BYTES {
            import.send(std::mem::take(&mut batch), &bar).await?;
            bar.set_position(read.load(Ordering::Relaxed));
        }
    }
    if !batch.numbers.is_empty() {
        import.send(batch, &bar).await?;
    }
    bar.finish_and_clear();
    report(out, &import.tally, &args)
}

struct Import<'a> {
    args: &'a ImportArgs,
    client: ApiClient,
    tally: Tally,
}

impl Import<'_> {
    /// Sends a batch, again and again if it must be: each line has an id, so that is safe.
    async fn send(&mut self, batch: Batch, bar: &ProgressBar) -> Result<(), CliError> {
        let path = ["projects", &self.args.project, "events"];
        let mut failures = 0;
        let answer = loop {
            match self.client.post_lines(&path, batch.body.clone()).await? {
                Attempt::Answer(answer) => break answer,
                Attempt::Again { reason, .. } if failures >= self.args.retries => {
                    let first = batch.numbers.first().copied().unwrap_or_default();
                    return Err(CliError::Failed(format!(
                        "{reason}\nStopped at line {first}; run the same command again, lines that were taken are not stored twice."
                    )));
                }
                Attempt::Again { reason, after } => {
                    let wait = after.unwrap_or(Duration::from_millis(250 << failures.min(5)));
                    failures += 1;
                    bar.set_message(format!("trying again in {} s: {}", wait.as_secs_f32(), first_line(&reason)));
                    tokio::time::sleep(wait).await;
                }
            }
        };
        self.count(&answer, &batch.numbers);
        bar.set_message(format!("{} taken, {} refused", self.tally.taken, self.tally.refused));
        Ok(())
    }

    fn count(&mut self, answer: &Json, numbers: &[u64]) {
        let figure = |member: &str| answer[member].as_u64().unwrap_or_default();
        self.tally.taken += figure("taken");
        self.tally.duplicates += figure("duplicates");
        self.tally.refused += figure("refused");
        for error in answer["errors"].as_array().into_iter().flatten() {
            let mut error = error.clone();
            // The server counts the lines of the request.
            let at = error["line"]
                .as_u64()
                .and_then(|n| usize::try_from(n).ok())
                .and_then(|n| numbers.get(n.checked_sub(1)?));
            if let Some(number) = at {
                error["line"] = json!(number);
            }
            self.tally.errors.push(error);
        }
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn report(out: &mut Output, tally: &Tally, args: &ImportArgs) -> Result<ExitCode, CliError> {
    let errors = &tally.errors[..tally.errors.len().min(args.errors)];
    let Tally { taken, duplicates, refused, .. } = tally;
    let document = json!({"taken": taken, "duplicates": duplicates, "refused": refused, "errors": errors});
    out.show(args.ask.json, &document, |out, _| {
        for error in errors {
            let field = error["field"].as_str().map(|f| format!("{f:?}: ")).unwrap_or_default();
            out.line(format_args!("line {}: {field}{}", error["line"], error["message"].as_str().unwrap_or_default()))?;
        }
        let hidden = refused.saturating_sub(errors.len() as u64);
        if hidden > 0 {
            out.line(format_args!("… and {hidden} lines more"))?;
        }
        out.line(format_args!("{taken} taken ({duplicates} of them were there already), {refused} refused"))
    })?;
    Ok(if tally.refused > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The lines of a file, its size if it is known, and how much of it was read.
type Opened = (Box<dyn BufRead>, Option<u64>, Arc<AtomicU64>);

fn open(file: &Path) -> Result<Opened, CliError> {
    let wrong = |e: std::io::Error| CliError::file(file, e);
    let read = Arc::new(AtomicU64::new(0));
    let (source, size): (Box<dyn Read>, _) = if file == Path::new("-") {
        (Box::new(std::io::stdin()), None)
    } else {
        let file = File::open(file).map_err(wrong)?;
        let size = file.metadata().map_err(wrong)?.len();
        (Box::new(file), Some(size))
    };
    let mut source = BufReader::with_capacity(1 << 20, Counted { source, read: Arc::clone(&read) });
    // Told by its first bytes: names lie, and standard input has none.
    let packed = source.fill_buf().map_err(wrong)?.starts_with(&[0x1f, 0x8b]);
    let lines: Box<dyn BufRead> = if packed {
        Box::new(BufReader::with_capacity(1 << 20, MultiGzDecoder::new(source)))
    } else {
        Box::new(source)
    };
    Ok((lines, size, read))
}

struct Counted {
    source: Box<dyn Read>,
    read: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let got = self.source.read(buffer)?;
        self.read.fetch_add(got as u64, Ordering::Relaxed);
        Ok(got)
    }
}

/// A bar on standard error; indicatif hides it by itself where nobody watches.
fn progress(size: Option<u64>) -> ProgressBar {
    let template = match size {
        Some(_) => "{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {msg}",
        None => "{spinner} {bytes} {bytes_per_sec} {msg}",
    };
    let bar = ProgressBar::with_draw_target(size, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::output::testing::Captured;
    use std::io::Write;

    fn lines_of(bytes: &[u8]) -> Vec<String> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        let (lines, size, read) = open(file.path()).unwrap();
        let lines = lines.lines().map(Result::unwrap).collect();
        assert_eq!(size, Some(read.load(Ordering::Relaxed)));
        lines
    }

    #[test]
    fn a_packed_file_is_known_by_its_bytes_whatever_its_name() {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(b"{\"a\":1}\n{\"b\":2}\n").unwrap();
        assert_eq!(lines_of(&packed.finish().unwrap()), ["{\"a\":1}", "{\"b\":2}"]);
        assert_eq!(lines_of(b"{\"a\":1}\n{\"b\":2}"), ["{\"a\":1}", "{\"b\":2}"]);
    }

    #[test]
    fn refused_lines_are_told_by_their_place_in_the_file_and_by_the_exit_code() {
        let server = super::super::ServerArgs::at("http://127.0.0.1:1".parse().unwrap(), Some("t".to_owned()));
        let ask = AskArgs { json: false, server };
        let args = ImportArgs { file: "f".into(), project: "p".to_owned(), errors: 1, retries: 0, ask };
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = ApiClient::new(&args.ask.server).unwrap();
        let mut import = Import { args: &args, client, tally: Tally::default() };
        let errors =
            json!([{"line": 2, "field": "a", "message": "too long"}, {"line": 3, "field": null, "message": "no"}]);
        import.count(&json!({"taken": 1, "duplicates": 0, "refused": 2, "errors": errors}), &[7, 9, 12]);
        let captured = Captured::default();
        let code = report(&mut captured.output(), &import.tally, &args).unwrap();
        assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::FAILURE));
        let expected =
            "line 9: \"a\": too long\n… and 1 lines more\n1 taken (0 of them were there already), 2 refused\n";
        assert_eq!(captured.text(), expected);
    }
}
