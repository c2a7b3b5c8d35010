//! Memory that an instance has from its start.
//!
//! An allocator asks for its first page when it is first used, and every conversation is a fresh instance. So each would grow its
//! memory, and growing is dear: the host has the system make pages accessible, and inaccessible again for the next instance. A
//! module is given some room from the start, therefore, and what it grows by comes out of that first. The module cannot tell:
//! `memory.size` and `memory.grow` say what they would have said.

use crate::component::ComponentError;
use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{
    BlockType, CodeSection, ConstExpr, Function, FunctionSection, GlobalSection, GlobalType, Instruction, MemoryType,
    Module, TypeSection, ValType,
};
use wasmparser::{Operator, Parser, Payload, TypeRef};

/// Pages of room: 256 KiB, what a batch of some thousand rows takes. None of it is touched before it is used.
const PAGES: u32 = 4;

/// `module` with room, or as it is if it has no memory of its own that could grow by so much.
///
/// # Errors
/// [`ComponentError::Encode`] if it is no module.
pub fn with_room(module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let Some(mut room) = Room::of(module).map_err(|error| ComponentError::Encode(error.to_string()))? else {
        return Ok(module.to_vec());
    };
    let mut out = Module::new();
    let encoded = room.parse_core_module(&mut out, Parser::new(0), module);
    encoded.map_err(|error| ComponentError::Encode(error.to_string()))?;
    Ok(out.finish())
}

/// What is added to a module, by the indices that it gets there.
struct Room {
    /// Pages that the module thinks it starts with.
    pages: u32,
    /// The type of a function that takes and gives a number.
    kind: u32,
    /// The function that grows.
    grow: u32,
    /// The global that has the pages that the module thinks it has.
    size: u32,
}

impl Room {
    fn of(module: &[u8]) -> Result<Option<Self>, wasmparser::Error> {
        let (mut room, mut memory) = (Self { pages: 0, kind: 0, grow: 0, size: 0 }, None);
        // All sections that something is added to must be there.
        let (mut sections, mut memories) = (0, 0);
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::TypeSection(types) => {
                    for group in types {
                        room.kind += u32::try_from(group?.types().count()).unwrap_or(u32::MAX);
                    }
                    sections += 1;
                }
                Payload::ImportSection(imports) => {
                    for import in imports.into_imports() {
                        match import?.ty {
                            TypeRef::Func(_) | TypeRef::FuncExact(_) => room.grow += 1,
                            TypeRef::Global(_) => room.size += 1,
                            TypeRef::Memory(_) => memories += 1,
                            _ => {}
                        }
                    }
                }
                Payload::FunctionSection(functions) => {
                    room.grow += functions.count();
                    sections += 1;
                }
                Payload::MemorySection(of_its_own) => {
                    memories += of_its_own.count();
                    memory = of_its_own.into_iter().next().transpose()?;
                }
                Payload::GlobalSection(globals) => {
                    room.size += globals.count();
                    sections += 1;
                }
                Payload::CodeSectionStart { .. } => sections += 1,
                _ => {}
            }
        }
        let Some(memory) = memory.filter(|memory| {
            let most = memory.maximum.unwrap_or(1 << 16);
            !memory.memory64 && !memory.shared && memory.initial + u64::from(PAGES) <= most
        }) else {
            return Ok(None);
        };
        room.pages = u32::try_from(memory.initial).unwrap_or(u32::MAX);
        Ok((sections == 4 && memories == 1 && memory.page_size_log2.is_none()).then_some(room))
    }

    /// `memory.grow`, out of the room first.
    fn function(&self) -> Function {
        const BY: u32 = 0;
        const WANTED: u32 = 1;
        let mut grow = Function::new([(1, ValType::I32)]);
        let none = [Instruction::I32Const(-1), Instruction::Return, Instruction::End];
        let mut say = |instructions: &[Instruction<'_>]| {
            for instruction in instructions {
                grow.instruction(instruction);
            }
        };
        // More than numbers can count.
        say(&[Instruction::GlobalGet(self.size), Instruction::LocalGet(BY), Instruction::I32Add]);
        say(&[Instruction::LocalTee(WANTED), Instruction::GlobalGet(self.size), Instruction::I32LtU]);
        say(&[Instruction::If(BlockType::Empty)]);
        say(&none);
        // More than there is: the rest has to be asked for.
        say(&[Instruction::LocalGet(WANTED), Instruction::MemorySize(0), Instruction::I32GtU]);
        say(&[Instruction::If(BlockType::Empty)]);
        say(&[Instruction::LocalGet(WANTED), Instruction::MemorySize(0), Instruction::I32Sub]);
        say(&[Instruction::MemoryGrow(0), Instruction::I32Const(-1), Instruction::I32Eq]);
        say(&[Instruction::If(BlockType::Empty)]);
        say(&none);
        say(&[Instruction::End]);
        say(&[Instruction::GlobalGet(self.size), Instruction::LocalGet(WANTED), Instruction::GlobalSet(self.size)]);
        say(&[Instruction::End]);
        grow
    }
}

type Done = Result<(), Error<Infallible>>;

impl Reencode for Room {
    type Error = Infallible;

    fn memory_type(&mut self, memory: wasmparser::MemoryType) -> Result<MemoryType, Error<Infallible>> {
        let memory = utils::memory_type(self, memory);
        Ok(MemoryType { minimum: memory.minimum + u64::from(PAGES), ..memory })
    }

    fn parse_type_section(&mut self, types: &mut TypeSection, section: wasmparser::TypeSectionReader<'_>) -> Done {
        utils::parse_type_section(self, types, section)?;
        types.ty().function([ValType::I32], [ValType::I32]);
        Ok(())
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: wasmparser::FunctionSectionReader<'_>,
    ) -> Done {
        utils::parse_function_section(self, functions, section)?;
        functions.function(self.kind);
        Ok(())
    }

    fn parse_global_section(
        &mut self,
        globals: &mut GlobalSection,
        section: wasmparser::GlobalSectionReader<'_>,
    ) -> Done {
        utils::parse_global_section(self, globals, section)?;
        let pages = ConstExpr::i32_const(self.pages.cast_signed());
        globals.global(GlobalType { val_type: ValType::I32, mutable: true, shared: false }, &pages);
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: wasmparser::CodeSectionReader<'_>) -> Done {
        utils::parse_code_section(self, code, section)?;
        code.function(&self.function());
        Ok(())
    }

    fn instruction<'a>(&mut self, operator: Operator<'a>) -> Result<Instruction<'a>, Error<Infallible>> {
        match operator {
            Operator::MemoryGrow { .. } => Ok(Instruction::Call(self.grow)),
            Operator::MemorySize { .. } => Ok(Instruction::GlobalGet(self.size)),
            other => utils::instruction(self, other),
        }
    }
}
