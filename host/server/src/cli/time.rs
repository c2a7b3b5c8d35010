//! Times as people type them, the same wherever one is asked for: a span back from now, a moment, or seconds since the epoch.

use jiff::{Span, Timestamp};

/// What is expected where a time is.
pub(super) const EXPECTED: &str =
    "a span such as 90s, 15m, 24h or 7d, Unix seconds, or a moment such as 2026-11-01T00:00:00Z";

/// Seconds since the epoch; none if the text is no time.
pub(super) fn read(text: &str, now: Timestamp) -> Option<i64> {
    if let Ok(moment) = text.parse::<Timestamp>() {
        return Some(moment.as_second());
    }
    if let Ok(seconds) = text.parse::<i64>() {
        return Some(seconds);
    }
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let count: i64 = digits.parse().ok()?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3600,
        "d" => 86_400,
        "w" => 604_800,
        _ => return None,
    };
    let span = Span::new().try_seconds(count.checked_mul(seconds)?).ok()?;
    Some(now.checked_sub(span).ok()?.as_second())
}

/// The value of an argument: seconds since the epoch, not before it.
pub(super) fn argument(text: &str) -> Result<u64, String> {
    let seconds = read(text, Timestamp::now()).ok_or_else(|| format!("expected {EXPECTED}"))?;
    u64::try_from(seconds).map_err(|_| "expected a time after 1970".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_count_back_from_now_and_moments_stand_for_themselves() {
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        for (text, seconds) in [
            ("90s", 1_799_999_910),
            ("15m", 1_799_999_100),
            ("24h", 1_799_913_600),
            ("2w", 1_798_790_400),
            ("1700000000", 1_700_000_000),
            ("2023-11-14T22:13:20Z", 1_700_000_000),
        ] {
            assert_eq!(read(text, now), Some(seconds), "{text}");
        }
        for text in ["", "h", "yesterday", "7x", "7é", "99999999999999999w"] {
            assert_eq!(read(text, now), None, "{text}");
        }
        assert!(
            argument("-5").unwrap_err().contains("after 1970") && argument("soon").unwrap_err().contains("24h or 7d")
        );
    }
}
