//! Conditions of filters. Text is tested once per distinct value, not once per event; what each operator means is told at the
//! head of the query module.

use super::Texts;
use super::load::{BOOL, Coder, FLOAT, INT, Loaded, TEXT};
use super::number::Number;
use crate::source::SourceError;
use regex::{Regex, RegexBuilder};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::cmp::Ordering;
use tidegate_model::value::float_text;
use tidegate_model::{Condition, Operator, Value};

/// One condition, ready to be tested.
pub(super) struct Test {
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
}

impl Test {
    pub(super) fn new(condition: &Condition) -> Result<Self, String> {
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
        })
    }

    /// Tests the texts that are new since the last chunk.
    pub(super) fn learn(&mut self, slot: usize, coder: &Coder, texts: &dyn Texts) -> Result<(), SourceError> {
        let known = self.truths.len();
        let new = coder.texts_from(known);
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
        Ok(())
    }

    /// A bit for each row of a chunk: whether the condition holds there.
    pub(super) fn rows(&self, loaded: &Loaded, rows: usize) -> Vec<u64> {
        let mut bits = if loaded.only_texts() {
            pack(rows, |row| self.truths[loaded.locals[row] as usize])
        } else {
            pack(rows, |row| match loaded.kinds[row] {
                TEXT => self.truths[loaded.locals[row] as usize],
                INT => self.int_holds(loaded.bits[row].cast_signed()),
                FLOAT => self.float_holds(f64::from_bits(loaded.bits[row])),
                BOOL => self.bool_holds(loaded.bits[row] != 0),
                _ => false,
            })
        };
        if self.negative {
            for word in &mut bits {
                *word = !*word;
            }
            if !rows.is_multiple_of(64)
                && let Some(last) = bits.last_mut()
            {
                *last &= (1 << (rows % 64)) - 1;
            }
        }
        bits
    }

    fn text_holds(&self, text: &str) -> bool {
        match self.operator {
            Operator::Contains | Operator::RegularExpression => self.matches(text),
            Operator::IsSet => true,
            _ => self.ordered(Some(text.cmp(self.text.as_str()))),
        }
    }

    fn int_holds(&self, value: i64) -> bool {
        match self.operator {
            Operator::Contains | Operator::RegularExpression => self.matches(&value.to_string()),
            Operator::IsSet => true,
            _ => self.ordered(self.number.map(|number| number.compare_int(value))),
        }
    }

    fn float_holds(&self, value: f64) -> bool {
        match self.operator {
            Operator::Contains | Operator::RegularExpression => self.matches(&float_text(value)),
            Operator::IsSet => true,
            _ => self.ordered(self.number.map(|number| number.compare_float(value))),
        }
    }

    fn bool_holds(&self, value: bool) -> bool {
        match self.operator {
            Operator::Contains | Operator::RegularExpression => self.matches(&Value::Bool(value).text()),
            Operator::IsSet => true,
            _ => self.ordered(self.boolean.map(|operand| value.cmp(&operand))),
        }
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

fn pack(rows: usize, holds: impl Fn(usize) -> bool) -> Vec<u64> {
    let word =
        |start: usize| (start..rows.min(start + 64)).fold(0, |word, row| word | u64::from(holds(row)) << (row - start));
    (0..rows).step_by(64).map(word).collect()
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
