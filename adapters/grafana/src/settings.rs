//! What the admin fills in, and what a request needs of it.

use tidegate_adapter::{Certificates, Choice, CredentialSlot, Endpoint, Request, Settings, Template, Verdict};

/// Which kind of cluster the stack lives on; they want the key in different ways.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cluster {
    /// A host that many customers share: the instance ID tells them apart.
    #[choice(value = "shared", label = "Shared (Grafana Cloud stack, with an instance ID)")]
    Shared,
    /// A host of one's own: the key alone says who it is.
    #[choice(value = "dedicated", label = "Dedicated (a host of your own, API key alone)")]
    Dedicated,
}

/// Settings of a Grafana store.
#[derive(Settings, Debug)]
pub struct GrafanaSettings {
    #[setting(
        label = "Cluster",
        help = "Shared if the Graphite card of your stack shows a user (instance ID)",
        default = Cluster::Shared
    )]
    cluster: Cluster,
    #[setting(
        label = "URL",
        help = "Cloud Portal, your stack, Graphite, Details: the metrics endpoint; ends in /metrics"
    )]
    url: Endpoint,
    #[setting(label = "Instance ID", help = "The user on the same card: a number", required, when(cluster = "shared"))]
    instance_id: Option<CredentialSlot>,
    #[setting(
        label = "API key",
        help = "A token of an access policy with the scope metrics:write (formerly an API key of the role MetricsPublisher)",
        secret
    )]
    key: CredentialSlot,
    #[setting(
        label = "Prefix",
        help = "What every name begins with; may have dots in it, and a single dot stands for no prefix",
        default = "tidegate"
    )]
    pub(crate) prefix: String,
    #[setting(
        label = "Name of a series",
        help = "Dots separate nodes; project and metric_set, where they are left out, follow as tags",
        default = "{project}.{metric_set}.{metric}.{aggregate}_{attribute}",
        must = ["metric", "aggregate", "attribute"]
    )]
    pub(crate) naming: Template,
    #[setting(
        label = "Certificates",
        help = "Of an authority of your own that signed the certificate at the URL, in PEM"
    )]
    #[allow(dead_code, reason = "the host alone sees to it")]
    authorities: Option<Certificates>,
}

impl GrafanaSettings {
    /// An empty request with everything but the points.
    pub(crate) fn request(&self) -> Result<Request, Verdict> {
        let mut request = Request::post(&self.url);
        // Compared letter by letter by the receiver: a charset behind it would be refused. It reads no compressed bodies either.
        request.header("Content-Type", "application/json");
        match (self.cluster, &self.instance_id) {
            (Cluster::Shared, Some(instance_id)) => request.basic_auth(instance_id, &self.key),
            (Cluster::Shared, None) => return Err(Verdict::stop("a shared cluster needs the setting \"instance_id\"")),
            (Cluster::Dedicated, _) => request.credential(&self.key, "Authorization", "Bearer {}"),
        };
        Ok(request)
    }
}
