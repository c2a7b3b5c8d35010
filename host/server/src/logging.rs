//! Logs: lines for people on a terminal, JSON for machines. WARN means that something was recovered from, ERROR that data was
//! lost or a person is needed.

use clap::ValueEnum;
use std::io::IsTerminal;
use std::panic::PanicHookInfo;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt;

/// The form of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogForm {
    /// One line of text for each event.
    #[default]
    Human,
    /// One JSON object for each event.
    Json,
}

/// Why the log cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// A filter that cannot be read.
    #[error("{filter:?} is no log filter: {reason}; write for example info or info,tidegate::access=debug")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        reason: String,
    },
    /// There is a log already.
    #[error("the log is set up already")]
    Twice,
}

/// Sends logs to standard error and makes panics appear in them.
///
/// # Errors
/// [`LogError`] if the filter cannot be read.
pub fn start(form: LogForm, filter: &str) -> Result<(), LogError> {
    let wrong = |e: &dyn std::fmt::Display| LogError::Filter { filter: filter.to_owned(), reason: e.to_string() };
    let filter = EnvFilter::try_new(filter).map_err(|e| wrong(&e))?;
    let builder = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match form {
        LogForm::Human => {
            let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            builder.with_ansi(colours).try_init()
        }
        LogForm::Json => builder.json().flatten_event(true).with_current_span(false).try_init(),
    }
    .map_err(|_| LogError::Twice)?;
    std::panic::set_hook(Box::new(panicked));
    Ok(())
}

/// A panic is a mistake of ours: it must be seen in the log, also by machines that read JSON.
fn panicked(info: &PanicHookInfo<'_>) {
    let what = info.payload_as_str().unwrap_or("no text");
    let place = info.location().map_or_else(|| "an unknown place".to_owned(), ToString::to_string);
    let backtrace = std::backtrace::Backtrace::capture();
    tracing::error!(place, %backtrace, "panic: {what}");
}
