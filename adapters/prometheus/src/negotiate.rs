//! Which of the two formats a scraper gets: what its `Accept` header prefers, by RFC 9110.
//!
//! The trap is a format that was not asked for: a scraper reads a page as what the content type says, and one that does not know
//! the type fails the scrape. So OpenMetrics is only for who names it, and everybody else gets the text format.

/// A format of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// The text format 0.0.4.
    Text,
    /// OpenMetrics 1.0.
    OpenMetrics,
}

impl Format {
    /// What the answer's `Content-Type` says.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Text => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }

    /// The format for an `Accept` header.
    #[must_use]
    pub fn for_accept(accept: Option<&str>) -> Self {
        let ranges: Vec<Range<'_>> = accept.unwrap_or_default().split(',').filter_map(Range::parse).collect();
        let open_metrics = weight(&ranges, Self::OpenMetrics);
        if open_metrics > 0 && open_metrics >= weight(&ranges, Self::Text) { Self::OpenMetrics } else { Self::Text }
    }

    /// How exactly a range names the format; none if it does not.
    fn named_by(self, range: &Range<'_>) -> Option<u8> {
        let (kind, subtype, version) = match self {
            Self::Text => ("text", "plain", "0.0.4"),
            Self::OpenMetrics => ("application", "openmetrics-text", "1.0.0"),
        };
        let is = |name: &str, wanted: &str| name.eq_ignore_ascii_case(wanted);
        if is(range.kind, kind) && is(range.subtype, subtype) {
            return match range.version {
                Some(wanted) => (wanted == version).then_some(3),
                None => Some(2),
            };
        }
        let any = range.subtype == "*" && (range.kind == "*" || is(range.kind, kind));
        (self == Self::Text && any).then_some(u8::from(range.kind != "*"))
    }
}

/// The weight of a format in thousandths: that of the range which names it most exactly.
fn weight(ranges: &[Range<'_>], format: Format) -> u16 {
    let named = ranges.iter().filter_map(|range| Some((format.named_by(range)?, range.weight)));
    named.max().map_or(0, |(_, weight)| weight)
}

/// One range of an `Accept` header.
#[derive(Debug)]
struct Range<'a> {
    kind: &'a str,
    subtype: &'a str,
    version: Option<&'a str>,
    /// In thousandths.
    weight: u16,
}

impl<'a> Range<'a> {
    /// Reads a range; none if it is not one. Parameters other than version and weight (charset, escaping) change nothing here.
    fn parse(text: &'a str) -> Option<Self> {
        let mut parts = text.split(';').map(str::trim);
        let (kind, subtype) = parts.next()?.split_once('/')?;
        let mut range = Self { kind: kind.trim(), subtype: subtype.trim(), version: None, weight: 1000 };
        for part in parts {
            let Some((name, value)) = part.split_once('=') else { continue };
            let (name, value) = (name.trim(), value.trim().trim_matches('"'));
            if name.eq_ignore_ascii_case("version") {
                range.version = Some(value);
            } else if name.eq_ignore_ascii_case("q") {
                let weight: f64 = value.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))?;
                // At most 1000, and never negative.
                range.weight = (weight * 1000.0).round() as u16;
            }
        }
        Some(range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn format(accept: &str) -> Format {
        Format::for_accept(Some(accept))
    }

    #[test]
    fn who_asks_for_nothing_or_for_anything_gets_the_text_format() {
        assert_eq!(Format::for_accept(None), Format::Text);
        for accept in ["", "*/*", "text/*", "text/plain", "text/html, */*;q=0.8", "nonsense", "application/*"] {
            assert_eq!(format(accept), Format::Text, "{accept:?}");
        }
    }

    #[test]
    fn each_prometheus_gets_what_it_prefers() {
        let since_2_5 = "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,\
                         text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        let three = "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,\
                     application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,\
                     text/plain;version=0.0.4;q=0.3,*/*;q=0.2";
        let text_first = "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5";
        let protobuf = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,\
                        text/plain;version=0.0.4;q=0.3";
        assert_eq!(format(since_2_5), Format::OpenMetrics);
        assert_eq!(format(three), Format::OpenMetrics);
        assert_eq!(format(text_first), Format::Text);
        assert_eq!(format(protobuf), Format::Text);
    }

    #[test]
    fn versions_weights_and_case_are_read_as_the_standard_says() {
        let table = [
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; Q=1", Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("application/openmetrics-text; charset=utf-8", Format::OpenMetrics),
            ("application/openmetrics-text;version=0.0.1", Format::Text),
            ("application/openmetrics-text;version=2.0.0", Format::Text),
            ("application/openmetrics-text;q=0", Format::Text),
            ("application/openmetrics-text;q=2", Format::Text),
            ("application/openmetrics-text;q=-1", Format::Text),
            ("application/openmetrics-text;q=NaN", Format::Text),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.5", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.501", Format::Text),
            ("application/openmetrics-text;q=0.5,text/*;q=0.9", Format::Text),
            ("application/openmetrics-text;q=0.5,text/plain;q=0.2,*/*;q=0.9", Format::OpenMetrics),
            ("application/openmetrics-text;version=1.0.0;q=0,application/openmetrics-text;q=1", Format::Text),
            (";;;,,,=,application/openmetrics-text", Format::OpenMetrics),
        ];
        for (accept, expected) in table {
            assert_eq!(format(accept), expected, "{accept:?}");
        }
    }
}
