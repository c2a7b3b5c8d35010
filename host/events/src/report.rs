//! The Backtrace JSON report.

use tidegate_model::{Event, EventLimits, Value};

/// Why a report is not an event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", field.as_ref().map(|f| format!("{f:?}: ")).unwrap_or_default())]
pub struct ReportError {
    /// The member at fault; none if the report as a whole is.
    pub field: Option<String>,
    /// What was expected and what came.
    pub message: String,
}

/// Makes an event of a report. `extra` are attributes from the URL or the form; they win over those of the report.
///
/// # Errors
/// [`ReportError`] names the member at fault.
pub fn parse(_json: &[u8], _extra: Vec<(String, Value)>, _limits: &EventLimits) -> Result<Event, ReportError> {
    Err(ReportError { field: None, message: String::new() })
}
