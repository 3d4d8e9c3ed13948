//! Components that are small and take more to compile than a machine has, each by another shape. None is a plugin: what
//! is wrong with them comes before anybody asks.

use wasm_encoder::{
    BlockType, CodeSection, Component, ComponentImportSection, ComponentTypeRef, ComponentTypeSection,
    ComponentValType, ConstExpr, DataSection, ElementSection, Elements, ExportKind, ExportSection, Function,
    FunctionSection, Instruction, MemorySection, MemoryType, Module, ModuleSection, PrimitiveValType, RefType,
    TableSection, TableType, TypeSection, ValType,
};

/// At most how many segments a module may have, by the standard's implementation limits.
const SEGMENTS: u32 = 100_000;

/// One of each shape, with what to call it.
pub fn all() -> [(&'static str, Vec<u8>); 10] {
    [
        ("locals and blocks, 122 KB", blocks(20_000, 12_500)),
        ("locals and blocks, 244 KB", blocks(40_000, 25_000)),
        ("small functions", functions(90_000)),
        ("too many functions", functions(100_001)),
        ("data segments", data_segments(300_000)),
        ("element segments", element_segments(300_000)),
        ("adapters of large tuples", adapters(450, 1_000)),
        ("types of functions", function_types(1_000_000)),
        ("exports", exports(1_000_000)),
        ("tuples", tuples(90, 10_000)),
    ]
}

/// One function of so many empty blocks, after which it reads so many locals: a compiler that notes for each local what
/// it is in each block has noted the product of both.
pub fn blocks(blocks: u32, locals: u32) -> Vec<u8> {
    let mut function = Function::new([(locals, ValType::I64)]);
    for _ in 0..blocks {
        function.instruction(&Instruction::Block(BlockType::Empty)).instruction(&Instruction::End);
    }
    for local in 0..locals {
        function.instruction(&Instruction::LocalGet(local)).instruction(&Instruction::Drop);
    }
    function.instruction(&Instruction::End);
    component([module(&[function])])
}

/// So many functions that add two numbers.
pub fn functions(count: usize) -> Vec<u8> {
    let mut function = Function::new([]);
    function
        .instruction(&Instruction::I32Const(1))
        .instruction(&Instruction::I32Const(2))
        .instruction(&Instruction::I32Add)
        .instruction(&Instruction::Drop)
        .instruction(&Instruction::End);
    component([module(&vec![function; count])])
}

/// So many empty segments of data, which each module may copy into its memory.
pub fn data_segments(count: u32) -> Vec<u8> {
    let module = |segments: u32| {
        let mut data = DataSection::new();
        for _ in 0..segments {
            data.active(0, &ConstExpr::i32_const(0), []);
        }
        let memory = MemoryType { minimum: 1, maximum: None, memory64: false, shared: false, page_size_log2: None };
        let mut module = Module::new();
        module.section(MemorySection::new().memory(memory)).section(&data);
        module
    };
    component(parts(count).map(module))
}

/// So many empty segments of a table.
pub fn element_segments(count: u32) -> Vec<u8> {
    let module = |segments: u32| {
        let mut elements = ElementSection::new();
        for _ in 0..segments {
            elements.active(None, &ConstExpr::i32_const(0), Elements::Functions((&[][..]).into()));
        }
        let table =
            TableType { element_type: RefType::FUNCREF, minimum: 1, maximum: None, table64: false, shared: false };
        let mut module = Module::new();
        module.section(TableSection::new().table(table)).section(&elements);
        module
    };
    component(parts(count).map(module))
}

/// So many types of functions, no two of which are alike.
pub fn function_types(count: u32) -> Vec<u8> {
    const KINDS: [ValType; 4] = [ValType::I32, ValType::I64, ValType::F32, ValType::F64];
    let mut types = TypeSection::new();
    for number in 0..count {
        let digits = (0..10).map(|place| KINDS[(number >> (2 * place)) as usize % KINDS.len()]);
        types.ty().function(digits, []);
    }
    let mut module = Module::new();
    module.section(&types);
    component([module])
}

/// A function that is exported under so many names.
pub fn exports(count: u32) -> Vec<u8> {
    let mut exports = ExportSection::new();
    for number in 0..count {
        exports.export(&format!("{number:x}"), ExportKind::Func, 0);
    }
    let (mut types, mut functions, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([], []);
    functions.function(0);
    code.function(Function::new([]).instruction(&Instruction::End));
    let mut module = Module::new();
    module.section(&types).section(&functions).section(&exports).section(&code);
    component([module])
}

/// So many functions that are imported, each with a tuple of so many numbers; no two tuples are alike.
pub fn tuples(functions: u32, fields: u32) -> Vec<u8> {
    let (mut types, mut imports) = (ComponentTypeSection::new(), ComponentImportSection::new());
    for number in 0..functions {
        // The first fields are the digits of the number.
        let is_one = |place: u32| number.checked_shr(place).unwrap_or(0) & 1 == 1;
        let field = |place| if is_one(place) { PrimitiveValType::S8 } else { PrimitiveValType::U8 };
        types.ty().defined_type().tuple((0..fields).map(|place| ComponentValType::Primitive(field(place))));
        types.ty().function().params([("x", ComponentValType::Type(2 * number))]).result(None);
        imports.import(format!("f{number}").as_str(), ComponentTypeRef::Func(2 * number + 1));
    }
    let mut component = Component::new();
    component.section(&types).section(&imports);
    component.finish()
}

/// As many modules as it takes.
fn parts(count: u32) -> impl Iterator<Item = u32> {
    (0..count).step_by(SEGMENTS as usize).map(move |start| (count - start).min(SEGMENTS))
}

/// A component of two others, one of which calls so many functions of the other, each with a tuple of so many texts.
/// What moves the texts from one memory to the other is the compiler's to make.
///
/// # Panics
/// When the text does not assemble.
pub fn adapters(functions: usize, texts: usize) -> Vec<u8> {
    let texts = "string ".repeat(texts);
    let each = |text: fn(usize) -> String| (0..functions).map(text).collect::<Vec<_>>().concat();
    let lifted = each(|n| {
        format!(
            r#"(func (export "f{n}") (param "x" $t) (canon lift (core func $i "f") (memory $i "memory") (realloc (func $i "realloc"))))"#
        )
    });
    let imports = each(|n| format!(r#"(import "f{n}" (func $f{n} (param "x" $t)))"#));
    let lowered = each(|n| {
        format!(r#"(core func $l{n} (canon lower (func $f{n}) (memory $i "memory") (realloc (func $i "realloc"))))"#)
    });
    let wanted = each(|n| format!(r#"(import "a" "f{n}" (func (param i32)))"#));
    let given = each(|n| format!(r#"(export "f{n}" (func $l{n}))"#));
    let with = each(|n| format!(r#"(with "f{n}" (func $a "f{n}"))"#));
    let memory =
        r#"(memory (export "memory") 1) (func (export "realloc") (param i32 i32 i32 i32) (result i32) i32.const 0)"#;
    let text = format!(
        r#"(component
  (component $a
    (type $t (tuple {texts}))
    (core module $m {memory} (func (export "f") (param i32)))
    (core instance $i (instantiate $m))
    {lifted})
  (component $b
    (type $t (tuple {texts}))
    {imports}
    (core module $m {memory})
    (core instance $i (instantiate $m))
    {lowered}
    (core module $n {wanted})
    (core instance (instantiate $n (with "a" (instance {given})))))
  (instance $a (instantiate $a))
  (instance (instantiate $b {with})))"#
    );
    let assembled = wat::parse_str(text);
    assert!(assembled.is_ok(), "{assembled:?}");
    assembled.unwrap_or_default()
}

fn module(functions: &[Function]) -> Module {
    let (mut types, mut declared, mut code) = (TypeSection::new(), FunctionSection::new(), CodeSection::new());
    types.ty().function([], []);
    for function in functions {
        declared.function(0);
        code.function(function);
    }
    let mut module = Module::new();
    module.section(&types).section(&declared).section(&code);
    module
}

fn component(modules: impl IntoIterator<Item = Module>) -> Vec<u8> {
    let mut component = Component::new();
    for module in modules {
        component.section(&ModuleSection(&module));
    }
    component.finish()
}
