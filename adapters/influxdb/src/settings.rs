//! What the admin fills in, and what a request needs of it.

use tidegate_adapter::{Certificates, Choice, CredentialSlot, Endpoint, Request, Settings, Template, Verdict};

/// Which write API the server has.
#[derive(Choice, Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// `POST /write`, with a database.
    #[choice(value = "1", label = "InfluxDB 1.x")]
    One,
    /// `POST /api/v2/write`, with an organization, a bucket and a token.
    #[choice(value = "2", label = "InfluxDB 2.x or Cloud")]
    Two,
}

/// Settings of an InfluxDB store.
#[derive(Settings, Debug)]
pub struct InfluxSettings {
    #[setting(label = "Version", help = "Which InfluxDB the server runs", default = Version::Two)]
    version: Version,
    #[setting(
        label = "URL",
        help = "The server's address, such as https://influx.example.com:8086; a path is kept as a prefix"
    )]
    url: Endpoint,
    #[setting(
        label = "Database",
        help = "Name of an existing database; SHOW DATABASES lists them",
        required,
        when(version = "1")
    )]
    database: Option<String>,
    #[setting(
        label = "Retention policy",
        help = "Where points go; SHOW RETENTION POLICIES lists them; leave it out for the database's default",
        when(version = "1")
    )]
    retention_policy: Option<String>,
    #[setting(
        label = "User",
        help = "A user with the WRITE privilege on the database; leave it out if the server asks for none",
        when(version = "1")
    )]
    user: Option<CredentialSlot>,
    #[setting(label = "Password", help = "The user's password", secret, when(version = "1"))]
    password: Option<CredentialSlot>,
    #[setting(label = "Organization", help = "Name or ID, shown in the profile menu", required, when(version = "2"))]
    org: Option<String>,
    #[setting(label = "Bucket", help = "Load Data, Buckets", required, when(version = "2"))]
    bucket: Option<String>,
    #[setting(
        label = "API token",
        help = "Load Data, API Tokens; it needs the right to write to the bucket",
        secret,
        required,
        when(version = "2")
    )]
    token: Option<CredentialSlot>,
    #[setting(
        label = "Compress requests",
        help = "Sends gzip; turn it off only for a proxy that cannot pass it on",
        default = true
    )]
    gzip: bool,
    #[setting(
        label = "Measurement",
        help = "Project and metric set are tags of every point, so they need not be in it",
        default = "{metric}",
        placeholders = ["project", "metric_set", "metric"],
        must = ["metric"]
    )]
    pub(crate) naming: Template,
    #[setting(
        label = "Certificates",
        help = "Of an authority of your own that signed the certificate at the URL, in PEM"
    )]
    #[allow(dead_code, reason = "the host alone sees to it")]
    authorities: Option<Certificates>,
}

impl InfluxSettings {
    /// An empty write request with everything but the lines. Time stamps are whole seconds.
    pub(crate) fn request(&self) -> Result<Request, Verdict> {
        let mut request = Request::post(&self.url);
        match self.version {
            Version::One => self.to_database(&mut request)?,
            Version::Two => self.to_bucket(&mut request)?,
        }
        request.query("precision", "s");
        request.header("Content-Type", "text/plain; charset=utf-8");
        if self.gzip {
            request.gzip();
        }
        Ok(request)
    }

    fn to_database(&self, request: &mut Request) -> Result<(), Verdict> {
        let database = self.database.as_ref().ok_or_else(|| unset("database"))?;
        request.path("/write").query("db", database);
        if let Some(retention_policy) = &self.retention_policy {
            request.query("rp", retention_policy);
        }
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => request.basic_auth(user, password),
            (None, None) => request,
            (Some(_), None) => return Err(unset("password")),
            (None, Some(_)) => return Err(unset("user")),
        };
        Ok(())
    }

    fn to_bucket(&self, request: &mut Request) -> Result<(), Verdict> {
        let org = self.org.as_ref().ok_or_else(|| unset("org"))?;
        let bucket = self.bucket.as_ref().ok_or_else(|| unset("bucket"))?;
        let token = self.token.as_ref().ok_or_else(|| unset("token"))?;
        request.path("/api/v2/write").query("org", org).query("bucket", bucket);
        request.credential(token, "Authorization", "Token {}");
        Ok(())
    }
}

fn unset(key: &str) -> Verdict {
    Verdict::stop(format!("setting {key:?} is needed with the others that are set, and has no value"))
}
