//! Events in bulk: one flat JSON object of attributes per line.
//!
//! The good lines are taken whatever the others are like, and the answer says which were not. The body is read, parsed and
//! stored as it comes: while one batch is on its way to the disk, the next is read.

use super::auth;
use super::body::{BodyError, BodyReader, drain};
use super::lines::{BatchOfLines, Lines};
use super::path::Path;
use super::problem::Problem;
use super::quotas;
use super::state::{App, Host, blocking};
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use std::sync::Arc;
use tidegate_events::{Block, Receipt, Refusal, SubmitError};
use tidegate_model::{EventLimits, ProjectId};
use tokio::task::JoinHandle;

/// Most lines that are named in an answer.
const NAMED: usize = 100;

/// What became of a bulk.
#[derive(Debug, Default, Serialize)]
struct Tally {
    /// Lines that are stored, repeats of a uuid too.
    taken: u64,
    /// Of them, repeats of a uuid.
    duplicates: u64,
    /// Lines that are not stored.
    refused: u64,
    /// Why; the first hundred.
    errors: Vec<LineProblem>,
    /// Arrival of the taken lines in their order, as runs of [microseconds, lines].
    arrival: Vec<(u64, u64)>,
}

#[derive(Debug, Serialize)]
struct LineProblem {
    line: u64,
    field: Option<String>,
    message: String,
}

/// A batch on its way to the disk: the numbers of its lines, and what will have become of them.
struct UnderWay {
    numbers: Vec<u64>,
    bad: Vec<LineProblem>,
    stored: JoinHandle<Result<Vec<Result<Receipt, Refusal>>, SubmitError>>,
}

/// `POST /api/v1/projects/{project}/events`.
pub(crate) async fn take(
    State(app): State<App>,
    Path(name): Path<String>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Problem> {
    let host = app.host()?;
    let project = match target(&app, &host, &headers, name).await {
        Ok(project) => project,
        Err(problem) => {
            drain(body).await;
            return Err(problem);
        }
    };
    let mut pass = app.enter().map_err(Problem::unavailable)?;
    let mut reader =
        BodyReader::new(&headers, body, app.limits().bulk_bytes, app.limits().patience).map_err(refused)?;
    let mut bulk =
        Bulk { app: app.clone(), limits: app.limits().events, host, project, under_way: None, tally: Tally::default() };
    let mut lines = Lines::new(app.limits().line_bytes);
    let result: Result<(), Problem> = async {
        loop {
            let piece = match reader.next().await {
                Ok(Some(piece)) => piece,
                Ok(None) => break,
                Err(error) => {
                    // The lines before it are taken; the one that was cut off is none.
                    bulk.store(lines.whole_lines(), app.limits().line_bytes).await?;
                    return Err(refused(error));
                }
            };
            lines.push(&piece);
            while let Some(batch) = lines.full_batch() {
                pass.hold(batch.bytes()).map_err(Problem::unavailable)?;
                bulk.store(batch, app.limits().line_bytes).await?;
            }
        }
        bulk.store(lines.last_batch(), app.limits().line_bytes).await
    }
    .await;
    // What is on its way is stored in any case, and the answer has to say so.
    let result = result.and(bulk.settle().await);
    let tally = bulk.tally;
    app.metrics().taken(tally.taken - tally.duplicates, tally.duplicates);
    app.metrics().rejected(tally.refused);
    answer(result, &tally)
}

fn answer(result: Result<(), Problem>, tally: &Tally) -> Result<Response, Problem> {
    let document = serde_json::to_value(tally).map_err(Problem::internal)?;
    match result {
        Ok(()) => {
            let status = if tally.taken == 0 && tally.refused > 0 { StatusCode::BAD_REQUEST } else { StatusCode::OK };
            Ok((status, axum::Json(document)).into_response())
        }
        Err(mut problem) => {
            for (member, value) in document.as_object().into_iter().flatten() {
                problem = problem.with(member, value.clone());
            }
            // The rest of the body was not read, so nothing can follow on this connection.
            Err(problem.closing())
        }
    }
}

/// The project that the token opens: an API token any project of its tenant, a submission token its own.
async fn target(app: &App, host: &Arc<Host>, headers: &HeaderMap, name: String) -> Result<ProjectId, Problem> {
    let refused = |what: &str| {
        app.metrics().refused("token");
        Problem::unauthorized(what)
    };
    let token = auth::bearer(headers).ok_or_else(|| {
        refused("this needs an API token or a submission token of the project: send the header Authorization: Bearer <token>")
    })?;
    if let Some(access) = host.catalog.api_access(token) {
        return auth::project_to_fill(host, &access, headers, &name);
    }
    if let Some(id) = host.catalog.project_of_token(token) {
        let project = host.read(move |view| view.project(id)).await?;
        if project.name.as_str() == name {
            return Ok(id);
        }
        return Err(Problem::new(StatusCode::FORBIDDEN, "the submission token belongs to another project"));
    }
    Err(refused("the token is not known; it may have been revoked"))
}

fn refused(error: BodyError) -> Problem {
    match error {
        BodyError::Overload(_) => Problem::unavailable(error),
        _ => Problem::new(error.status(), error),
    }
}

struct Bulk {
    app: App,
    limits: EventLimits,
    host: Arc<Host>,
    project: ProjectId,
    under_way: Option<UnderWay>,
    tally: Tally,
}

impl Bulk {
    /// Sends a batch on its way, after the one before it has arrived.
    async fn store(&mut self, batch: BatchOfLines, line_limit: usize) -> Result<(), Problem> {
        if batch.is_empty() {
            return Ok(());
        }
        let limits = self.limits;
        let (events, numbers, bad) = blocking(move || parse(batch, line_limit, &limits)).await?;
        self.settle().await?;
        let first = numbers.first().copied().unwrap_or_default();
        quotas::admit(&self.app, &self.host, self.project, numbers.len())
            .await
            .map_err(|problem| problem.with("from_line", first.into()))?;
        let (store, project) = (self.host.events.clone(), self.project);
        // A task of its own: if the client goes away now, the batch is stored all the same.
        let stored = tokio::spawn(async move { store.submit_block(project, events).await });
        self.under_way = Some(UnderWay { numbers, bad, stored });
        Ok(())
    }

    /// Waits for the batch that is on its way, and counts it.
    async fn settle(&mut self) -> Result<(), Problem> {
        let Some(UnderWay { numbers, mut bad, stored }) = self.under_way.take() else { return Ok(()) };
        match stored.await.map_err(Problem::internal)? {
            Ok(receipts) => {
                for (line, receipt) in numbers.into_iter().zip(receipts) {
                    match receipt {
                        Ok(receipt) => self.taken(receipt),
                        Err(refusal) => {
                            bad.push(LineProblem { line, field: field(&refusal), message: refusal.to_string() })
                        }
                    }
                }
                self.refused(bad);
                Ok(())
            }
            Err(error) => {
                self.refused(bad);
                let from = numbers.first().copied().unwrap_or_default();
                Err(Problem::unavailable(format_args!("from line {from} on nothing was taken: {error}")))
            }
        }
    }

    fn taken(&mut self, receipt: Receipt) {
        self.tally.taken += 1;
        self.tally.duplicates += u64::from(receipt.duplicate);
        match self.tally.arrival.last_mut() {
            Some((at, lines)) if *at == receipt.arrival.micros() => *lines += 1,
            _ => self.tally.arrival.push((receipt.arrival.micros(), 1)),
        }
    }

    fn refused(&mut self, mut bad: Vec<LineProblem>) {
        self.tally.refused += u64::try_from(bad.len()).unwrap_or(u64::MAX);
        bad.sort_by_key(|b| b.line);
        bad.truncate(NAMED - self.tally.errors.len());
        self.tally.errors.append(&mut bad);
    }
}

fn field(refusal: &Refusal) -> Option<String> {
    match refusal {
        Refusal::ProjectAttributes { attribute, .. } => Some(attribute.clone()),
        _ => None,
    }
}

fn parse(batch: BatchOfLines, line_limit: usize, limits: &EventLimits) -> (Block, Vec<u64>, Vec<LineProblem>) {
    let too_long = |line| {
        let message = format!("a line may have {line_limit} bytes; this one has more");
        LineProblem { line, field: None, message }
    };
    let mut bad: Vec<LineProblem> = batch.too_long.into_iter().map(too_long).collect();
    let (mut events, mut numbers) = (Block::new(limits), Vec::with_capacity(batch.lines.len()));
    for (line, text) in batch.lines {
        match events.push_line(&text) {
            Ok(()) => numbers.push(line),
            Err(error) => bad.push(LineProblem { line, field: error.field, message: error.message }),
        }
    }
    (events, numbers, bad)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_with_nothing_taken_is_an_error_and_an_empty_body_is_none() {
        let status = |taken, refused| {
            let tally = Tally { taken, refused, ..Tally::default() };
            answer(Ok(()), &tally).unwrap().status()
        };
        assert_eq!(status(0, 0), StatusCode::OK);
        assert_eq!(status(1, 1), StatusCode::OK);
        assert_eq!(status(0, 1), StatusCode::BAD_REQUEST);
    }

    #[test]
    fn what_was_taken_before_a_failure_is_told_with_it() {
        let tally = Tally { taken: 5, arrival: vec![(9, 5)], ..Tally::default() };
        let problem = answer(Err(Problem::unavailable("no")), &tally).unwrap_err();
        let told = format!("{problem:?}");
        assert!(told.contains("\"taken\": Number(5)"), "{told}");
    }
}
