//! The types that a field of a settings struct may have; each stands for one kind of setting.

use super::Values;
use super::schema::{ChoiceSchema, Kind, Literal};

/// A type that a field may have.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot be the type of a setting",
    label = "not a type of setting",
    note = "use String, bool, an integer, Port, Host, Endpoint, CredentialSlot, Template, Certificates, an enum that derives Choice, or an Option of one of them"
)]
pub trait SettingType: Sized {
    /// The kind that the admin sees.
    const KIND: Kind;
    /// For integers: the least and the greatest value.
    const RANGE: Option<(i64, i64)> = None;
    /// For templates: what may stand between braces, unless the field says otherwise.
    const PLACEHOLDERS: &'static [&'static str] = &[];
    /// What `default = ...` takes.
    type Default;

    /// The value of a setting; none if it is unset.
    fn read(values: Values<'_>, key: &'static str) -> Option<Self>;

    /// A default as the schema writes it.
    fn literal(default: Self::Default) -> Literal;

    /// For choices: what there is to choose from.
    #[must_use]
    fn choices() -> Vec<ChoiceSchema> {
        Vec::new()
    }
}

/// A type that may be marked `secret`.
#[diagnostic::on_unimplemented(
    message = "a setting of type `{Self}` cannot be secret",
    label = "a secret never enters an adapter, so this could not be read",
    note = "use CredentialSlot for a credential, or Endpoint for a URL that is one"
)]
pub trait SecretType: SettingType {
    /// The kind that the admin sees.
    const SECRET_KIND: Kind;
}

impl SettingType for String {
    const KIND: Kind = Kind::Text;
    type Default = &'static str;

    fn read(values: Values<'_>, key: &'static str) -> Option<Self> {
        values.text(key)
    }

    fn literal(default: &'static str) -> Literal {
        Literal::Text(default)
    }
}

impl SettingType for bool {
    const KIND: Kind = Kind::Boolean;
    type Default = bool;

    fn read(values: Values<'_>, key: &'static str) -> Option<Self> {
        values.boolean(key)
    }

    fn literal(default: bool) -> Literal {
        Literal::Boolean(default)
    }
}

macro_rules! integers {
    ($($type:ident: $low:expr, $high:expr;)+) => {$(
        impl SettingType for $type {
            const KIND: Kind = Kind::Integer;
            const RANGE: Option<(i64, i64)> = Some(($low, $high));
            type Default = i64;

            fn read(values: Values<'_>, key: &'static str) -> Option<Self> {
                values.integer(key)?.try_into().ok()
            }

            fn literal(default: i64) -> Literal {
                Literal::Integer(default)
            }
        }
    )+};
}

integers! {
    u8: 0, u8::MAX as i64;
    u16: 0, u16::MAX as i64;
    u32: 0, u32::MAX as i64;
    i32: i32::MIN as i64, i32::MAX as i64;
    i64: i64::MIN, i64::MAX;
}

/// A TCP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Port(pub u16);

impl SettingType for Port {
    const KIND: Kind = Kind::Port;
    type Default = i64;

    fn read(values: Values<'_>, key: &'static str) -> Option<Self> {
        values.integer(key)?.try_into().ok().map(Self)
    }

    fn literal(default: i64) -> Literal {
        Literal::Integer(default)
    }
}

/// A host name or address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Host(pub String);

impl SettingType for Host {
    const KIND: Kind = Kind::Host;
    type Default = &'static str;

    fn read(values: Values<'_>, key: &'static str) -> Option<Self> {
        values.text(key).map(Self)
    }

    fn literal(default: &'static str) -> Literal {
        Literal::Text(default)
    }
}

/// Something that requests can be sent to. As the type of a field it is a URL setting; with `secret`, a URL that is a credential
/// as a whole. The adapter knows its key and never its URL.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Endpoint {
    key: &'static str,
}

impl Endpoint {
    /// The endpoint called `key` in the schema.
    #[must_use]
    pub const fn named(key: &'static str) -> Self {
        Self { key }
    }

    /// How the host names it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        self.key
    }
}

impl SettingType for Endpoint {
    const KIND: Kind = Kind::Url;
    type Default = &'static str;

    fn read(values: Values<'_>, key: &'static str) -> Option<Self> {
        values.is_set(key).then_some(Self { key })
    }

    fn literal(default: &'static str) -> Literal {
        Literal::Text(default)
    }
}

impl SecretType for Endpoint {
    const SECRET_KIND: Kind = Kind::SecretUrl;
}

/// Something that bytes can be streamed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpEndpoint {
    key: &'static str,
}

impl TcpEndpoint {
    /// The endpoint called `key` in the schema.
    #[must_use]
    pub const fn named(key: &'static str) -> Self {
        Self { key }
    }

    /// How the host names it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        self.key
    }
}

/// A setting that the host puts into a request: a credential if it is marked `secret`, else a text such as a user name. Either
/// way the adapter knows that it is set, and not what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CredentialSlot {
    key: &'static str,
}

impl CredentialSlot {
    /// How the host names it.
    #[must_use]
    pub const fn key(self) -> &'static str {
        self.key
    }
}

impl SettingType for CredentialSlot {
    const KIND: Kind = Kind::Text;
    type Default = &'static str;

    fn read(values: Values<'_>, key: &'static str) -> Option<Self> {
        values.is_set(key).then_some(Self { key })
    }

    fn literal(default: &'static str) -> Literal {
        Literal::Text(default)
    }
}

impl SecretType for CredentialSlot {
    const SECRET_KIND: Kind = Kind::Secret;
}

/// Certificates in PEM that the host trusts for the TLS connections of the store, beside the system's authorities. The host
/// sees to it by itself; there is nothing to do with the field but to have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificates;

impl SettingType for Certificates {
    const KIND: Kind = Kind::Certificates;
    type Default = &'static str;

    fn read(values: Values<'_>, key: &'static str) -> Option<Self> {
        values.is_set(key).then_some(Self)
    }

    fn literal(default: &'static str) -> Literal {
        Literal::Text(default)
    }
}

/// An enum whose variants are the values of a choice. Derive it; `#[derive(Choice)]` makes the enum a type of setting too.
pub trait Choice: Copy + Sized + 'static {
    /// Each variant, what is stored for it, and what is shown.
    const ALL: &'static [(Self, &'static str, &'static str)];

    /// What is stored for this one.
    fn value(self) -> &'static str;

    /// The variant that a stored value stands for.
    #[must_use]
    fn from_value(value: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, stored, _)| *stored == value).map(|(variant, ..)| *variant)
    }
}
