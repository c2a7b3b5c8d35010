//! What an adapter says beyond its settings, as constants of its traits.

use super::schema::When;
use crate::pull::PullAdapter;
use crate::push::PushAdapter;

/// Whether the host wants a user name and a password, which it makes up, of whoever reads a store's page (HTTP Basic).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Login {
    /// The secret URL is enough.
    #[default]
    Never,
    /// Of every store.
    Always,
    /// Of stores with a setting; a boolean one is `"true"` or `"false"`.
    When(When),
}

/// Something that an admin has to enter in the product. The host fills in `{url}` `{scheme}` `{host}` `{port}` `{path}` `{user}`
/// `{password}` `{period}` (seconds) and `{store}`; other braces stay as they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GuideEntry {
    /// How users of the product know the field.
    pub label: &'static str,
    /// What to enter; may have several lines.
    pub text: &'static str,
    /// Shown only for stores with a setting.
    pub when: Option<When>,
}

impl GuideEntry {
    /// An entry that is shown for every store.
    #[must_use]
    pub const fn new(label: &'static str, text: &'static str) -> Self {
        Self { label, text, when: None }
    }

    /// The same, but shown only for stores whose setting `setting` has one of the values `is`.
    #[must_use]
    pub const fn when(self, setting: &'static str, is: &'static [&'static str]) -> Self {
        Self { when: Some(When { setting, is }), ..self }
    }
}

/// What an adapter says of the sink that it pushes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PushTraits {
    /// Seconds for which the sink takes a window after its end.
    pub look_back: Option<u32>,
    /// Whether the sink refuses a window once it has taken a later one.
    pub in_order: bool,
}

impl PushTraits {
    /// Those of `A`.
    #[must_use]
    pub const fn of<A: PushAdapter>() -> Self {
        Self { look_back: A::LOOK_BACK, in_order: A::IN_ORDER }
    }
}

/// What an adapter says of the scraper that reads it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PullTraits {
    /// Whether the scraper has to log in.
    pub login: Login,
    /// What to enter in the product.
    pub guide: &'static [GuideEntry],
}

impl PullTraits {
    /// Those of `A`.
    #[must_use]
    pub const fn of<A: PullAdapter>() -> Self {
        Self { login: A::LOGIN, guide: A::GUIDE }
    }
}
