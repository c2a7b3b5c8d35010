//! Submission tokens and API tokens: 256 random bits, shown once, kept as SHA-256.
//!
//! The tokens are random, so a plain hash is enough: there is no dictionary to try. Tokens that an admin brings along must be
//! long enough to deserve the same.

use super::{CatalogError, Edit, Kind, Role, View};
use rusqlite::{OptionalExtension, Row, params};
use sha2::{Digest, Sha256};
use tidegate_model::{Instant, ProjectId, Secret, TenantId};

/// Least length of a token that an admin brings along.
pub const MIN_TOKEN_BYTES: usize = 16;
const MAX_TOKEN_BYTES: usize = 256;
/// Characters of a token that lists show.
const HINT_CHARS: usize = 4;
/// What API tokens begin with, so that scanners for leaked credentials can know them.
const API_TOKEN_PREFIX: &str = "tg_";

pub(super) type TokenHash = [u8; 32];

pub(super) fn hash_of(token: &str) -> TokenHash {
    Sha256::digest(token.as_bytes()).into()
}

/// A submission token of a project, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubmissionToken {
    /// Its number, by which it is deleted.
    pub id: i64,
    /// The project that it lets reports into.
    pub project: ProjectId,
    /// The first characters of it.
    pub hint: String,
    /// When it was made.
    pub created: Instant,
}

/// An API token of a tenant, without the token itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiToken {
    /// Its number.
    pub id: i64,
    /// The tenant that it speaks for.
    pub tenant: TenantId,
    /// What it is for, unique inside the tenant.
    pub name: String,
    /// The first characters of it.
    pub hint: String,
    /// When it was made.
    pub created: Instant,
    /// Whether it may do everything on the host.
    pub operator: bool,
    /// The only project that it opens; none: all of the tenant.
    pub project: Option<ProjectId>,
    /// What it may do there.
    pub role: Role,
    /// When it stops to work.
    pub expires: Option<Instant>,
}

/// What an API token should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSpec<'a> {
    /// What it is for.
    pub name: &'a str,
    /// Whether it may do everything on the host.
    pub operator: bool,
    /// The only project that it opens; none: all of the tenant.
    pub project: Option<ProjectId>,
    /// What it may do there.
    pub role: Role,
    /// When it stops to work.
    pub expires: Option<Instant>,
}

impl<'a> TokenSpec<'a> {
    /// One that may do everything in its tenant, for good.
    #[must_use]
    pub fn admin(name: &'a str) -> Self {
        Self { name, operator: false, project: None, role: Role::Admin, expires: None }
    }

    /// One that may do everything on the host, for good.
    #[must_use]
    pub fn operator(name: &'a str) -> Self {
        Self { operator: true, ..Self::admin(name) }
    }
}

pub(super) fn moment(row: &Row<'_>, column: usize) -> rusqlite::Result<Instant> {
    Ok(Instant::from_micros(u64::try_from(row.get::<_, i64>(column)?).unwrap_or(0)))
}

/// 256 random bits, safe in a path, a header and a cookie.
pub(super) fn random() -> Result<String, CatalogError> {
    let mut bytes = [0; 32];
    getrandom::fill(&mut bytes).map_err(CatalogError::Random)?;
    Ok(hex::encode(bytes))
}

/// The secret part of a pull URL: 256 random bits, safe in a path.
pub(super) fn random_pull_token() -> Result<String, CatalogError> {
    random()
}

/// A user name for a store's page. Not a secret; it tells stores apart in the product that reads them.
pub(super) fn random_user() -> Result<String, CatalogError> {
    let mut bytes = [0; 4];
    getrandom::fill(&mut bytes).map_err(CatalogError::Random)?;
    Ok(format!("tidegate-{}", hex::encode(bytes)))
}

/// A password for a store's page: 128 random bits, safe in a URL and in every configuration file.
pub(super) fn random_password() -> Result<String, CatalogError> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(CatalogError::Random)?;
    Ok(hex::encode(bytes))
}

fn hint(token: &str) -> String {
    token.trim_start_matches(API_TOKEN_PREFIX).chars().take(HINT_CHARS).collect()
}

impl View<'_> {
    /// The submission tokens of a project, oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn submission_tokens(&self, of: ProjectId) -> Result<Vec<SubmissionToken>, CatalogError> {
        let sql = "SELECT id, project, hint, created FROM submission_tokens WHERE project = ?1 ORDER BY id";
        let mut statement = self.connection.prepare_cached(sql)?;
        let token = |row: &Row<'_>| {
            let project = ProjectId(row.get(1)?);
            Ok(SubmissionToken { id: row.get(0)?, project, hint: row.get(2)?, created: moment(row, 3)? })
        };
        Ok(statement.query_map([of.0], token)?.collect::<Result<_, _>>()?)
    }

    /// The API tokens of a tenant, oldest first.
    ///
    /// # Errors
    /// [`CatalogError::Storage`].
    pub fn api_tokens(&self, of: TenantId) -> Result<Vec<ApiToken>, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{API_TOKEN} WHERE tenant = ?1 ORDER BY id"))?;
        Ok(statement.query_map([of.0], api_token)?.collect::<Result<_, _>>()?)
    }

    /// The API token of a tenant called `name`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn api_token_named(&self, of: TenantId, name: &str) -> Result<ApiToken, CatalogError> {
        let mut statement = self.connection.prepare_cached(&format!("{API_TOKEN} WHERE tenant = ?1 AND name = ?2"))?;
        let found = statement.query_row(params![of.0, name], api_token).optional()?;
        found.ok_or_else(|| CatalogError::not_found(Kind::ApiToken, name))
    }
}

const API_TOKEN: &str = "SELECT id, tenant, name, hint, created, operator, project, role, expires FROM api_tokens";

fn api_token(row: &Row<'_>) -> rusqlite::Result<ApiToken> {
    let expires = row.get::<_, Option<i64>>(8)?.map(|_| moment(row, 8)).transpose()?;
    Ok(ApiToken {
        id: row.get(0)?,
        tenant: TenantId(row.get(1)?),
        name: row.get(2)?,
        hint: row.get(3)?,
        created: moment(row, 4)?,
        operator: row.get(5)?,
        project: row.get::<_, Option<i64>>(6)?.map(ProjectId),
        role: super::users::role_in(row, 7)?,
        expires,
    })
}

impl Edit<'_> {
    /// Makes a submission token for a project: 64 hexadecimal digits, as Backtrace clients expect. Nobody can read it again.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`] if there is no such project.
    pub fn create_submission_token(&self, of: ProjectId) -> Result<(SubmissionToken, Secret), CatalogError> {
        let token = Secret::new(random()?);
        self.put_submission_token(of, &token)?;
        let made = self.submission_tokens(of)?.pop();
        let made = made.ok_or_else(|| CatalogError::not_found(Kind::SubmissionToken, "just made"))?;
        Ok((made, token))
    }

    /// Lets a token that the admin brings along submit to a project. Tells its number if it is new there.
    ///
    /// # Errors
    /// [`CatalogError::Invalid`] if it is too short to be one or would not survive in a URL; [`CatalogError::Conflict`] if it
    /// belongs to another project. Neither shows the token.
    pub fn put_submission_token(&self, of: ProjectId, token: &Secret) -> Result<Option<i64>, CatalogError> {
        let project = self.project(of)?;
        let text = token.expose();
        let safe = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '~');
        if text.len() < MIN_TOKEN_BYTES || text.len() > MAX_TOKEN_BYTES || !text.chars().all(safe) {
            let why = format!(
                "a submission token has {MIN_TOKEN_BYTES} to {MAX_TOKEN_BYTES} letters, digits, '-', '_', '.' or '~'; this one has {} characters",
                text.chars().count()
            );
            return Err(CatalogError::invalid(Kind::Project, project.name, why));
        }
        let hash = hash_of(text);
        let sql = "SELECT project FROM submission_tokens WHERE hash = ?1";
        let mut known = self.connection.prepare_cached(sql)?;
        let owners: Vec<i64> = known.query_map([hash], |row| row.get(0))?.collect::<Result<_, _>>()?;
        match owners.first() {
            Some(&owner) if owner == of.0 => return Ok(None),
            Some(_) => {
                let why = "one of the submission tokens belongs to another project; each token leads to one";
                return Err(CatalogError::conflict(Kind::Project, project.name, why));
            }
            None => {}
        }
        let sql = "INSERT INTO submission_tokens (project, hash, hint, created) VALUES (?1, ?2, ?3, ?4)";
        self.connection.execute(sql, params![of.0, hash, hint(text), self.now_micros()])?;
        Ok(Some(self.connection.last_insert_rowid()))
    }

    /// Revokes a submission token of a project.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn delete_submission_token(&self, of: ProjectId, id: i64) -> Result<(), CatalogError> {
        let sql = "DELETE FROM submission_tokens WHERE project = ?1 AND id = ?2";
        match self.connection.execute(sql, params![of.0, id])? {
            0 => Err(CatalogError::not_found(Kind::SubmissionToken, id)),
            _ => Ok(()),
        }
    }

    /// Makes an API token for a tenant. Nobody can read it again.
    ///
    /// # Errors
    /// [`CatalogError::Name`], and [`CatalogError::Conflict`] if the name is taken.
    pub fn create_api_token(&self, of: TenantId, spec: &TokenSpec<'_>) -> Result<Secret, CatalogError> {
        let name = super::error::name_of(Kind::ApiToken, spec.name)?;
        self.tenant(of)?;
        if self.api_token_named(of, name.as_str()).is_ok() {
            return Err(CatalogError::conflict(Kind::ApiToken, name, "there is one of this name"));
        }
        let token = Secret::new(format!("{API_TOKEN_PREFIX}{}", random()?));
        let sql = "INSERT INTO api_tokens (tenant, name, hash, hint, created, operator, project, role, expires) \
                   VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
        let text = token.expose();
        let expires = spec.expires.map(|at| i64::try_from(at.micros()).unwrap_or(i64::MAX));
        self.connection.execute(
            sql,
            params![
                of.0,
                name.as_str(),
                hash_of(text),
                hint(text),
                self.now_micros(),
                spec.operator,
                spec.project.map(|p| p.0),
                spec.role.as_str(),
                expires
            ],
        )?;
        Ok(token)
    }

    /// Revokes the API token called `name`.
    ///
    /// # Errors
    /// [`CatalogError::NotFound`].
    pub fn delete_api_token(&self, of: TenantId, name: &str) -> Result<(), CatalogError> {
        let sql = "DELETE FROM api_tokens WHERE tenant = ?1 AND name = ?2";
        match self.connection.execute(sql, params![of.0, name])? {
            0 => Err(CatalogError::not_found(Kind::ApiToken, name)),
            _ => Ok(()),
        }
    }
}
