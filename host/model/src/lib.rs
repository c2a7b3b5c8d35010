//! The words of Tidegate as types, for every other crate to use: tenants and projects, events and their values, queries and
//! metrics, windows, batches, adapter descriptions and store settings.
//!
//! Rules that can be types are types here: a [`Secret`] cannot be printed, a [`Window`] cannot be unaligned, an id of one
//! thing cannot stand in for the id of another. No IO happens in this crate.

pub mod adapter;
pub mod batch;
pub mod clock;
pub mod codec;
pub mod event;
pub mod id;
pub mod name;
pub mod query;
pub mod retention;
pub mod secret;
pub mod settings;
pub mod strict;
pub mod traits;
pub mod value;
pub mod window;

pub use adapter::{Description, DescriptionError, Direction};
pub use batch::{Aggregate, Batch, BatchView, Dimension, MeasureColumn, MetricBatch, StringPool};
pub use clock::{Clock, CpuTime, ManualClock, SystemClock, thread_cpu_time};
pub use event::{Attachment, Event, EventLimits};
pub use id::{MetricId, MetricSetId, ObjectId, ProjectId, StoreId, TenantId};
pub use name::{Name, NameError};
pub use query::{Condition, Fold, FoldSpec, MeasureSpec, MetricQuery, Operator, Query, QueryError};
pub use retention::Retention;
pub use secret::Secret;
pub use settings::{SettingValue, Settings, SettingsError};
pub use traits::{GuideEntry, Login, PullTraits, PushTraits};
pub use value::Value;
pub use window::{Instant, Period, PeriodError, Window};
