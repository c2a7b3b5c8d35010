//! What somebody may do: roles in tenants and projects, and whose they are.
//!
//! The trap is the role that leaks from one tenant into another: a role is never looked at without the tenant that it was given in.

use serde::{Deserialize, Serialize};
use std::fmt;
use tidegate_model::{ProjectId, TenantId};

/// What somebody may do in a project. Each role can do what those before it can.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees what is exported and how it goes.
    Viewer,
    /// Explores the events, too.
    Member,
    /// Defines what is exported, and where to.
    Admin,
}

impl Role {
    /// All, least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Member, Self::Admin];

    /// Its word in documents and in the database.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
        }
    }

    /// The role of a word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.as_str() == word)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A role that was given to somebody.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Grant {
    /// In this tenant,
    pub tenant: TenantId,
    /// in this project; in all, if none is named.
    pub project: Option<ProjectId>,
    /// What may be done there.
    pub role: Role,
}

/// Who acts.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Actor {
    /// A person.
    User {
        /// Their number.
        id: i64,
        /// Their name.
        name: String,
    },
    /// A program, by its API token.
    Token {
        /// The token's name.
        name: String,
    },
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::User { name, .. } => write!(f, "user {name}"),
            Self::Token { name } => write!(f, "token {name}"),
        }
    }
}

/// Somebody, and what they may do.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Access {
    /// Who it is.
    pub actor: Actor,
    /// Whether they run the host: they may do everything in every tenant.
    pub operator: bool,
    /// The tenant that is meant where none is named.
    pub home: Option<TenantId>,
    /// Their roles.
    pub grants: Vec<Grant>,
}

impl Access {
    /// The role in a project; none: the project is not theirs to see.
    #[must_use]
    pub fn role_in(&self, tenant: TenantId, project: ProjectId) -> Option<Role> {
        self.best(|grant| grant.tenant == tenant && grant.project.is_none_or(|p| p == project))
    }

    /// The role in all projects of a tenant, also those to come.
    #[must_use]
    pub fn role_over(&self, tenant: TenantId) -> Option<Role> {
        self.best(|grant| grant.tenant == tenant && grant.project.is_none())
    }

    /// The best role anywhere in a tenant; none: the tenant is not theirs to see.
    #[must_use]
    pub fn role_somewhere(&self, tenant: TenantId) -> Option<Role> {
        self.best(|grant| grant.tenant == tenant)
    }

    fn best(&self, fits: impl Fn(&Grant) -> bool) -> Option<Role> {
        if self.operator {
            return Some(Role::Admin);
        }
        self.grants.iter().filter(|grant| fits(grant)).map(|grant| grant.role).max()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn access(grants: Vec<Grant>, operator: bool) -> Access {
        Access { actor: Actor::Token { name: "t".to_owned() }, operator, home: None, grants }
    }

    #[test]
    fn words_and_roles_belong_together_and_the_order_is_that_of_power() {
        assert!(Role::ALL.into_iter().all(|role| Role::parse(role.as_str()) == Some(role)));
        assert_eq!(Role::parse("Admin"), None);
        assert!(Role::ALL.is_sorted());
    }

    #[test]
    fn an_operator_may_do_everything_everywhere() {
        let operator = access(vec![], true);
        assert_eq!(operator.role_in(TenantId(1), ProjectId(2)), Some(Role::Admin));
        assert_eq!(operator.role_over(TenantId(9)), Some(Role::Admin));
    }

    proptest! {
        /// The oracle asks the other way round: for each role, is there a grant that says so.
        #[test]
        fn a_role_is_that_of_the_best_grant_that_covers_the_place(
            grants in prop::collection::vec((0_i64..3, prop::option::of(0_i64..3), 0_usize..3), 0..6),
            (tenant, project) in (0_i64..3, 0_i64..3),
        ) {
            let grants: Vec<Grant> = grants.into_iter()
                .map(|(t, p, r)| Grant { tenant: TenantId(t), project: p.map(ProjectId), role: Role::ALL[r] }).collect();
            let access = access(grants.clone(), false);
            let says = |role: Role, whole: bool| grants.iter().any(|g| {
                g.tenant.0 == tenant && g.role >= role && (g.project.is_none() || (!whole && g.project == Some(ProjectId(project))))
            });
            for role in Role::ALL {
                prop_assert_eq!(access.role_in(TenantId(tenant), ProjectId(project)) >= Some(role), says(role, false));
                prop_assert_eq!(access.role_over(TenantId(tenant)) >= Some(role), says(role, true));
            }
            // What may be done in all projects may be done in each, and somewhere.
            prop_assert!(access.role_in(TenantId(tenant), ProjectId(project)) >= access.role_over(TenantId(tenant)));
            prop_assert!(access.role_somewhere(TenantId(tenant)) >= access.role_in(TenantId(tenant), ProjectId(project)));
        }
    }
}
