//! People: names, passwords (as argon2id, never as they are), roles, and the browsers that they are signed in with.
//!
//! The trap is a session that outlives its reason: everything that takes something from a user (a new password, another role, the
//! end of the account) is looked at anew with each request, and a new password ends all sessions in the same transaction.

use super::error::name_of;
use super::tokens::{hash_of, moment, random};
use super::{CatalogError, Edit, Grant, Kind, Role, View};
use rusqlite::{OptionalExtension, Row, params};
use tidegate_model::{Instant, Name, ProjectId, Secret, TenantId};

/// A person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Their number.
    pub id: i64,
    /// Their name, unique on the host.
    pub name: Name,
    /// Whether they run the host.
    pub operator: bool,
    /// Whether they can sign in.
    pub has_password: bool,
    /// When the account was made.
    pub created: Instant,
}

const USER: &str = "SELECT id, name, operator, password IS NOT NULL, created FROM users";

fn user(row: &Row<'_>) -> rusqlite::Result<User> {
    let name = super::tenants::name_in(row, 1)?;
    Ok(User { id: row.get(0)?, name, operator: row.get(2)?, has_password: row.get(3)?, created: moment(row, 4)? })
}

pub(super) fn role_in(row: &Row<'_>, column: usize) -> rusqlite::Result<Role> {
    let word: String = row.get(column)?;
    Role::parse(&word).ok_or_else(|| super::corrupt(column, format_args!("{word:?} is no role")))
}

impl View<'_> {
    /// All users, by name.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn users(&self) -> Result<Vec<User>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{USER} ORDER BY name"))?;
        Ok(statement.query_map([], user)?.collect::<Result<_, _>>()?)
    }

    /// The user called `name`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn user_named(&self, name: &str) -> Result<User, CatalogError> {
        let found = self.connection.prepare_cached(&format!("{USER} WHERE name = ?1"))?.query_row([name], user);
        found.optional()?.ok_or_else(|| CatalogError::not_found(Kind::User, name))
    }

    /// Number and password hash (PHC form) of the user called `name`; none if nobody can sign in by it.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn password_hash(&self, name: &str) -> Result<Option<(i64, Secret)>, CatalogError> {
        let sql = "SELECT id, password FROM users WHERE name = ?1 AND password IS NOT NULL";
        let row = |row: &Row<'_>| Ok((row.get(0)?, Secret::new(row.get(1)?)));
        Ok(self.connection.prepare_cached(sql)?.query_row([name], row).optional()?)
    }

    /// The roles of a user.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn grants(&self, user: i64) -> Result<Vec<Grant>, CatalogError> {
        let sql = "SELECT tenant, project, role FROM roles WHERE user = ?1 ORDER BY tenant, project";
        let mut statement = self.connection.prepare_cached(sql)?;
        let grant = |row: &Row<'_>| {
            let project = row.get::<_, Option<i64>>(1)?.map(ProjectId);
            Ok(Grant { tenant: TenantId(row.get(0)?), project, role: role_in(row, 2)? })
        };
        Ok(statement.query_map([user], grant)?.collect::<Result<_, _>>()?)
    }
}

impl Edit<'_> {
    /// Adds a user; `password` in PHC form, if they are to sign in.
    ///
    /// # Errors
    /// [`CatalogError::Name`], and [`CatalogError::Conflict`] if the name is taken.
    pub fn create_user(&self, name: &str, password: Option<&Secret>, operator: bool) -> Result<User, CatalogError> {
        let name = name_of(Kind::User, name)?;
        if self.user_named(name.as_str()).is_ok() {
            return Err(CatalogError::conflict(Kind::User, name, "there is one of this name"));
        }
        let sql = "INSERT INTO users (name, password, operator, created) VALUES (?1, ?2, ?3, ?4)";
        let password = password.map(Secret::expose);
        self.connection.execute(sql, params![name.as_str(), password, operator, self.now_micros()])?;
        self.user_named(name.as_str())
    }

    /// Gives a user another password (PHC form), and ends all of their sessions.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn set_password(&self, user: i64, password: &Secret) -> Result<(), CatalogError> {
        self.connection.execute("UPDATE users SET password = ?2 WHERE id = ?1", params![user, password.expose()])?;
        self.end_sessions(user)
    }

    /// Makes a user an operator, or makes them one no longer.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] if nobody who can sign in would run the host then.
    pub fn set_operator(&self, user: &User, operator: bool) -> Result<(), CatalogError> {
        if user.operator && !operator {
            self.another_operator(user)?;
        }
        self.connection.execute("UPDATE users SET operator = ?2 WHERE id = ?1", params![user.id, operator])?;
        Ok(())
    }

    /// Removes a user with roles and sessions.
    ///
    /// # Errors
    /// [`CatalogError::Conflict`] for the last operator who can sign in.
    pub fn delete_user(&self, user: &User) -> Result<(), CatalogError> {
        if user.operator {
            self.another_operator(user)?;
        }
        self.connection.execute("DELETE FROM users WHERE id = ?1", [user.id])?;
        Ok(())
    }

    fn another_operator(&self, than: &User) -> Result<(), CatalogError> {
        let others = self.users()?.into_iter().any(|u| u.operator && u.has_password && u.id != than.id);
        if others || !than.has_password {
            return Ok(());
        }
        let why = "is the only operator who can sign in; make another one first";
        Err(CatalogError::conflict(Kind::User, &than.name, why))
    }

    /// Gives a user these roles in a tenant, and takes all others there.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] if one project is named twice.
    pub fn set_roles(&self, user: &User, tenant: TenantId, roles: &[Grant]) -> Result<(), CatalogError> {
        self.connection.execute("DELETE FROM roles WHERE user = ?1 AND tenant = ?2", params![user.id, tenant.0])?;
        for (n, grant) in roles.iter().enumerate() {
            if roles[..n].iter().any(|other| other.project == grant.project) {
                return Err(CatalogError::invalid(
                    Kind::User,
                    &user.name,
                    "a project has one role, here it is named twice",
                ));
            }
            let sql = "INSERT INTO roles (user, tenant, project, role) VALUES (?1, ?2, ?3, ?4)";
            let project = grant.project.map(|p| p.0);
            self.connection.execute(sql, params![user.id, tenant.0, project, grant.role.as_str()])?;
        }
        Ok(())
    }

    /// Signs a browser in: 256 random bits for its cookie. Sessions that have ended by themselves are removed on the way.
    ///
    /// # Errors
    /// [`CatalogError::Random`].
    pub fn create_session(&self, user: i64, idle: u64, absolute: u64) -> Result<Secret, CatalogError> {
        let now = self.now_micros();
        let before = |micros: u64| now.saturating_sub(i64::try_from(micros).unwrap_or(i64::MAX));
        let sql = "DELETE FROM sessions WHERE seen <= ?1 OR created <= ?2";
        self.connection.execute(sql, params![before(idle), before(absolute)])?;
        let token = Secret::new(random()?);
        let sql = "INSERT INTO sessions (hash, user, created, seen) VALUES (?1, ?2, ?3, ?3)";
        self.connection.execute(sql, params![hash_of(token.expose()), user, now])?;
        Ok(token)
    }

    /// Signs one browser out.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn end_session(&self, token: &str) -> Result<(), CatalogError> {
        self.connection.execute("DELETE FROM sessions WHERE hash = ?1", [hash_of(token)])?;
        Ok(())
    }

    /// Signs a user out everywhere.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn end_sessions(&self, user: i64) -> Result<(), CatalogError> {
        self.connection.execute("DELETE FROM sessions WHERE user = ?1", [user])?;
        Ok(())
    }

    /// Makes the link that lets the first operator choose a password; links made before are void. None if there are users.
    ///
    /// # Errors
    /// [`CatalogError::Random`].
    pub fn create_setup_link(&self) -> Result<Option<Secret>, CatalogError> {
        if !self.users()?.is_empty() {
            return Ok(None);
        }
        self.connection.execute("DELETE FROM setup_links", [])?;
        let token = Secret::new(random()?);
        let sql = "INSERT INTO setup_links (hash, created) VALUES (?1, ?2)";
        self.connection.execute(sql, params![hash_of(token.expose()), self.now_micros()])?;
        Ok(Some(token))
    }

    /// Uses the link up. Tells whether it was the right one.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn use_setup_link(&self, token: &str) -> Result<bool, CatalogError> {
        Ok(self.connection.execute("DELETE FROM setup_links WHERE hash = ?1", [hash_of(token)])? == 1)
    }
}
