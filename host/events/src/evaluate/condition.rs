//! Conditions of filters. Text is tested once per distinct value, not once per event; what each operator means is told at the
//! head of the query module.

use super::load::{BOOL, Coded, FLOAT, INT, TEXT};
use super::number::Number;
use super::{Texts, bits};
use crate::source::SourceError;
use regex::{Regex, RegexBuilder};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::cmp::Ordering;
use std::ops::Range;
use tidegate_model::value::float_text;
use tidegate_model::{Condition, Operator, Value};

/// One condition, ready to be tested.
pub(crate) struct Test {
    /// Never a negative operator: those negate the result.
    operator: Operator,
    negative: bool,
    text: String,
    number: Option<Number>,
    boolean: Option<bool>,
    fold_case: bool,
    pattern: Option<Regex>,
    /// For each text of the attribute, by its dense code, whether the condition holds; 0 stands for no text.
    truths: Vec<bool>,
    /// How many of them are true, and the last that is.
    held: (usize, u32),
}

impl Test {
    pub(crate) fn new(condition: &Condition) -> Result<Self, String> {
        let operator = condition.operator.complement_of();
        let mut text = operand_text(&condition.operand);
        let pattern = match operator.unwrap_or(condition.operator) {
            Operator::RegularExpression => {
                let pattern = RegexBuilder::new(&text).case_insensitive(condition.case_insensitive).build();
                Some(pattern.map_err(|error| format!("{}: {error}", condition.attribute))?)
            }
            _ => None,
        };
        if condition.case_insensitive {
            text = text.to_lowercase();
        }
        Ok(Self {
            operator: operator.unwrap_or(condition.operator),
            negative: operator.is_some(),
            text,
            number: operand_number(&condition.operand),
            boolean: operand_boolean(&condition.operand),
            fold_case: condition.case_insensitive,
            pattern,
            truths: vec![false],
            held: (0, 0),
        })
    }

    /// Tests the texts that are new since the last chunk.
    pub(super) fn learn(&mut self, slot: usize, coded: &Coded, texts: &dyn Texts) -> Result<(), SourceError> {
        let known = self.truths.len();
        let new = coded.coder.texts_from(known);
        if new.is_empty() {
            return Ok(());
        }
        match self.operator {
            Operator::IsSet => self.truths.resize(known + new.len(), true),
            Operator::Equal => {
                let equal = texts.code(slot, &self.text)?;
                self.truths.extend(new.iter().map(|code| Some(*code) == equal));
            }
            _ => {
                let mut truths = vec![false; new.len()];
                texts.resolve(slot, new, &mut |place, text| truths[place] = self.text_holds(text))?;
                self.truths.append(&mut truths);
            }
        }
        for (local, _) in (0..).zip(&self.truths).skip(known).filter(|(_, holds)| **holds) {
            self.held = (self.held.0 + 1, local);
        }
        Ok(())
    }

    /// A bit for each of some rows of a chunk: whether the condition holds there.
    pub(super) fn rows(&self, coded: &Coded, rows: Range<usize>) -> Vec<u64> {
        let count = rows.len();
        let mut held = self.positive(coded, rows);
        if self.negative {
            bits::negate(&mut held, count);
        }
        held
    }

    fn positive(&self, coded: &Coded, rows: Range<usize>) -> Vec<u64> {
        if self.operator == Operator::IsSet {
            return bits::pack(&coded.kinds[rows], |kind| kind != 0);
        }
        if coded.only_texts() {
            let locals = &coded.locals[rows];
            return match self.held {
                (0, _) => vec![0; locals.len().div_ceil(64)],
                (1, only) => bits::pack(locals, |local| local == only),
                _ => bits::pack(locals, |local| self.truths[local as usize]),
            };
        }
        match (self.operator, self.number) {
            (Operator::Contains | Operator::RegularExpression, _) => {}
            (_, Some(Number::Int(operand))) if coded.only(INT) => {
                if let Ok(operand) = i64::try_from(operand) {
                    return self.ordered_numbers(coded, rows, |bits| bits.cast_signed().partial_cmp(&operand));
                }
            }
            (_, Some(Number::Float(operand))) if coded.only(FLOAT) => {
                return self.ordered_numbers(coded, rows, |bits| f64::from_bits(bits).partial_cmp(&operand));
            }
            (_, Some(Number::Int(operand))) if coded.only(FLOAT) && operand.unsigned_abs() <= 1 << 53 => {
                let operand = operand as f64;
                return self.ordered_numbers(coded, rows, |bits| f64::from_bits(bits).partial_cmp(&operand));
            }
            _ => {}
        }
        self.any_kinds(coded, rows)
    }

    /// For rows that hold values of one kind or none: whether these are ordered as wanted.
    fn ordered_numbers(&self, coded: &Coded, rows: Range<usize>, order: impl Fn(u64) -> Option<Ordering>) -> Vec<u64> {
        let cells = &coded.bits[rows.clone()];
        let mut held = match self.operator {
            Operator::Equal => bits::pack(cells, |cell| order(cell) == Some(Ordering::Equal)),
            Operator::AtLeast => bits::pack(cells, |cell| order(cell).is_some_and(Ordering::is_ge)),
            Operator::AtMost => bits::pack(cells, |cell| order(cell).is_some_and(Ordering::is_le)),
            Operator::GreaterThan => bits::pack(cells, |cell| order(cell) == Some(Ordering::Greater)),
            _ => bits::pack(cells, |cell| order(cell) == Some(Ordering::Less)),
        };
        let set = bits::pack(&coded.kinds[rows], |kind| kind != 0);
        held.iter_mut().zip(set).for_each(|(held, set)| *held &= set);
        held
    }

    fn any_kinds(&self, coded: &Coded, rows: Range<usize>) -> Vec<u64> {
        let numbers: Vec<u32> = rows.map(|row| u32::try_from(row).unwrap_or(u32::MAX)).collect();
        bits::pack(&numbers, |row| {
            let row = row as usize;
            match coded.kinds[row] {
                TEXT => self.truths[coded.locals[row] as usize],
                INT => self.int_holds(coded.bits[row].cast_signed()),
                FLOAT => self.float_holds(f64::from_bits(coded.bits[row])),
                BOOL => self.bool_holds(coded.bits[row] != 0),
                _ => false,
            }
        })
    }

    pub(crate) fn text_holds(&self, text: &str) -> bool {
        match self.operator {
            Operator::Contains | Operator::RegularExpression => self.matches(text),
            Operator::IsSet => true,
            _ => self.ordered(Some(text.cmp(self.text.as_str()))),
        }
    }

    pub(crate) fn int_holds(&self, value: i64) -> bool {
        match self.operator {
            Operator::Contains | Operator::RegularExpression => self.matches(&value.to_string()),
            Operator::IsSet => true,
            _ => self.ordered(self.number.map(|number| number.compare_int(value))),
        }
    }

    pub(crate) fn float_holds(&self, value: f64) -> bool {
        match self.operator {
            Operator::Contains | Operator::RegularExpression => self.matches(&float_text(value)),
            Operator::IsSet => true,
            _ => self.ordered(self.number.map(|number| number.compare_float(value))),
        }
    }

    pub(crate) fn bool_holds(&self, value: bool) -> bool {
        match self.operator {
            Operator::Contains | Operator::RegularExpression => self.matches(&Value::Bool(value).text()),
            Operator::IsSet => true,
            _ => self.ordered(self.boolean.map(|operand| value.cmp(&operand))),
        }
    }

    /// What is compared with, as text that an equal value would have.
    pub(crate) fn operand(&self) -> &str {
        &self.text
    }

    fn ordered(&self, order: Option<Ordering>) -> bool {
        let Some(order) = order else { return false };
        match self.operator {
            Operator::Equal => order.is_eq(),
            Operator::AtLeast => order.is_ge(),
            Operator::AtMost => order.is_le(),
            Operator::GreaterThan => order.is_gt(),
            Operator::LessThan => order.is_lt(),
            _ => false,
        }
    }

    fn matches(&self, text: &str) -> bool {
        match &self.pattern {
            Some(pattern) => pattern.is_match(text),
            None => {
                let text = if self.fold_case { Cow::Owned(text.to_lowercase()) } else { Cow::Borrowed(text) };
                text.contains(&self.text)
            }
        }
    }
}

/// The operand as text that an equal value would have.
fn operand_text(operand: &Json) -> String {
    match operand {
        Json::String(text) => text.clone(),
        Json::Number(number) => match (number.as_i64(), number.as_u64(), number.as_f64()) {
            (Some(int), _, _) => int.to_string(),
            (None, Some(int), _) => int.to_string(),
            (None, None, Some(float)) => float_text(float),
            (None, None, None) => number.to_string(),
        },
        Json::Bool(flag) => Value::Bool(*flag).text().into_owned(),
        _ => String::new(),
    }
}

fn operand_number(operand: &Json) -> Option<Number> {
    match operand {
        Json::String(text) => Number::parse(text),
        Json::Number(number) => match (number.as_i64(), number.as_u64()) {
            (Some(int), _) => Some(Number::Int(int.into())),
            (None, Some(int)) => Some(Number::Int(int.into())),
            (None, None) => number.as_f64().filter(|f| f.is_finite()).map(Number::Float),
        },
        _ => None,
    }
}

fn operand_boolean(operand: &Json) -> Option<bool> {
    match operand {
        Json::Bool(flag) => Some(*flag),
        Json::String(text) => match text.as_str() {
            "true" | "1" => Some(true),
            "false" | "0" => Some(false),
            _ => None,
        },
        Json::Number(_) => match operand_number(operand)? {
            number if number.compare_int(1).is_eq() => Some(true),
            number if number.compare_int(0).is_eq() => Some(false),
            _ => None,
        },
        _ => None,
    }
}
