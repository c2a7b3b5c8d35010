//! Makes dense codes of the columns of a chunk.
//!
//! Codes of the dictionaries are dense over everything ever stored; those of a window are few. So each distinct text of the
//! window gets a small number of its own (a *local*), and what is kept per value stays small. Beside that, values that a person
//! would call equal (`1`, `1.0`, `"1"`) form one *class*; as long as an attribute has only texts, its classes are its locals.

use super::plan::Slot;
use super::{Chunk, Texts};
use crate::segment::Column;
use crate::source::SourceError;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use std::ops::Range;
use tidegate_model::Value;
use tidegate_model::value::float_text;

/// What a row holds: nothing (0), or one of these.
pub(super) const TEXT: u8 = 1;
pub(super) const INT: u8 = 2;
pub(super) const FLOAT: u8 = 3;
pub(super) const BOOL: u8 = 4;

/// A value that is not text, in the form that equal ones share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Scalar {
    Int(i64),
    /// Bits of a number that has not the text of an integer.
    Float(u64),
    Bool(bool),
}

impl Scalar {
    fn of_float(float: f64) -> Self {
        const EXACT: f64 = 9_007_199_254_740_992.0;
        if float.trunc() == float && float.abs() < EXACT {
            return Self::Int(float as i64);
        }
        // Beyond 2^53 the text of a float is padded with zeros, so the integer of that text is not its value.
        if float.abs() < 1e20
            && let Ok(int) = float_text(float).parse()
        {
            return Self::Int(int);
        }
        Self::Float(float.to_bits())
    }

    /// The value that has this text, if there is one.
    fn of_text(text: &str) -> Option<Self> {
        let head = *text.as_bytes().first()?;
        if !matches!(head, b'0'..=b'9' | b'-' | b't' | b'f') {
            return None;
        }
        let scalar = match text {
            "true" => Self::Bool(true),
            "false" => Self::Bool(false),
            _ => match text.parse() {
                Ok(int) => Self::Int(int),
                Err(_) => Self::of_float(text.parse().ok().filter(|f: &f64| f.is_finite())?),
            },
        };
        (scalar.value().text() == text).then_some(scalar)
    }

    fn value(self) -> Value {
        match self {
            Self::Int(int) => Value::Int(int),
            Self::Float(bits) => Value::Float(f64::from_bits(bits)),
            Self::Bool(flag) => Value::Bool(flag),
        }
    }
}

/// What a class stands for.
#[derive(Clone, Copy)]
enum Class {
    None,
    /// A text, by its dictionary code.
    Text(u32),
    Scalar(Scalar),
}

/// From dictionary codes to locals.
enum Remap {
    /// By position; memory that is not touched costs nothing.
    Direct(Vec<u32>),
    /// For dictionaries that are huge beside the window.
    Hashed(HashMap<u32, u32, RandomState>),
}

/// Dictionaries up to this size are always addressed by position.
const DIRECT: usize = 1 << 20;

/// The codes of one attribute, over all chunks of an evaluation.
pub(super) struct Coder {
    remap: Option<Remap>,
    /// The first code that no text has.
    bound: u32,
    /// Dictionary codes by local; the first entry stands for no text.
    globals: Vec<u32>,
    /// Whether anything but text occurred.
    mixed: bool,
    /// Once it is mixed: the class of each local.
    class_of_local: Vec<u32>,
    scalars: HashMap<Scalar, u32, RandomState>,
    values: Vec<Class>,
    /// The class of the empty text: dictionary code first, until it occurs.
    empty: Option<u32>,
}

impl Default for Coder {
    fn default() -> Self {
        Self {
            remap: None,
            bound: 0,
            globals: vec![0],
            mixed: false,
            class_of_local: vec![0],
            scalars: HashMap::default(),
            values: vec![Class::None],
            empty: None,
        }
    }
}

impl Coder {
    fn start(&mut self, index: usize, slot: &Slot, rows: usize, texts: &dyn Texts) -> Result<(), SourceError> {
        if self.remap.is_none() {
            self.bound = texts.codes(index);
            let size = self.bound as usize;
            let direct = size <= DIRECT || size / 64 <= rows;
            self.remap = Some(if direct { Remap::Direct(vec![0; size]) } else { Remap::Hashed(HashMap::default()) });
            if slot.groups {
                self.empty = texts.code(index, "")?;
            }
        }
        Ok(())
    }

    /// The local of a dictionary code; none if no text has the code.
    #[inline]
    fn local(&mut self, code: u32) -> Option<u32> {
        let place = match &mut self.remap {
            Some(Remap::Direct(locals)) => locals.get_mut(code as usize)?,
            Some(Remap::Hashed(locals)) if code < self.bound => locals.entry(code).or_insert(0),
            _ => return None,
        };
        if *place == 0 {
            *place = u32::try_from(self.globals.len()).unwrap_or(u32::MAX);
            self.globals.push(code);
        }
        Some(*place)
    }

    /// Dictionary codes of the locals from `first` on.
    pub(super) fn texts_from(&self, first: usize) -> &[u32] {
        self.globals.get(first..).unwrap_or_default()
    }

    /// One more than the greatest class.
    pub(super) fn classes(&self) -> usize {
        if self.mixed { self.values.len() } else { self.globals.len() }
    }

    fn scalar_class(&mut self, scalar: Scalar) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let class = *self.scalars.entry(scalar).or_insert(next);
        if class == next {
            self.values.push(Class::Scalar(scalar));
        }
        class
    }

    /// Gives classes to the locals that have none. Before anything but text occurred, a class was its local; giving them in
    /// the same order keeps it so.
    fn classify_texts(&mut self, index: usize, texts: &dyn Texts) -> Result<(), SourceError> {
        let known = self.class_of_local.len();
        let new = self.globals[known..].to_vec();
        let mut scalars = vec![None; new.len()];
        texts.resolve(index, &new, &mut |place, text| scalars[place] = Scalar::of_text(text))?;
        for (scalar, code) in scalars.into_iter().zip(new) {
            let class = match scalar {
                Some(scalar) => self.scalar_class(scalar),
                None => {
                    self.values.push(Class::Text(code));
                    u32::try_from(self.values.len() - 1).unwrap_or(u32::MAX)
                }
            };
            self.class_of_local.push(class);
        }
        Ok(())
    }

    /// The class of the empty text, if it occurred.
    fn empty_class(&self) -> Option<u32> {
        let local = match (&self.remap, self.empty?) {
            (Some(Remap::Direct(locals)), code) => *locals.get(code as usize)?,
            (Some(Remap::Hashed(locals)), code) => *locals.get(&code)?,
            (None, _) => return None,
        };
        if self.mixed { self.class_of_local.get(local as usize).copied() } else { Some(local) }
            .filter(|&class| class != 0)
    }

    /// The text of every class; that of no value is empty.
    pub(super) fn class_texts(&self, index: usize, texts: &dyn Texts) -> Result<Vec<String>, SourceError> {
        let mut all = vec![String::new(); self.classes()];
        let (mut codes, mut places) = (Vec::new(), Vec::new());
        for (class, text) in all.iter_mut().enumerate().skip(1) {
            match if self.mixed { self.values[class] } else { Class::Text(self.globals[class]) } {
                Class::None => {}
                Class::Scalar(scalar) => *text = scalar.value().text().into_owned(),
                Class::Text(code) => {
                    codes.push(code);
                    places.push(class);
                }
            }
        }
        texts.resolve(index, &codes, &mut |place, text| text.clone_into(&mut all[places[place]]))?;
        Ok(all)
    }
}

/// One attribute over the rows of a chunk. Lists that nobody asked for, or that would hold nothing, are empty.
#[derive(Default)]
pub(super) struct Loaded {
    /// What each row holds.
    pub(super) kinds: Vec<u8>,
    /// Locals of texts.
    pub(super) locals: Vec<u32>,
    /// Integers, bits of floats, booleans.
    pub(super) bits: Vec<u64>,
    /// Numbers; NaN where there is none.
    pub(super) numbers: Vec<f64>,
    classes: Vec<u32>,
    groups: Vec<u32>,
    classes_are_locals: bool,
    groups_are_classes: bool,
}

impl Loaded {
    /// Reads the attribute's columns of a chunk.
    pub(super) fn fill(
        &mut self,
        index: usize,
        slot: &Slot,
        chunk: &Chunk,
        coder: &mut Coder,
        texts: &dyn Texts,
    ) -> Result<(), SourceError> {
        if !slot.used {
            return Ok(());
        }
        self.kinds.clear();
        self.kinds.resize(chunk.rows, 0);
        self.locals.clear();
        self.bits.clear();
        if slot.object {
            self.bits.extend(chunk.pieces.iter().flat_map(|p| p.first_object..p.first_object + p.rows.len() as u64));
            self.kinds.fill(INT);
        } else {
            coder.start(index, slot, chunk.rows, texts)?;
            self.gather(index, chunk, coder)?;
        }
        if slot.numbers {
            self.fill_numbers();
        }
        if slot.classes {
            self.fill_classes(index, coder, texts)?;
            self.fill_groups(coder);
        }
        Ok(())
    }

    fn gather(&mut self, index: usize, chunk: &Chunk, coder: &mut Coder) -> Result<(), SourceError> {
        let mut start = 0;
        for piece in &chunk.pieces {
            let end = start + piece.rows.len();
            if let Some(column) = &piece.columns[index] {
                self.gather_texts(column, &piece.rows, start, coder)?;
                self.gather_scalars(column, &piece.rows, start);
            }
            start = end;
        }
        if !self.locals.is_empty() {
            self.locals.resize(chunk.rows, 0);
        }
        if !self.bits.is_empty() {
            self.bits.resize(chunk.rows, 0);
        }
        Ok(())
    }

    fn gather_texts(
        &mut self,
        column: &Column,
        rows: &Range<usize>,
        start: usize,
        coder: &mut Coder,
    ) -> Result<(), SourceError> {
        let Some(codes) = column.texts.as_ref().and_then(|codes| codes.get(rows.clone())) else { return Ok(()) };
        self.locals.resize(start, 0);
        for (kind, &code) in self.kinds[start..].iter_mut().zip(codes) {
            let mut local = 0;
            if code != 0 {
                let beyond = || SourceError::Corrupt(format!("text {code} is beyond the dictionary of its attribute"));
                local = coder.local(code).ok_or_else(beyond)?;
                *kind = TEXT;
            }
            self.locals.push(local);
        }
        Ok(())
    }

    fn gather_scalars(&mut self, column: &Column, rows: &Range<usize>, start: usize) {
        let mut put = |row: usize, kind: u8, bits: u64| {
            self.kinds[row] = kind;
            self.bits.resize(row, 0);
            self.bits.push(bits);
        };
        if column.ints.is_none() && column.floats.is_none() && column.bools.is_none() {
            return;
        }
        for (row, at) in rows.clone().zip(start..) {
            let int = column.ints.as_ref().filter(|ints| ints.valid.get(row));
            let float = column.floats.as_ref().filter(|floats| floats.valid.get(row));
            if let Some(ints) = int {
                put(at, INT, ints.values[row].cast_unsigned());
            } else if let Some(floats) = float {
                put(at, FLOAT, floats.values[row].to_bits());
            } else if let Some(flag) = column.bools.as_ref().map(|bools| bools[row]).filter(|&flag| flag != 0) {
                put(at, BOOL, u64::from(flag == 2));
            }
        }
    }

    /// Whether no row holds anything but text.
    pub(super) fn only_texts(&self) -> bool {
        self.bits.is_empty() && !self.locals.is_empty()
    }

    fn fill_numbers(&mut self) {
        self.numbers.clear();
        if self.bits.is_empty() {
            self.numbers.resize(self.kinds.len(), f64::NAN);
            return;
        }
        self.numbers.extend(self.kinds.iter().zip(&self.bits).map(|(kind, &bits)| match *kind {
            INT => bits.cast_signed() as f64,
            FLOAT => f64::from_bits(bits),
            BOOL => bits as f64,
            _ => f64::NAN,
        }));
    }

    fn fill_classes(&mut self, index: usize, coder: &mut Coder, texts: &dyn Texts) -> Result<(), SourceError> {
        coder.mixed |= !self.bits.is_empty();
        self.classes_are_locals = !coder.mixed;
        if !coder.mixed {
            self.locals.resize(self.kinds.len(), 0);
            return Ok(());
        }
        coder.classify_texts(index, texts)?;
        self.classes.clear();
        for (row, kind) in self.kinds.iter().enumerate() {
            let class = match *kind {
                TEXT => coder.class_of_local[self.locals[row] as usize],
                INT => coder.scalar_class(Scalar::Int(self.bits[row].cast_signed())),
                FLOAT => coder.scalar_class(Scalar::of_float(f64::from_bits(self.bits[row]))),
                BOOL => coder.scalar_class(Scalar::Bool(self.bits[row] != 0)),
                _ => 0,
            };
            self.classes.push(class);
        }
        Ok(())
    }

    fn fill_groups(&mut self, coder: &Coder) {
        let empty = coder.empty_class();
        self.groups_are_classes = empty.is_none();
        if let Some(empty) = empty {
            let mut groups = std::mem::take(&mut self.groups);
            groups.clear();
            groups.extend(self.class_codes().iter().map(|&class| if class == empty { 0 } else { class }));
            self.groups = groups;
        }
    }

    /// The class of each row, 0 where there is no value.
    pub(super) fn class_codes(&self) -> &[u32] {
        if self.classes_are_locals { &self.locals } else { &self.classes }
    }

    /// The class of each row, 0 where there is no value or empty text.
    pub(super) fn group_codes(&self) -> &[u32] {
        if self.groups_are_classes { self.class_codes() } else { &self.groups }
    }
}
