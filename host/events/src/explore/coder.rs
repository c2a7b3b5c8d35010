//! Dense codes ("classes") for the values of an attribute, for group-by and everything that tells values apart. Values that a
//! person would call equal (`1`, `1.0`, `"1"`) are one class; 0 stands for no value.

use super::filter::Rows;
use super::{Texts, beyond};
use crate::evaluate::Scalar;
use crate::segment::{Cell, Column};
use crate::source::SourceError;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use tidegate_model::Value;

/// What a class stands for.
#[derive(Clone, Copy)]
enum Class {
    None,
    /// A text, by its dictionary code.
    Text(u32),
    Scalar(Scalar),
}

/// The classes of one attribute.
pub(super) struct Coder {
    slot: usize,
    /// Whether texts may stand for the same as other values.
    mixed: bool,
    /// Class by dictionary code; 0 for texts that did not occur yet.
    of_text: Vec<u32>,
    of_scalar: HashMap<Scalar, u32, RandomState>,
    classes: Vec<Class>,
}

impl Coder {
    pub(super) fn new(slot: usize, mixed: bool) -> Self {
        Self { slot, mixed, of_text: Vec::new(), of_scalar: HashMap::default(), classes: vec![Class::None] }
    }

    /// One more than the greatest class.
    pub(super) fn len(&self) -> usize {
        self.classes.len()
    }

    /// The classes of some rows.
    pub(super) fn encode(
        &mut self,
        column: Option<&Column>,
        rows: &Rows,
        texts: &dyn Texts,
        out: &mut Vec<u32>,
    ) -> Result<(), SourceError> {
        out.clear();
        let Some(column) = column else {
            out.resize(rows.len(), 0);
            return Ok(());
        };
        if let Some(codes) = &column.texts {
            self.learn(codes, rows, texts)?;
        }
        match &column.texts {
            Some(codes) if column.ints.is_none() && column.floats.is_none() && column.bools.is_none() => {
                out.reserve(rows.len());
                match rows {
                    Rows::All(count) => out.extend(codes[..*count].iter().map(|&code| self.of_text[code as usize])),
                    Rows::Some(rows) => {
                        out.extend(rows.iter().map(|&row| self.of_text[codes[row as usize] as usize]));
                    }
                }
            }
            _ => {
                // Neighbours are often equal: times, sizes, versions.
                let mut last: Option<(Scalar, u32)> = None;
                rows.for_each(|row| {
                    let scalar = match column.cell(row) {
                        None => return out.push(0),
                        Some(Cell::Text(code)) => return out.push(self.of_text[code as usize]),
                        Some(Cell::Int(int)) => Scalar::Int(int),
                        Some(Cell::Float(float)) => Scalar::of_float(float),
                        Some(Cell::Bool(flag)) => Scalar::Bool(flag),
                    };
                    let class = match last {
                        Some((same, class)) if same == scalar => class,
                        _ => self.scalar(scalar),
                    };
                    last = Some((scalar, class));
                    out.push(class);
                });
            }
        }
        Ok(())
    }

    fn scalar(&mut self, scalar: Scalar) -> u32 {
        let next = u32::try_from(self.classes.len()).unwrap_or(u32::MAX);
        let class = *self.of_scalar.entry(scalar).or_insert(next);
        if class == next {
            self.classes.push(Class::Scalar(scalar));
        }
        class
    }

    /// Gives classes to the texts that occur for the first time.
    fn learn(&mut self, codes: &[u32], rows: &Rows, texts: &dyn Texts) -> Result<(), SourceError> {
        if self.of_text.is_empty() {
            self.of_text = vec![0; texts.codes(self.slot).max(1) as usize];
        }
        let (mut new, mut outside) = (Vec::new(), None);
        let mut next = u32::try_from(self.classes.len()).unwrap_or(u32::MAX);
        rows.for_each(|row| {
            let code = codes[row];
            match self.of_text.get_mut(code as usize) {
                Some(class) if *class == 0 && code != 0 => {
                    *class = next;
                    next += 1;
                    new.push(code);
                }
                Some(_) => {}
                None => outside = Some(code),
            }
        });
        if let Some(code) = outside {
            return Err(beyond(code));
        }
        if !self.mixed {
            self.classes.extend(new.into_iter().map(Class::Text));
            return Ok(());
        }
        let mut scalars = vec![None; new.len()];
        texts.resolve(self.slot, &new, &mut |place, text| scalars[place] = Scalar::of_text(text))?;
        for (scalar, code) in scalars.into_iter().zip(new) {
            self.of_text[code as usize] = match scalar {
                Some(scalar) => self.scalar(scalar),
                None => {
                    self.classes.push(Class::Text(code));
                    u32::try_from(self.classes.len() - 1).unwrap_or(u32::MAX)
                }
            };
        }
        Ok(())
    }

    /// The values of some classes.
    pub(super) fn values(&self, classes: &[u32], texts: &dyn Texts) -> Result<Vec<Option<Value>>, SourceError> {
        let mut values = vec![None; classes.len()];
        let (mut codes, mut places) = (Vec::new(), Vec::new());
        for (place, &class) in classes.iter().enumerate() {
            match self.classes.get(class as usize) {
                None | Some(Class::None) => {}
                Some(Class::Scalar(scalar)) => values[place] = Some(scalar.value()),
                Some(Class::Text(code)) => {
                    codes.push(*code);
                    places.push(place);
                }
            }
        }
        texts.resolve(self.slot, &codes, &mut |at, text| values[places[at]] = Some(Value::Str(text.to_owned())))?;
        Ok(values)
    }

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let scalars = self.of_scalar.capacity() * (size_of::<(Scalar, u32)>() + 1);
        self.of_text.capacity() * 4 + scalars + self.classes.capacity() * size_of::<Class>()
    }
}
