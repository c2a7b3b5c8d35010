//! Events and the limits on what one may carry.

use crate::value::Value;
use serde::{Deserialize, Serialize};

/// One error or crash report on its way into a project.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Event {
    /// The id that the client made. A repeat is acknowledged and stored once.
    pub uuid: Option<[u8; 16]>,
    /// Attributes in the order of arrival, each name once.
    pub attributes: Vec<(String, Value)>,
    /// The report as it came, if there is more to it than attributes.
    pub report: Option<Vec<u8>>,
    /// Files that came with the report.
    pub attachments: Vec<Attachment>,
}

/// A file that came with a report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Name without any path.
    pub name: String,
    /// Media type that the client stated, if it did.
    pub content_type: Option<String>,
    /// The bytes.
    pub bytes: Vec<u8>,
}

/// What one event may carry. Every figure has a test that exceeds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EventLimits {
    /// Bytes of a request body, as sent and again after decompression.
    pub body_bytes: usize,
    /// Attributes of one event.
    pub attributes: usize,
    /// Bytes of an attribute's name.
    pub name_bytes: usize,
    /// Bytes of an attribute's text.
    pub value_bytes: usize,
    /// Levels of nesting in a report.
    pub nesting: usize,
    /// Attachments of one report.
    pub attachments: usize,
    /// Attributes that a project may have in all.
    pub project_attributes: usize,
}

impl Default for EventLimits {
    fn default() -> Self {
        Self {
            body_bytes: 16 << 20,
            attributes: 512,
            name_bytes: 256,
            value_bytes: 16 << 10,
            nesting: 64,
            attachments: 32,
            project_attributes: 4096,
        }
    }
}
