//! What the values of well-known attributes mean, in Backtrace's words for formats. Clients show values by them.

/// The format of an attribute that clients' libraries send; `none` for all others.
#[must_use]
pub fn format_of(attribute: &str) -> &'static str {
    match attribute {
        "timestamp" | "cpu.boottime" => "unix_timestamp",
        "fingerprint" => "sha256",
        "callstack" => "callstack",
        "classifiers" | "tags" => "labels",
        "hostname" => "hostname",
        "guid" | "_rxid" | "application.session" => "uuid",
        "version" | "application.version" | "backtrace.version" => "semver",
        "process.age" | "uptime" => "seconds",
        "object.size" => "bytes",
        "fault.address" => "memory_address",
        _ => "none",
    }
}
