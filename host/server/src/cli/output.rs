//! What commands print. Data goes to standard output, everything else to standard error, so a pipe gets data only.

use super::CliError;
use comfy_table::{ContentArrangement, Table, presets};
use serde_json::Value as Json;
use std::fmt::Display;
use std::io::{self, Write};

/// Where a command prints.
pub(crate) struct Output {
    out: Box<dyn Write + Send>,
    err: Box<dyn Write + Send>,
}

impl Output {
    /// Standard output and standard error.
    pub(crate) fn stdio() -> Self {
        Self { out: Box::new(io::stdout()), err: Box::new(io::stderr()) }
    }

    /// One line of data.
    pub(crate) fn line(&mut self, text: impl Display) -> Result<(), CliError> {
        writeln!(self.out, "{text}").map_err(closed)
    }

    /// Bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), CliError> {
        self.out.write_all(bytes).and_then(|()| self.out.flush()).map_err(closed)
    }

    /// A JSON document.
    pub(crate) fn json(&mut self, document: &Json) -> Result<(), CliError> {
        self.line(format_args!("{document:#}"))
    }

    /// An answer: the document itself if JSON is wanted, or else as `people` read it.
    pub(crate) fn show(
        &mut self,
        json: bool,
        answer: &Json,
        people: impl FnOnce(&mut Self, &Json) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        if json { self.json(answer) } else { people(self, answer) }
    }

    /// What was done where there is nothing to read about it: a remark for people, a document if JSON is wanted.
    pub(crate) fn done(&mut self, json: bool, document: &Json, told: impl Display) -> Result<(), CliError> {
        if json {
            return self.json(document);
        }
        self.note(told);
        Ok(())
    }

    /// A table; without rows, `if_empty` instead, on standard error.
    pub(crate) fn table(&mut self, head: &[&str], rows: Vec<Vec<String>>, if_empty: &str) -> Result<(), CliError> {
        if rows.is_empty() {
            self.note(if_empty);
            return Ok(());
        }
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_header(head.iter().map(|h| h.to_uppercase()));
        // Into a pipe each row stays one line, whatever its length.
        table.set_content_arrangement(ContentArrangement::Disabled);
        table.add_rows(rows);
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        for line in table.lines() {
            self.line(line.trim_end())?;
        }
        Ok(())
    }

    /// A remark for people, on standard error.
    pub(crate) fn note(&mut self, text: impl Display) {
        // Nobody is left to tell if standard error is closed.
        let _ = writeln!(self.err, "{text}");
    }

    /// A question, on standard error; the answer is typed behind it.
    pub(crate) fn ask(&mut self, text: &str) {
        let _ = write!(self.err, "{text}").and_then(|()| self.err.flush());
    }

    /// Why the command failed, on standard error.
    pub(crate) fn problem(&mut self, error: &CliError) {
        self.note(format_args!("tidegate: {error}"));
    }
}

fn closed(error: io::Error) -> CliError {
    if error.kind() == io::ErrorKind::BrokenPipe {
        CliError::OutputClosed
    } else {
        CliError::failed("cannot print", error)
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::{Output, Write};
    use std::io;
    use std::sync::{Arc, Mutex};

    /// Shared bytes that an [`Output`] writes to.
    #[derive(Clone, Default)]
    pub(crate) struct Captured(Arc<Mutex<Vec<u8>>>);

    impl Captured {
        pub(crate) fn output(&self) -> Output {
            Output { out: Box::new(self.clone()), err: Box::new(self.clone()) }
        }

        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Captured {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::Captured;

    #[test]
    fn a_table_keeps_one_line_per_row_and_an_empty_one_says_so() {
        let captured = Captured::default();
        let mut out = captured.output();
        out.table(&["name", "state"], vec![vec!["a".repeat(300), "ok".to_owned()]], "none").unwrap();
        out.table(&["name"], vec![], "There are no stores.").unwrap();
        let text = captured.text();
        assert_eq!(text.lines().count(), 3, "{text}");
        assert!(text.starts_with("NAME") && text.ends_with("There are no stores.\n"), "{text}");
    }
}
