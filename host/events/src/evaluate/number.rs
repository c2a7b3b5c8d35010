//! Comparing numbers of different types without rounding: 2^53 + 1 is greater than 2^53 although both are the same `f64`.

use std::cmp::Ordering;

/// A number to compare with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i128),
    /// Finite.
    Float(f64),
}

impl Number {
    /// The number that a text reads as: decimal, or hexadecimal after `0x`. A point at the end is allowed, as in
    /// `1700000000.`, which clients send.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if let Some(digits) = text.strip_prefix("0x") {
            return u64::from_str_radix(digits, 16).ok().map(|n| Self::Int(n.into()));
        }
        if let Ok(number) = text.strip_suffix('.').unwrap_or(text).parse() {
            return Some(Self::Int(number));
        }
        text.parse().ok().filter(|f: &f64| f.is_finite()).map(Self::Float)
    }

    /// How an integer compares with this number.
    pub(crate) fn compare_int(self, value: i64) -> Ordering {
        match self {
            Self::Int(number) => i128::from(value).cmp(&number),
            Self::Float(number) => int_with_float(value.into(), number),
        }
    }

    /// How a finite number compares with this one.
    pub(crate) fn compare_float(self, value: f64) -> Ordering {
        match self {
            Self::Int(number) => int_with_float(number, value).reverse(),
            // Both are finite, so there is an order.
            Self::Float(number) => value.partial_cmp(&number).unwrap_or(Ordering::Equal),
        }
    }
}

/// The whole part of a finite number fits an `i128` unless it is beyond any that is compared here; then it saturates.
fn int_with_float(int: i128, float: f64) -> Ordering {
    let whole = float.trunc();
    int.cmp(&(whole as i128)).then_with(|| {
        if float > whole {
            Ordering::Less
        } else if float < whole {
            Ordering::Greater
        } else {
            Ordering::Equal
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_and_floats_compare_exactly_beyond_53_bits() {
        let edge = 1i64 << 53;
        assert_eq!(Number::Float(9_007_199_254_740_992.0).compare_int(edge), Ordering::Equal);
        assert_eq!(Number::Float(9_007_199_254_740_992.0).compare_int(edge + 1), Ordering::Greater);
        assert_eq!(Number::Int(i128::from(edge) + 1).compare_float(9_007_199_254_740_992.0), Ordering::Less);
        assert_eq!(Number::Float(-0.5).compare_int(0), Ordering::Greater);
        assert_eq!(Number::Float(1e300).compare_int(i64::MAX), Ordering::Less);
        assert_eq!(Number::Int(3).compare_float(3.5), Ordering::Greater);
        assert_eq!(Number::Int(-3).compare_float(-3.5), Ordering::Less);
    }

    #[test]
    fn texts_read_as_numbers_in_the_forms_that_clients_send() {
        assert_eq!(Number::parse("1700000000."), Some(Number::Int(1_700_000_000)));
        assert_eq!(Number::parse("0x1F"), Some(Number::Int(31)));
        assert_eq!(Number::parse("1.5"), Some(Number::Float(1.5)));
        for text in ["", ".", "NaN", "inf", "1e999", "one", "0x", " 1"] {
            assert_eq!(Number::parse(text), None, "{text}");
        }
    }
}
