//! The schema of settings as data; what `describe` tells the host is made of it.

/// What a setting may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Any line of text.
    Text,
    /// A credential.
    Secret,
    /// An http or https URL.
    Url,
    /// A URL that is a credential as a whole.
    SecretUrl,
    /// A host name or address.
    Host,
    /// A TCP port.
    Port,
    /// A whole number.
    Integer,
    /// Yes or no.
    Boolean,
    /// One of several values.
    Choice,
    /// A text with placeholders that names series.
    Template,
    /// Certificates in PEM.
    Certificates,
}

impl Kind {
    /// The contract's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Text => "text",
            Self::Secret => "secret",
            Self::Url => "url",
            Self::SecretUrl => "secret-url",
            Self::Host => "host",
            Self::Port => "port",
            Self::Integer => "integer",
            Self::Boolean => "boolean",
            Self::Choice => "choice",
            Self::Template => "template",
            Self::Certificates => "certificates",
        }
    }
}

/// A default value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Literal {
    /// Text, a URL, a host, a choice, or a template.
    Text(&'static str),
    /// A whole number or a port.
    Integer(i64),
    /// Yes or no.
    Boolean(bool),
}

/// One value of a choice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChoiceSchema {
    /// What is stored.
    pub value: &'static str,
    /// What is shown.
    pub label: &'static str,
}

/// A condition on another setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct When {
    /// Key of the other setting.
    pub setting: &'static str,
    /// The values that it must have one of.
    pub is: &'static [&'static str],
}

/// One setting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingSchema {
    /// How adapter and host name it.
    pub key: &'static str,
    /// How users of the product know it.
    pub label: &'static str,
    /// A sentence that tells where to find it.
    pub help: &'static str,
    /// What may be typed in.
    pub kind: Kind,
    /// Whether it must have a value.
    pub required: bool,
    /// The value if none is typed in.
    pub default: Option<Literal>,
    /// What there is to choose from.
    pub choices: Vec<ChoiceSchema>,
    /// The least number.
    pub min: Option<i64>,
    /// The greatest number.
    pub max: Option<i64>,
    /// For templates: what may stand between braces.
    pub placeholders: &'static [&'static str],
    /// For templates: the placeholders that have to be in it.
    pub must: &'static [&'static str],
    /// Asked for only under this condition.
    pub when: Option<When>,
}

/// Something that a store may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EndpointSchema {
    /// Requests go to this URL.
    Http {
        /// How the adapter names it.
        key: &'static str,
        /// `{key}` of a URL setting, or a literal `https://` URL in which choices are filled in.
        url: &'static str,
    },
    /// Bytes go to this host and port.
    Tcp {
        /// How the adapter names it.
        key: &'static str,
        /// Key of a host setting.
        host: &'static str,
        /// Key of a port setting.
        port: &'static str,
    },
}

impl EndpointSchema {
    /// How the adapter names it.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        match self {
            Self::Http { key, .. } | Self::Tcp { key, .. } => key,
        }
    }
}

/// All settings and endpoints of an adapter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// What the admin fills in.
    pub settings: Vec<SettingSchema>,
    /// What a store may reach.
    pub endpoints: Vec<EndpointSchema>,
}

/// Whether the host takes `text` as the name of an adapter or the key of a setting: lower-case letters, digits, `-` and `_`, a
/// letter first, at most 64 bytes.
#[must_use]
pub const fn is_key(text: &str) -> bool {
    let bytes = text.as_bytes();
    if bytes.is_empty() || bytes.len() > 64 || !bytes[0].is_ascii_lowercase() {
        return false;
    }
    let mut at = 0;
    while at < bytes.len() {
        if !matches!(bytes[at], b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_') {
            return false;
        }
        at += 1;
    }
    true
}
