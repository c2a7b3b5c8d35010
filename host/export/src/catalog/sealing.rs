//! Brings every secret in the database under the key that seals now: at the first start with a key, which is when plain rows of
//! earlier versions are sealed, and at the first start after another key was put before it.

use super::keys::{KeyError, KeySource, Keyring};
use crate::db::{Db, OpenError};
use rusqlite::{OptionalExtension, Transaction, params};
use tidegate_model::StoreId;

/// Place of a store's secret setting.
pub(super) fn setting(store: StoreId, key: &str) -> String {
    format!("store_secrets/{}/{key}", store.0)
}

/// Place of the password of a store's page.
pub(super) fn password(store: StoreId) -> String {
    format!("pull_logins/{}", store.0)
}

/// Place of the secret part of a pull URL.
pub(super) fn pull_token(store: StoreId) -> String {
    format!("stores/{}/pull_token", store.0)
}

/// Place of what a create was answered.
pub(super) fn answer(key: &[u8; 32]) -> String {
    format!("answers/{}", hex::encode(key))
}

/// Finds the keys, makes the first one if nothing is sealed yet, and seals what is plain or sealed with an earlier key.
pub(super) fn prepare(db: &Db, source: &KeySource) -> Result<Keyring, OpenError> {
    let unusable = |error: rusqlite::Error| OpenError::Unusable { file: db.file.clone(), cause: error.to_string() };
    let sql = "SELECT key FROM sealed_with";
    let sealed_with: Option<String> =
        db.read(|c| c.query_row(sql, [], |row| row.get(0)).optional()).map_err(unusable)?;
    let mut keys = Keyring::read(source)?;
    if let (None, None, KeySource::File(file)) = (&sealed_with, &keys, source) {
        Keyring::add_new_key(file)?;
        tracing::info!(file = %file.display(), "a key for the secrets in tidegate.db was made; keep a copy of it apart from backups");
        keys = Keyring::read(source)?;
    }
    let missing = |found: String| KeyError::Missing {
        database: db.file.clone(),
        wanted: sealed_with.clone().unwrap_or_default(),
        found,
        source_of: source.clone(),
    };
    let keys = keys.ok_or_else(|| missing("there is no key file".to_owned()))?;
    match &sealed_with {
        Some(name) if !keys.has(name) => Err(missing(format!("the key there is {}", keys.name())).into()),
        Some(name) if name == keys.name() => Ok(keys),
        _ => {
            db.write(|t| reseal(t, &keys, sealed_with.is_none()))?;
            db.forget_log().map_err(unusable)?;
            tracing::info!(key = keys.name(), "the secrets in tidegate.db are sealed with this key now");
            Ok(keys)
        }
    }
}

/// Why resealing failed; nothing has changed then.
#[derive(Debug, thiserror::Error)]
enum ResealError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Storage(#[from] rusqlite::Error),
}

impl From<ResealError> for OpenError {
    fn from(error: ResealError) -> Self {
        match error {
            ResealError::Key(error) => error.into(),
            ResealError::Storage(error) => Self::Unusable { file: Default::default(), cause: error.to_string() },
        }
    }
}

fn reseal(t: &Transaction<'_>, keys: &Keyring, plain: bool) -> Result<(), ResealError> {
    let again = |place: &str, text: String| {
        let text = if plain { text } else { keys.open(place, &text)? };
        keys.seal(place, &text)
    };
    let mut settings = t.prepare("SELECT store, key, value FROM store_secrets")?;
    let rows = settings.query_map([], |r| Ok((StoreId(r.get(0)?), r.get::<_, String>(1)?, r.get::<_, String>(2)?)))?;
    for row in rows.collect::<Result<Vec<_>, _>>()? {
        let sealed = again(&setting(row.0, &row.1), row.2)?;
        t.execute(
            "UPDATE store_secrets SET value = ?3 WHERE store = ?1 AND key = ?2",
            params![row.0.0, row.1, sealed],
        )?;
    }
    let mut logins = t.prepare("SELECT store, password FROM pull_logins")?;
    let rows = logins.query_map([], |r| Ok((StoreId(r.get(0)?), r.get::<_, String>(1)?)))?;
    for (store, text) in rows.collect::<Result<Vec<_>, _>>()? {
        let sealed = again(&password(store), text)?;
        t.execute("UPDATE pull_logins SET password = ?2 WHERE store = ?1", params![store.0, sealed])?;
    }
    let mut urls = t.prepare("SELECT id, pull_token FROM stores WHERE pull_token IS NOT NULL")?;
    let rows = urls.query_map([], |r| Ok((StoreId(r.get(0)?), r.get::<_, String>(1)?)))?;
    for (store, text) in rows.collect::<Result<Vec<_>, _>>()? {
        let sealed = again(&pull_token(store), text)?;
        t.execute("UPDATE stores SET pull_token = ?2 WHERE id = ?1", params![store.0, sealed])?;
    }
    let mut answers = t.prepare("SELECT key, answer FROM answers WHERE answer IS NOT NULL")?;
    let rows = answers.query_map([], |r| Ok((r.get::<_, [u8; 32]>(0)?, r.get::<_, String>(1)?)))?;
    for (key, text) in rows.collect::<Result<Vec<_>, _>>()? {
        let sealed = again(&answer(&key), text)?;
        t.execute("UPDATE answers SET answer = ?2 WHERE key = ?1", params![key, sealed])?;
    }
    t.execute("DELETE FROM sealed_with", [])?;
    t.execute("INSERT INTO sealed_with (key) VALUES (?1)", [keys.name()])?;
    Ok(())
}
