//! Tokens in memory, since one is looked up for every request that comes in.
//!
//! Keys are hashes: how far a lookup gets depends on the hash of what was presented, which tells an attacker nothing about the
//! tokens that exist.

use super::tokens::{ApiAccess, TokenHash, hash_of};
use super::{CatalogError, View};
use std::collections::HashMap;
use subtle::ConstantTimeEq;
use tidegate_model::{ProjectId, StoreId, TenantId};

#[derive(Default)]
pub(super) struct Index {
    submission: HashMap<TokenHash, ProjectId>,
    api: HashMap<TokenHash, ApiAccess>,
    pull: HashMap<TokenHash, StoreId>,
}

impl Index {
    pub(super) fn load(view: &View<'_>) -> Result<Self, CatalogError> {
        let mut index = Self::default();
        let mut statement = view.connection.prepare_cached("SELECT hash, project FROM submission_tokens")?;
        for row in statement.query_map([], |row| Ok((row.get(0)?, ProjectId(row.get(1)?))))? {
            let (hash, project) = row?;
            index.submission.insert(hash, project);
        }
        let mut statement = view.connection.prepare_cached("SELECT hash, tenant, name FROM api_tokens")?;
        for row in statement.query_map([], |row| {
            Ok((row.get(0)?, ApiAccess { tenant: TenantId(row.get(1)?), token_name: row.get(2)? }))
        })? {
            let (hash, access) = row?;
            index.api.insert(hash, access);
        }
        let sql = "SELECT pull_token, id FROM stores WHERE pull_token IS NOT NULL AND deleted IS NULL";
        let mut statement = view.connection.prepare_cached(sql)?;
        for row in statement.query_map([], |row| Ok((row.get::<_, String>(0)?, StoreId(row.get(1)?))))? {
            let (token, store) = row?;
            index.pull.insert(hash_of(&token), store);
        }
        Ok(index)
    }

    pub(super) fn submission(&self, token: &str) -> Option<ProjectId> {
        find(&self.submission, token).copied()
    }

    pub(super) fn api(&self, token: &str) -> Option<ApiAccess> {
        find(&self.api, token).cloned()
    }

    pub(super) fn pull(&self, token: &str) -> Option<StoreId> {
        find(&self.pull, token).copied()
    }
}

fn find<'i, T>(tokens: &'i HashMap<TokenHash, T>, presented: &str) -> Option<&'i T> {
    let hash = hash_of(presented);
    let (known, found) = tokens.get_key_value(&hash)?;
    bool::from(known.ct_eq(&hash)).then_some(found)
}
