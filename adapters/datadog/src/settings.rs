//! What the admin fills in, and what a request needs of it.

use tidegate_adapter::{Certificates, Choice, CredentialSlot, Endpoint, Request, Settings, Template, Verdict};

/// Where an organization lives: the part of the address after `app.`, and `api.` goes before it.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// US1.
    #[choice(value = "datadoghq.com", label = "US1 (app.datadoghq.com)")]
    Us1,
    /// US3.
    #[choice(value = "us3.datadoghq.com", label = "US3 (us3.datadoghq.com)")]
    Us3,
    /// US5.
    #[choice(value = "us5.datadoghq.com", label = "US5 (us5.datadoghq.com)")]
    Us5,
    /// EU1.
    #[choice(value = "datadoghq.eu", label = "EU1 (app.datadoghq.eu)")]
    Eu1,
    /// AP1.
    #[choice(value = "ap1.datadoghq.com", label = "AP1 (ap1.datadoghq.com)")]
    Ap1,
    /// AP2.
    #[choice(value = "ap2.datadoghq.com", label = "AP2 (ap2.datadoghq.com)")]
    Ap2,
    /// UK1.
    #[choice(value = "uk1.datadoghq.com", label = "UK1 (uk1.datadoghq.com)")]
    Uk1,
    /// US1-FED.
    #[choice(value = "ddog-gov.com", label = "US1-FED (app.ddog-gov.com)")]
    Gov,
    /// US2-FED.
    #[choice(value = "us2.ddog-gov.com", label = "US2-FED (us2.ddog-gov.com)")]
    Gov2,
    /// Something that speaks Datadog's API, at a URL of its own.
    #[choice(value = "custom", label = "Another address")]
    Custom,
}

/// Which version of the API is spoken.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Api {
    /// `POST /api/v2/series`.
    #[choice(value = "v2", label = "v2")]
    V2,
    /// `POST /api/v1/series`.
    #[choice(value = "v1", label = "v1, for receivers other than Datadog that know only this one")]
    V1,
}

/// Settings of a Datadog store.
#[derive(Settings, Debug)]
#[endpoint(http, name = "intake", url = "https://api.{site}")]
pub struct DatadogSettings {
    #[setting(
        label = "Site",
        help = "Where your organization lives: compare with the address of the page that you use Datadog on",
        default = Site::Us1
    )]
    site: Site,
    #[setting(
        label = "URL",
        help = "Address of a proxy, or of another product that takes Datadog's API, without /api/...",
        required,
        when(site = "custom")
    )]
    url: Option<Endpoint>,
    #[setting(label = "API key", help = "Organization Settings, API Keys; an application key is not needed", secret)]
    api_key: CredentialSlot,
    #[setting(
        label = "Host",
        help = "Name of a host that the metrics are shown under; without one they belong to no host"
    )]
    host: Option<String>,
    #[setting(label = "Tags", help = "Go with every metric, separated by commas, such as env:prod,team:mobile")]
    tags: Option<String>,
    #[setting(label = "Namespace", help = "Goes before the name of every metric, with a dot", default = "tidegate")]
    namespace: String,
    #[setting(
        label = "Names",
        help = "How metrics are called below the namespace; project and metric set are tags",
        default = "{metric}.{aggregate}.{attribute}",
        must = ["metric", "aggregate", "attribute"]
    )]
    name: Template,
    #[setting(
        label = "API version",
        help = "Datadog takes both; some other receivers know only v1",
        default = Api::V2
    )]
    api: Api,
    #[setting(
        label = "Certificates",
        help = "Of an authority of your own that signed the certificate at the URL, in PEM",
        when(site = "custom")
    )]
    #[allow(dead_code, reason = "the host alone sees to it")]
    authorities: Option<Certificates>,
}

impl DatadogSettings {
    pub(crate) fn is_datadog(&self) -> bool {
        self.site != Site::Custom
    }

    pub(crate) fn api(&self) -> Api {
        self.api
    }

    pub(crate) fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    pub(crate) fn tags(&self) -> &str {
        self.tags.as_deref().unwrap_or_default()
    }

    pub(crate) fn name(&self) -> &Template {
        &self.name
    }

    pub(crate) fn namespace(&self) -> &str {
        &self.namespace
    }

    /// An empty series request with everything but the series.
    pub(crate) fn request(&self) -> Result<Request, Verdict> {
        let mut request = Request::post(&self.endpoint()?);
        request.path(match self.api {
            Api::V2 => "/api/v2/series",
            Api::V1 => "/api/v1/series",
        });
        request.header("Content-Type", "application/json");
        request.credential(&self.api_key, "DD-API-KEY", "{}");
        request.gzip();
        Ok(request)
    }

    /// A request that asks whether the key is known. Only version 1 has such a page.
    pub(crate) fn validate(&self) -> Result<Request, Verdict> {
        let mut request = Request::get(&self.endpoint()?);
        request.path("/api/v1/validate").credential(&self.api_key, "DD-API-KEY", "{}");
        Ok(request)
    }

    fn endpoint(&self) -> Result<Endpoint, Verdict> {
        if self.is_datadog() {
            return Ok(Self::INTAKE);
        }
        self.url.ok_or_else(|| Verdict::stop("setting \"url\" is needed with another address, and has no value"))
    }
}
