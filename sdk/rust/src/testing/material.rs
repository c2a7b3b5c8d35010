//! What the tests of most adapters need: texts made to break formats, a large batch, and requests written down for golden files.

use super::batch::{BatchBuilder, MetricBuilder, TestBatch};
use super::{Action, Delivered};
use std::fmt::Write;
use std::path::Path;

/// Names and values that have broken formats: separators, quotes, line breaks, what looks like a line of its own, other
/// alphabets, nothing at all, and 10 kB.
#[must_use]
pub fn hostile_texts() -> Vec<String> {
    let short = [
        "",
        " ",
        "a b",
        "a,b",
        "a=b",
        "a;b=c",
        "a:b",
        "a.b",
        "a..b",
        "../../b",
        "a/b",
        "a|b",
        "a`b",
        "|ST[a:b]",
        "~a",
        "!a^b",
        "#a",
        "_a",
        "1a",
        "a%20b",
        "100%",
        "*?{a}[b](c)",
        "a\"b'c",
        "a\\",
        "a\\\\b\\\"",
        "a\nb 1 1\nc",
        "a\r\nb",
        "a\tb",
        "a\u{0}b\u{1f}\u{7f}",
        "a\u{85}b\u{a0}c\u{2003}d\u{2028}e\u{3000}",
        "ошибка",
        "βeta 🌊",
        "e\u{301}",
        "\u{feff}a",
        "NaN",
        "null",
        "1e400",
    ];
    short.iter().map(|text| (*text).to_owned()).chain(["x".repeat(10_000), "é;".repeat(3_400)]).collect()
}

/// A batch with one metric of `rows` series with three labels, as a crash dashboard has them.
#[must_use]
pub fn large_batch(rows: usize) -> TestBatch {
    let metric = MetricBuilder::new("errors", ["fingerprint", "app.version", "os"]).measure("count", "_tx");
    let metric = (0..rows).fold(metric, |metric, n| {
        let labels =
            [format!("f{:05}", n % 5_000), format!("1.{}.0", n / 5_000 % 20), format!("os{}", n / 100_000 % 4)];
        metric.row(labels, [f64::from(u32::try_from(n % 1_000).unwrap_or_default())])
    });
    BatchBuilder::new("web", "crashes").metric(metric).build()
}

/// Everything that was sent, in a form to be read: credentials as `<slot>`, parameters not yet encoded.
#[must_use]
pub fn transcript(delivered: &Delivered) -> String {
    let mut out = String::new();
    for action in &delivered.sent {
        // Writing to a String cannot fail.
        let _ = match action {
            Action::Stream(stream) => {
                write!(out, "TCP {{{}}}\n\n{}", stream.endpoint, String::from_utf8_lossy(&stream.body))
            }
            Action::Request(request) => {
                let parameters: Vec<_> = request.query.iter().map(|(name, value)| format!("{name}={value}")).collect();
                let query = if parameters.is_empty() { String::new() } else { format!("?{}", parameters.join("&")) };
                let headers: String =
                    request.headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
                let slots = request.credentials.iter().map(|(slot, header, template)| {
                    format!("{header}: {}\n", template.replace("{}", &format!("<{slot}>")))
                });
                let basic = request.basic_auth.as_ref();
                let basic = basic.map(|(user, password)| format!("Authorization: Basic <{user}>:<{password}>\n"));
                write!(
                    out,
                    "{} {{{}}}{}{query}\n{headers}{}{}(gzip: {})\n\n{}",
                    request.method,
                    request.endpoint,
                    request.path,
                    slots.collect::<String>(),
                    basic.unwrap_or_default(),
                    request.gzip,
                    request.text(),
                )
            }
        };
    }
    out
}

/// Compares with a golden file. With `TIDEGATE_WRITE_GOLDEN` set the file is written anew; read the difference before you commit
/// it.
///
/// # Panics
/// If they differ, or the file cannot be read.
pub fn assert_golden(file: impl AsRef<Path>, found: &str) {
    let file = file.as_ref();
    if std::env::var_os("TIDEGATE_WRITE_GOLDEN").is_some()
        && let Err(error) = std::fs::write(file, found)
    {
        panic!("{}: {error}", file.display());
    }
    match std::fs::read_to_string(file) {
        Ok(expected) => assert_eq!(found, expected, "{}", file.display()),
        Err(error) => panic!("{}: {error}", file.display()),
    }
}
