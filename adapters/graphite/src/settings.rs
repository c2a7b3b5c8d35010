//! What the admin fills in.

use tidegate_adapter::{Choice, Host, Port, Settings, Template};

/// How the group-by attributes of a metric are written.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// As tags: `errors.count;os=linux`.
    #[choice(value = "tagged", label = "Tags (Graphite 1.1 and later)")]
    Tagged,
    /// As nodes of the path: `errors.count.linux`.
    #[choice(value = "path", label = "Nodes of the path")]
    Path,
}

/// Settings of a Graphite store.
#[allow(dead_code, reason = "host and port are for the host, by the endpoint that is made of them")]
#[derive(Settings, Debug)]
#[endpoint(tcp, name = "carbon", host = "host", port = "port")]
pub struct GraphiteSettings {
    #[setting(label = "Host", help = "Where carbon-cache, carbon-relay or carbon-c-relay listens")]
    host: Host,
    #[setting(
        label = "Port",
        help = "The plaintext receiver, not pickle: LINE_RECEIVER_PORT in carbon.conf",
        default = 2003
    )]
    port: Port,
    #[setting(
        label = "Prefix",
        help = "What every name begins with; may have dots in it, and a single dot stands for no prefix",
        default = "tidegate"
    )]
    pub(crate) prefix: String,
    #[setting(
        label = "Group-by attributes",
        help = "Tags need ENABLE_TAGS in carbon.conf; nodes of the path work everywhere",
        default = Style::Tagged
    )]
    pub(crate) style: Style,
    #[setting(
        label = "Name of a series",
        help = "Dots separate nodes; project and metric_set, where they are left out, follow as tags or nodes",
        default = "{project}.{metric_set}.{metric}.{aggregate}_{attribute}",
        must = ["metric", "aggregate", "attribute"]
    )]
    pub(crate) naming: Template,
}
