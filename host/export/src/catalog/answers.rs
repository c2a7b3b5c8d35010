//! What creates with a key of their own were answered, so that one that is sent again makes nothing twice.
//!
//! That a create was carried out is written by the transaction that does it; the answer follows. The trap is the crash between the
//! two: then it is known that it was done, and that the answer is lost. Answers hold tokens that are told once, so they lie sealed
//! like other secrets, and go after a day.

use super::tokens::moment;
use super::{Catalog, CatalogError, Edit, View, sealing};
use rusqlite::{OptionalExtension, params};
use std::time::Duration;

/// How long an answer is kept.
const KEEP_ANSWERS: Duration = Duration::from_secs(86_400);
/// Answers that are kept; the oldest go first.
const MOST_ANSWERS: u32 = 10_000;

/// A create with a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Once {
    /// Digest of the key, of whoever sent it and of what was asked.
    pub key: [u8; 32],
    /// Digest of the body.
    pub body: [u8; 32],
}

/// A create that was carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answered {
    /// Digest of the body.
    pub body: [u8; 32],
    /// What was answered; none if that was lost in a crash.
    pub answer: Option<String>,
}

impl View<'_> {
    /// What came of the create with this key, if it was made within a day.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn answered(&self, key: &[u8; 32], now: tidegate_model::Instant) -> Result<Option<Answered>, CatalogError> {
        let sql = "SELECT body, answer, at FROM answers WHERE key = ?1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, Option<String>>(1)?, moment(row, 2)?));
        let Some((body, sealed, at)) = self.connection.prepare_cached(sql)?.query_row([key], row).optional()? else {
            return Ok(None);
        };
        let age = Duration::from_micros(now.micros().saturating_sub(at.micros()));
        if age >= KEEP_ANSWERS {
            return Ok(None);
        }
        let answer = sealed.map(|sealed| self.keys.open(&sealing::answer(key), &sealed)).transpose()?;
        Ok(Some(Answered { body, answer }))
    }
}

impl Edit<'_> {
    /// Writes down that the create is carried out by this transaction.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn note_request(&self, once: &Once) -> Result<(), CatalogError> {
        let sql = "INSERT OR REPLACE INTO answers (key, body, at) VALUES (?1, ?2, ?3)";
        self.connection.prepare_cached(sql)?.execute(params![once.key, once.body, self.now_micros()])?;
        Ok(())
    }

    /// Keeps an answer, and lets old ones go.
    fn keep_answer(&self, once: &Once, answer: &str) -> Result<(), CatalogError> {
        let sealed = self.keys.seal(&sealing::answer(&once.key), answer)?;
        let sql = "INSERT OR REPLACE INTO answers (key, body, at, answer) VALUES (?1, ?2, ?3, ?4)";
        self.connection.prepare_cached(sql)?.execute(params![once.key, once.body, self.now_micros(), sealed])?;
        let keep = i64::try_from(KEEP_ANSWERS.as_micros()).unwrap_or(i64::MAX);
        let sql = "DELETE FROM answers WHERE at <= ?1 OR key IN (SELECT key FROM answers ORDER BY at DESC LIMIT -1 OFFSET ?2)";
        self.connection.prepare_cached(sql)?.execute(params![self.now_micros().saturating_sub(keep), MOST_ANSWERS])?;
        Ok(())
    }
}

impl Catalog {
    /// What came of the create with this key, if it was made within a day.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn answered(&self, key: &[u8; 32]) -> Result<Option<Answered>, CatalogError> {
        let now = self.clock.now();
        self.read(|view| view.answered(key, now))
    }

    /// Keeps what a create was answered. On disk when this returns.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn keep_answer(&self, once: &Once, answer: &str) -> Result<(), CatalogError> {
        self.edit_accounts(|edit| edit.keep_answer(once, answer))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use tidegate_model::{Instant, ManualClock};

    fn once(n: u8) -> Once {
        Once { key: [n; 32], body: [n; 32] }
    }

    #[test]
    fn an_answer_lies_sealed_outlives_a_restart_and_goes_after_a_day() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("tidegate.db");
        let clock = Arc::new(ManualClock::at(Instant::from_seconds(1_000_000)));
        let catalog = Catalog::open(&file, clock.clone()).unwrap();
        catalog.edit(|edit| edit.note_request(&once(1))).unwrap();
        assert_eq!(catalog.answered(&[1; 32]).unwrap(), Some(Answered { body: [1; 32], answer: None }));
        catalog.keep_answer(&once(1), "canary-answer").unwrap();
        drop(catalog);
        let lies = std::fs::read_dir(dir.path()).unwrap().any(|entry| {
            let bytes = std::fs::read(entry.unwrap().path()).unwrap();
            bytes.windows(13).any(|window| window == b"canary-answer")
        });
        assert!(!lies, "an answer lies there in plain text");
        let catalog = Catalog::open(&file, clock.clone()).unwrap();
        assert_eq!(catalog.answered(&[1; 32]).unwrap().unwrap().answer.as_deref(), Some("canary-answer"));
        clock.set(Instant::from_seconds(1_000_000 + KEEP_ANSWERS.as_secs()));
        assert_eq!(catalog.answered(&[1; 32]).unwrap(), None);
        catalog.keep_answer(&once(2), "x").unwrap();
        let left = |c: &rusqlite::Connection| c.query_row("SELECT count(*) FROM answers", [], |r| r.get::<_, i64>(0));
        assert_eq!(catalog.db().read(left).unwrap(), 1, "old ones are removed");
    }

    #[test]
    fn a_create_that_was_taken_back_is_not_on_record() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Instant::from_seconds(1_000_000)));
        let catalog = Catalog::open(&dir.path().join("tidegate.db"), clock).unwrap();
        let failed = catalog.edit(|edit| {
            edit.note_request(&once(1))?;
            edit.tenant_named("none").map(drop)
        });
        assert!(failed.is_err());
        assert_eq!(catalog.answered(&[1; 32]).unwrap(), None);
    }

    #[test]
    fn no_more_answers_are_kept_than_there_is_room_for_and_the_oldest_go_first() {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(ManualClock::at(Instant::from_seconds(1_000_000)));
        let catalog = Catalog::open(&dir.path().join("tidegate.db"), clock.clone()).unwrap();
        let key = |n: u32| -> [u8; 32] { std::array::from_fn(|i| n.to_le_bytes()[i % 4]) };
        catalog
            .edit(|edit| {
                let sql = "INSERT INTO answers (key, body, at, answer) VALUES (?1, ?1, ?2, '')";
                let mut statement = edit.connection.prepare(sql)?;
                let at = edit.now_micros() - i64::from(MOST_ANSWERS);
                (0..MOST_ANSWERS).try_for_each(|n| statement.execute(params![key(n), at + i64::from(n)]).map(drop))?;
                Ok(())
            })
            .unwrap();
        catalog.keep_answer(&Once { key: key(MOST_ANSWERS), body: [0; 32] }, "x").unwrap();
        let count = |c: &rusqlite::Connection| c.query_row("SELECT count(*) FROM answers", [], |r| r.get::<_, u32>(0));
        assert_eq!(catalog.db().read(count).unwrap(), MOST_ANSWERS);
        assert_eq!(catalog.answered(&key(0)).unwrap(), None);
        assert!(catalog.answered(&key(MOST_ANSWERS)).unwrap().is_some());
    }
}
