//! The Pushgateway: a second strict parser of pages, which also refuses a series that is there twice, and any timestamp.

use super::{START, installed};
use crate::http::{self, Answer};
use crate::process::Process;
use crate::scratch::{Scratch, free_port};

/// A running Pushgateway.
#[derive(Debug)]
pub struct Pushgateway {
    _process: Process,
    port: u16,
}

impl Pushgateway {
    /// Starts it.
    ///
    /// # Panics
    /// If it is not installed or does not come up.
    #[must_use]
    pub fn start(scratch: &Scratch) -> Self {
        let port = free_port();
        let mut command = installed("prometheus-pushgateway", "prometheus-pushgateway");
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        let mut process = Process::start("pushgateway", &mut command, &scratch.path("pushgateway.log"));
        let ready = format!("http://127.0.0.1:{port}/-/ready");
        process.until("the Pushgateway answers", START, || http::get(&ready).send()?.ok());
        Self { _process: process, port }
    }

    /// Gives it a page; the answer says what is wrong with it.
    ///
    /// # Errors
    /// Status and text of a refusal, or why no answer came.
    pub fn put(&self, page: &[u8]) -> Result<Answer, String> {
        let url = format!("http://127.0.0.1:{}/metrics/job/tests", self.port);
        http::request("PUT", &url).body(page).send()?.ok()
    }

    /// The page that it now shows itself.
    ///
    /// # Panics
    /// If it does not answer.
    #[must_use]
    pub fn page(&self) -> String {
        http::get(&format!("http://127.0.0.1:{}/metrics", self.port)).send_well().text()
    }
}
