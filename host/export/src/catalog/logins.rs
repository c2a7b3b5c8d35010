//! The user name and password that a scraper has to give for a store's page, where the adapter wants it. The host makes both
//! up, so nobody can choose a weak one; they can be shown again, since somebody has to type them into a product.

use super::error::Kind;
use super::{CatalogError, Edit, View, sealing};
use rusqlite::{OptionalExtension, params};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tidegate_model::{Description, Secret, Settings, StoreId};

/// What a scraper has to give.
#[derive(Clone, Debug)]
pub struct PullLogin {
    /// The user name.
    pub user: String,
    /// The password.
    pub password: Secret,
}

impl PullLogin {
    /// Whether these are the right ones. Takes the same time whatever is wrong with them.
    #[must_use]
    pub fn fits(&self, user: &[u8], password: &[u8]) -> bool {
        // Digests have one length, so not even that of the password can be measured.
        let same = |a: &[u8], b: &[u8]| Sha256::digest(a).ct_eq(&Sha256::digest(b));
        (same(user, self.user.as_bytes()) & same(password, self.password.expose().as_bytes())).into()
    }
}

impl View<'_> {
    /// The login of a store's page; none if it wants none, or has not got one yet.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn pull_login(&self, id: StoreId) -> Result<Option<PullLogin>, CatalogError> {
        let sql = "SELECT user, password FROM pull_logins WHERE store = ?1";
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, String>(1)?));
        let Some((user, sealed)) = self.connection.prepare_cached(sql)?.query_row([id.0], row).optional()? else {
            return Ok(None);
        };
        let password = Secret::new(self.keys.open(&sealing::password(id), &sealed)?);
        Ok(Some(PullLogin { user, password }))
    }
}

impl Edit<'_> {
    /// Gives a pull store a new URL, and a new login if its adapter wants one. What held before is refused from now on.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] for a push store; [`CatalogError::Settings`] if the adapter has come to want other settings.
    pub fn rotate_pull(&self, id: StoreId, adapter: &Description) -> Result<(Secret, Option<PullLogin>), CatalogError> {
        let token = self.rotate_pull_token(id)?;
        let settings = self.store_settings(id, adapter)?;
        self.forget_login(id)?;
        self.keep_login(id, adapter, &settings)?;
        Ok((token, self.pull_login(id)?))
    }

    /// Makes a login for a pull store that wants one and has none, and forgets one that is not wanted any more.
    pub(super) fn keep_login(&self, id: StoreId, of: &Description, settings: &Settings) -> Result<(), CatalogError> {
        if !of.pull.wants_login(settings) {
            return self.forget_login(id);
        }
        if self.pull_login(id)?.is_none() {
            let (user, password) = (super::tokens::random_user()?, super::tokens::random_password()?);
            let sql = "INSERT INTO pull_logins (store, user, password) VALUES (?1, ?2, ?3)";
            let sealed = self.keys.seal(&sealing::password(id), &password)?;
            self.connection.execute(sql, params![id.0, user, sealed])?;
        }
        Ok(())
    }

    pub(super) fn write_pull_token(&self, id: StoreId, token: &str) -> Result<(), CatalogError> {
        let sealed = self.keys.seal(&sealing::pull_token(id), token)?;
        self.connection.execute("UPDATE stores SET pull_token = ?2 WHERE id = ?1", params![id.0, sealed])?;
        Ok(())
    }

    pub(super) fn forget_login(&self, id: StoreId) -> Result<(), CatalogError> {
        self.connection.execute("DELETE FROM pull_logins WHERE store = ?1", [id.0])?;
        Ok(())
    }

    /// Gives a pull store a new URL.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] for a push store.
    pub fn rotate_pull_token(&self, id: StoreId) -> Result<Secret, CatalogError> {
        let store = self.store(id)?;
        if !store.pull {
            return Err(CatalogError::conflict(Kind::Store, store.name, "it has no pull URL: the host sends to it"));
        }
        let token = super::tokens::random_pull_token()?;
        self.write_pull_token(id, &token)?;
        Ok(Secret::new(token))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_user_with_the_right_password_fits() {
        let login = PullLogin { user: "tidegate-1".to_owned(), password: Secret::new("p".to_owned()) };
        assert!(login.fits(b"tidegate-1", b"p"));
        for (user, password) in
            [("tidegate-1", ""), ("", "p"), ("tidegate-1", "P"), ("tidegate-", "1p"), ("p", "tidegate-1")]
        {
            assert!(!login.fits(user.as_bytes(), password.as_bytes()), "{user}:{password}");
        }
    }
}
