//! Numbers the values of an attribute, densely and in the order of first sight.
//!
//! Codes of the dictionaries are dense over everything ever stored; those of a window are few. So each distinct text of the
//! window gets a small number of its own (a *local*), and what is kept per value stays small. Beside that, values that a person
//! would call equal (`1`, `1.0`, `"1"`) form one *class*; as long as an attribute has only texts, its classes are its locals.

use super::Texts;
use crate::source::SourceError;
use foldhash::fast::RandomState;
use hashbrown::HashMap;
use tidegate_model::value::float_text;
use tidegate_model::{StringPool, Value};

/// A value that is not text, in the form that equal ones share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Scalar {
    Int(i64),
    /// Bits of a number that has not the text of an integer.
    Float(u64),
    Bool(bool),
}

impl Scalar {
    pub(crate) fn of_float(float: f64) -> Self {
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
    pub(crate) fn of_text(text: &str) -> Option<Self> {
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

    pub(crate) fn value(self) -> Value {
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
const DIRECT: usize = 1 << 16;

/// Dictionaries below this size are looked through rather than searched.
const FEW: u32 = 64;

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
    /// The code of the empty text, if the attribute ever had it and something is grouped by it.
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
    /// Makes ready for the texts of the attribute in slot `index`, of which `rows` rows come first.
    pub(super) fn start(
        &mut self,
        index: usize,
        rows: usize,
        groups: bool,
        texts: &dyn Texts,
    ) -> Result<(), SourceError> {
        if self.remap.is_none() {
            self.bound = texts.codes(index);
            let size = self.bound as usize;
            let direct = size <= DIRECT || size / 64 <= rows;
            self.remap = Some(if direct { Remap::Direct(vec![0; size]) } else { Remap::Hashed(HashMap::default()) });
            // It is in hardly any dictionary, so memory does not tell: the database would have to be asked. Of a small
            // dictionary all texts are looked at instead, which memory has.
            if groups && self.bound <= FEW {
                let codes: Vec<u32> = (1..self.bound).collect();
                texts.resolve(index, &codes, &mut |place, text| {
                    if text.is_empty() {
                        self.empty = codes.get(place).copied();
                    }
                })?;
            } else if groups {
                self.empty = texts.code(index, "")?;
            }
        }
        Ok(())
    }

    /// Forgets how dictionary codes become locals: nothing new comes, and that is most of its memory.
    pub(super) fn close(&mut self) {
        self.remap = None;
        self.globals.shrink_to_fit();
    }

    /// Appends the locals of dictionary codes; 0 stays 0. Fails if no text has one of the codes.
    pub(super) fn encode(&mut self, codes: &[u32], locals: &mut Vec<u32>) -> Result<(), SourceError> {
        let (globals, bound) = (&mut self.globals, self.bound);
        let beyond = |code: u32| SourceError::Corrupt(format!("text {code} is beyond the dictionary of its attribute"));
        locals.reserve(codes.len());
        let mut number = |place: &mut u32, code: u32| {
            if *place == 0 && code != 0 {
                *place = u32::try_from(globals.len()).unwrap_or(u32::MAX);
                globals.push(code);
            }
            *place
        };
        for &code in codes {
            if code != 0 && code >= bound {
                return Err(beyond(code));
            }
            let place = match &mut self.remap {
                Some(Remap::Direct(remap)) => remap.get_mut(code as usize).ok_or_else(|| beyond(code))?,
                Some(Remap::Hashed(remap)) => remap.entry(code).or_insert(0),
                None => return Err(beyond(code)),
            };
            locals.push(number(place, code));
        }
        Ok(())
    }

    /// Dictionary codes of the locals from `first` on.
    pub(super) fn texts_from(&self, first: usize) -> &[u32] {
        self.globals.get(first..).unwrap_or_default()
    }

    /// Notes that values other than texts occurred.
    pub(super) fn mix(&mut self) {
        self.mixed = true;
    }

    /// Whether anything but text occurred.
    pub(super) fn is_mixed(&self) -> bool {
        self.mixed
    }

    /// One more than the greatest class.
    pub(super) fn classes(&self) -> usize {
        if self.mixed { self.values.len() } else { self.globals.len() }
    }

    /// The class of a value that is not text.
    pub(super) fn scalar_class(&mut self, scalar: Scalar) -> u32 {
        let next = u32::try_from(self.values.len()).unwrap_or(u32::MAX);
        let class = *self.scalars.entry(scalar).or_insert(next);
        if class == next {
            self.values.push(Class::Scalar(scalar));
        }
        class
    }

    /// Gives classes to the locals that have none, and tells the class of each local. Before anything but text occurred, a
    /// class was its local; giving them in the same order keeps it so.
    pub(super) fn classify_texts(&mut self, index: usize, texts: &dyn Texts) -> Result<Vec<u32>, SourceError> {
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
        Ok(self.class_of_local.clone())
    }

    /// The class of the empty text, if it occurred. Asked before [`close`](Self::close).
    pub(super) fn empty_class(&self) -> Option<u32> {
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

    /// Memory that it takes.
    pub(super) fn bytes(&self) -> usize {
        let remap = match &self.remap {
            Some(Remap::Direct(locals)) => locals.len() * 4,
            Some(Remap::Hashed(locals)) => locals.capacity() * 9,
            None => 0,
        };
        let scalars = self.scalars.capacity() * 25 + self.values.capacity() * size_of::<Class>();
        remap + scalars + (self.globals.capacity() + self.class_of_local.capacity()) * 4
    }
}

/// The values of an attribute in the order of their texts.
#[derive(Default)]
pub(super) struct Ranks {
    /// The place of each class in that order.
    pub(super) of_class: Vec<u32>,
    /// The class at each place.
    pub(super) classes: Vec<u32>,
    /// The texts in that order.
    pub(super) texts: StringPool,
}

impl Ranks {
    pub(super) fn new(texts: &[String]) -> Self {
        let mut classes: Vec<u32> = (0..u32::try_from(texts.len()).unwrap_or(u32::MAX)).collect();
        classes.sort_by(|&a, &b| texts[a as usize].cmp(&texts[b as usize]));
        let mut of_class = vec![0; texts.len()];
        for (rank, &class) in (0..).zip(&classes) {
            of_class[class as usize] = rank;
        }
        let texts = classes.iter().map(|&class| texts[class as usize].as_str()).collect();
        Self { of_class, classes, texts }
    }

    /// The text of a rank.
    pub(super) fn text(&self, rank: u32) -> &str {
        self.texts.get(rank).unwrap_or_default()
    }

    /// Memory that they take.
    pub(super) fn bytes(&self) -> usize {
        let (utf8, ends) = self.texts.parts();
        utf8.len() + (ends.len() + self.of_class.len() + self.classes.len()) * 4
    }
}
