//! Least and greatest values. Numbers are compared exactly; texts only where a group has no number, by their bytes, and of each
//! chunk only the texts that occur in it are looked at, so memory holds one text per group and not the dictionary.

use super::Texts;
use super::answer::Cell;
use super::folds::Batch;
use super::order::{compare, number_of};
use crate::segment::{Cell as Stored, Column};
use crate::source::SourceError;
use std::collections::HashMap;
use tidegate_model::Value;
use tidegate_model::query::Fold;

/// Least and greatest number, and text, of each group.
#[derive(Default)]
pub(super) struct Extremes {
    numbers: Vec<Option<(Value, Value)>>,
    texts: HashMap<u32, (String, String)>,
    text_bytes: usize,
}

impl Extremes {
    pub(super) fn push(
        &mut self,
        batch: &Batch<'_>,
        column: &Column,
        slot: usize,
        texts: &dyn Texts,
    ) -> Result<(), SourceError> {
        self.numbers.resize(batch.width, None);
        // Code and group of the texts.
        let mut written: Vec<(u32, u32)> = Vec::new();
        batch.for_each(column, |group, cell| match cell {
            Stored::Text(code) => {
                if self.numbers[group].is_none() {
                    written.push((code, u32::try_from(group).unwrap_or(u32::MAX)));
                }
            }
            Stored::Int(int) => self.number(group, Value::Int(int)),
            Stored::Float(float) => self.number(group, Value::Float(float)),
            Stored::Bool(flag) => self.number(group, Value::Int(flag.into())),
        });
        written.sort_unstable();
        written.dedup();
        let mut codes: Vec<u32> = written.iter().map(|pair| pair.0).collect();
        codes.dedup();
        let mut found = vec![String::new(); codes.len()];
        texts.resolve(slot, &codes, &mut |place, text| text.clone_into(&mut found[place]))?;
        for (code, group) in written {
            // The codes are sorted, for they were taken from the sorted pairs.
            let text = codes.binary_search(&code).map(|place| found[place].as_str()).unwrap_or_default();
            self.text(group, text);
        }
        Ok(())
    }

    fn number(&mut self, group: usize, value: Value) {
        let extremes = &mut self.numbers[group];
        let Some((least, greatest)) = extremes else {
            *extremes = Some((value.clone(), value));
            return;
        };
        let less = |a: &Value, b: &Value| match a {
            Value::Int(int) => number_of(b).compare_int(*int).is_lt(),
            Value::Float(float) => number_of(b).compare_float(*float).is_lt(),
            _ => compare(Some(a), Some(b)).is_lt(),
        };
        if less(&value, least) {
            *least = value;
        } else if less(greatest, &value) {
            *greatest = value;
        }
    }

    fn text(&mut self, group: u32, text: &str) {
        let bytes = &mut self.text_bytes;
        let (least, greatest) = self.texts.entry(group).or_insert_with(|| {
            *bytes += 2 * text.len() + size_of::<(u32, (String, String))>();
            (text.to_owned(), text.to_owned())
        });
        if text < least.as_str() {
            *bytes = *bytes + text.len() - least.len();
            text.clone_into(least);
        } else if text > greatest.as_str() {
            *bytes = *bytes + text.len() - greatest.len();
            text.clone_into(greatest);
        }
    }

    /// What it found for a group.
    pub(super) fn cell(&self, fold: Fold, group: usize) -> Cell {
        let texts = || {
            let (least, greatest) = self.texts.get(&u32::try_from(group).ok()?)?;
            Some((Value::Str(least.clone()), Value::Str(greatest.clone())))
        };
        let found = self.numbers.get(group).cloned().flatten().or_else(texts);
        match fold {
            Fold::Min => Cell::Value(found.map(|range| range.0)),
            Fold::Max => Cell::Value(found.map(|range| range.1)),
            _ => Cell::Range(found),
        }
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<Option<(Value, Value)>>() + self.text_bytes
    }
}
