//! Typed settings: a struct whose fields are what the admin fills in.
//!
//! `#[derive(Settings)]` makes three things of the struct: the schema that `describe` tells, the endpoints that a store may reach,
//! and the reading of the values. A secret has no value here at all: a [`CredentialSlot`] only says where the host is to put it.

mod describe;
mod kinds;
mod schema;
mod traits;

pub use describe::{About, describe};
pub use kinds::{Certificates, Choice, CredentialSlot, Endpoint, Host, Port, SecretType, SettingType, TcpEndpoint};
pub use schema::{ChoiceSchema, EndpointSchema, Kind, Literal, Schema, SettingSchema, When, is_key};
pub use traits::{GuideEntry, Login, PullTraits, PushTraits};

use crate::batch::Dictionary;
use crate::bindings::model;
use std::fmt;

/// Settings of an adapter. Derive it; `()` is for adapters without any.
pub trait Settings: Sized + 'static {
    /// What the admin is asked for, and what a store may reach.
    fn schema() -> Schema;

    /// Reads the values of one store.
    ///
    /// # Errors
    /// [`Unset`], which cannot happen where the host checked the settings against the schema.
    fn read(values: &Values<'_>) -> Result<Self, Unset>;
}

impl Settings for () {
    fn schema() -> Schema {
        Schema::default()
    }

    fn read(_: &Values<'_>) -> Result<Self, Unset> {
        Ok(())
    }
}

/// The settings of one store, read from the host in one call: for each that has a value its key, and its value after `=` unless it
/// is the host's to use.
#[derive(Debug)]
pub(crate) struct Known(Dictionary);

impl Known {
    pub(crate) fn of(host: &model::Settings) -> Self {
        Self(Dictionary::new(host.packed()))
    }
}

/// The values of one store.
#[derive(Clone, Copy, Debug)]
pub struct Values<'a> {
    known: &'a Known,
}

impl<'a> Values<'a> {
    pub(crate) fn new(known: &'a Known) -> Self {
        Self { known }
    }

    /// What stands for the value of a setting that has one.
    fn entry(self, key: &str) -> Option<&'a str> {
        let entries = &self.known.0;
        let mut keys = (0..).step_by(2).take(entries.len() / 2);
        keys.find(|at| entries.get(*at) == key).map(|at| entries.get(at + 1))
    }

    fn value(self, key: &str) -> Option<&'a str> {
        self.entry(key)?.strip_prefix('=')
    }

    /// The text of a setting, or its default; none if it is unset or secret.
    #[must_use]
    pub fn text(self, key: &str) -> Option<String> {
        self.value(key).map(ToOwned::to_owned)
    }

    /// The whole number in a setting.
    #[must_use]
    pub fn integer(self, key: &str) -> Option<i64> {
        self.value(key)?.parse().ok()
    }

    /// The yes or no in a setting.
    #[must_use]
    pub fn boolean(self, key: &str) -> Option<bool> {
        self.value(key)?.parse().ok()
    }

    /// Whether a setting, a secret one too, has a value.
    #[must_use]
    pub fn is_set(self, key: &str) -> bool {
        self.entry(key).is_some()
    }

    /// The value of a setting that must have one.
    ///
    /// # Errors
    /// [`Unset`] if it has none.
    pub fn required<T: SettingType>(&self, key: &'static str) -> Result<T, Unset> {
        T::read(*self, key).ok_or(Unset { key })
    }
}

/// A setting that must have a value has none, or one of another kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unset {
    /// Its key.
    pub key: &'static str,
}

impl fmt::Display for Unset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "setting {:?} has no value of the kind that the adapter expects", self.key)
    }
}

impl std::error::Error for Unset {}
