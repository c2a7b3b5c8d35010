//! What a sink holds and what it should hold, as sets that can be compared with a readable difference.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

/// Where one value sits in a sink.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Point {
    /// Full name as the sink knows it.
    pub name: String,
    /// Tags or labels that have a value.
    pub labels: BTreeMap<String, String>,
    /// Unix seconds.
    pub time: u64,
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?}@{}", self.name, self.labels, self.time)
    }
}

/// Values by place.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Points(BTreeMap<Point, f64>);

impl Points {
    /// Adds a value. The same one again is the same.
    ///
    /// # Errors
    /// If the place has another value already.
    pub fn insert(&mut self, point: Point, value: f64) -> Result<(), String> {
        match self.0.get(&point) {
            Some(known) if known.to_bits() != value.to_bits() => Err(format!("{point} is both {known} and {value}")),
            _ => {
                self.0.insert(point, value);
                Ok(())
            }
        }
    }

    /// How many values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every place and value.
    pub fn iter(&self) -> impl Iterator<Item = (&Point, f64)> {
        self.0.iter().map(|(p, v)| (p, *v))
    }

    /// The times at which there is any value of `name`.
    #[must_use]
    pub fn times(&self, name: &str) -> BTreeSet<u64> {
        self.0.keys().filter(|p| p.name == name).map(|p| p.time).collect()
    }

    /// Only what is stamped with a time of `times`.
    #[must_use]
    pub fn at(&self, times: &BTreeSet<u64>) -> Self {
        Self(self.0.iter().filter(|(p, _)| times.contains(&p.time)).map(|(p, v)| (p.clone(), *v)).collect())
    }

    /// The sum over all places of `name`.
    #[must_use]
    pub fn sum(&self, name: &str) -> f64 {
        self.0.iter().filter(|(p, _)| p.name == name).map(|(_, v)| v).sum()
    }

    /// What is different from `expected`, in words; none if nothing is. Values must be equal bit by bit.
    #[must_use]
    pub fn difference(&self, expected: &Self) -> Option<String> {
        self.difference_if(expected, |held, right| held.to_bits() != right.to_bits())
    }

    /// As [`difference`](Self::difference), for a sink that keeps only so many digits: whole numbers must be equal, others may
    /// differ by the part `precision` of themselves.
    #[must_use]
    pub fn difference_beyond(&self, precision: f64, expected: &Self) -> Option<String> {
        self.difference_if(expected, |held, right| {
            if right.fract() == 0.0 { held != right } else { (held - right).abs() > right.abs() * precision }
        })
    }

    fn difference_if(&self, expected: &Self, differ: impl Fn(f64, f64) -> bool) -> Option<String> {
        let mut lines = Vec::new();
        for (point, value) in expected.iter() {
            match self.0.get(point) {
                None => lines.push(format!("missing: {point} = {value}")),
                Some(held) if differ(*held, value) => {
                    lines.push(format!("different: {point} is {held}, must be {value}"));
                }
                Some(_) => {}
            }
        }
        for (point, value) in self.iter().filter(|(p, _)| !expected.0.contains_key(p)) {
            lines.push(format!("too much: {point} = {value}"));
        }
        if lines.is_empty() {
            return None;
        }
        let count = lines.len();
        lines.truncate(20);
        Some(format!("{count} differences ({} held, {} expected):\n{}", self.len(), expected.len(), lines.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points(values: &[(&str, u64, f64)]) -> Points {
        let mut points = Points::default();
        for (name, time, value) in values {
            let point = Point { name: (*name).to_owned(), labels: BTreeMap::new(), time: *time };
            points.insert(point, *value).unwrap();
        }
        points
    }

    #[test]
    fn equal_sets_have_no_difference_and_each_kind_of_difference_is_told() {
        let expected = points(&[("a", 1, 1.0), ("b", 1, 2.0)]);
        assert_eq!(expected.difference(&expected.clone()), None);
        let told = points(&[("a", 1, 1.5), ("c", 1, 2.0)]).difference(&expected).unwrap();
        for part in ["different: a{}@1 is 1.5, must be 1", "missing: b{}@1 = 2", "too much: c{}@1 = 2"] {
            assert!(told.contains(part), "{told}");
        }
    }

    #[test]
    fn a_loss_of_digits_is_taken_only_where_it_is_asked_for_and_never_for_whole_numbers() {
        let expected = points(&[("a", 1, 1.0 / 3.0), ("b", 1, 3e9)]);
        let close = points(&[("a", 1, 0.333_333_333_333), ("b", 1, 3e9)]);
        assert_eq!(close.difference_beyond(1e-11, &expected), None);
        assert!(close.difference_beyond(1e-13, &expected).is_some());
        assert!(close.difference(&expected).is_some());
        let off_by_one = points(&[("a", 1, 1.0 / 3.0), ("b", 1, 3e9 + 1.0)]);
        assert!(off_by_one.difference_beyond(1e-3, &expected).is_some());
    }

    #[test]
    fn two_values_at_one_place_are_refused() {
        let mut points = points(&[("a", 1, 1.0)]);
        let place = Point { name: "a".to_owned(), labels: BTreeMap::new(), time: 1 };
        assert!(points.insert(place.clone(), 1.0).is_ok());
        assert!(points.insert(place, 2.0).unwrap_err().contains("both 1 and 2"));
    }
}
