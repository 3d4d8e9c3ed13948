//! The check of a component's declarations against limits before it is compiled.
//!
//! Compiling is the host's own work, which neither the timer nor the memory limit of a plugin reaches: a few hundred
//! bytes of components in components ask for billions of instances, and a megabyte of tiny functions takes half a
//! gigabyte to compile. Therefore a component that would cost too much is refused by its declarations.

use wasmparser::{ComponentInstance, ElementItems, Encoding, Instance, Parser, Payload};

use crate::error::Reason;
use crate::limits::{MAX_CODE, MAX_FUNCTIONS, MAX_INSTANCES, MAX_NESTING, MAX_SEGMENTS};

/// The cost for the host of a function, a global, a segment or an element of one in every instance of its module, in
/// bytes.
const ITEM: usize = 32;

/// Sums over a component and all that is nested in it.
#[derive(Debug, Default)]
struct Shape {
    /// The number of bytes that are data, or only informative.
    uncompiled: usize,
    functions: usize,
    /// The number of segments of data and of elements.
    segments: usize,
    /// The number of functions, globals, segments and elements of the module that has most of them.
    largest: usize,
    instances: usize,
    /// An upper bound of how many times anything in the component can be instantiated.
    nesting: usize,
}

/// A module or component that is being read.
#[derive(Debug)]
struct ShapeLevel {
    items: usize,
    /// The number of component instances that it declares.
    instantiates: usize,
}

/// Checks that a component can be compiled with reasonable effort. Returns the number of bytes that its instances take
/// at most, apart from their memories and tables.
///
/// # Errors
/// Fails with a reason and a sentence, when the component is too large or cannot be read.
pub(crate) fn check(bytes: &[u8]) -> Result<usize, (Reason, String)> {
    let fail = |message| Err((Reason::CompileFailed, message));
    let shape = match read(bytes) {
        Ok(shape) => shape,
        Err(error) => return fail(format!("it cannot be compiled: {}", holystone_core::text::shown(error.message()))),
    };
    let code = bytes.len().saturating_sub(shape.uncompiled);
    if code > MAX_CODE {
        return fail(format!("it has {} MiB of code, at most {} MiB are compiled", code >> 20, MAX_CODE >> 20));
    }
    if shape.functions > MAX_FUNCTIONS {
        return fail(format!("it has {} functions, at most {MAX_FUNCTIONS} are compiled", shape.functions));
    }
    if shape.segments > MAX_SEGMENTS {
        let segments = shape.segments;
        return fail(format!("it has {segments} segments of data and tables, at most {MAX_SEGMENTS} are compiled"));
    }
    if shape.nesting > MAX_NESTING {
        return fail("the components that it is composed of multiply to more than can be compiled".to_owned());
    }
    let instances = shape.instances.saturating_mul(shape.nesting).min(MAX_INSTANCES);
    Ok(instances.saturating_mul(shape.largest).saturating_mul(ITEM))
}

fn read(bytes: &[u8]) -> wasmparser::Result<Shape> {
    let mut shape = Shape { nesting: 1, ..Shape::default() };
    let mut open: Vec<ShapeLevel> = Vec::new();
    for payload in Parser::new(0).parse_all(bytes) {
        let payload = payload?;
        if let Payload::Version { encoding: Encoding::Module | Encoding::Component, .. } = payload {
            open.push(ShapeLevel { items: 0, instantiates: 0 });
        } else if let Some(level) = open.last_mut() {
            shape.add(&payload, level)?;
        }
        if let Payload::End(_) = payload
            && let Some(level) = open.pop()
        {
            shape.largest = shape.largest.max(level.items);
            // Any component may be instantiated by any other that can name it, and that one by the next.
            shape.nesting = shape.nesting.saturating_mul(level.instantiates.saturating_add(1));
        }
    }
    Ok(shape)
}

impl Shape {
    fn add(&mut self, payload: &Payload<'_>, level: &mut ShapeLevel) -> wasmparser::Result<()> {
        match payload {
            Payload::CustomSection(section) => self.uncompiled += section.range().len(),
            Payload::DataSection(section) => {
                self.uncompiled += section.range().len();
                self.segments += section.count() as usize;
                level.items += section.count() as usize;
            }
            Payload::FunctionSection(section) => {
                self.functions += section.count() as usize;
                level.items += section.count() as usize;
            }
            Payload::GlobalSection(section) => level.items += section.count() as usize,
            Payload::ElementSection(section) => {
                self.segments += section.count() as usize;
                level.items += section.count() as usize;
                for segment in section.clone() {
                    level.items += match segment?.items {
                        ElementItems::Functions(items) => items.count() as usize,
                        ElementItems::Expressions(_, items) => items.count() as usize,
                    };
                }
            }
            Payload::InstanceSection(section) => {
                for instance in section.clone() {
                    self.instances += usize::from(matches!(instance?, Instance::Instantiate { .. }));
                }
            }
            Payload::ComponentInstanceSection(section) => {
                for instance in section.clone() {
                    level.instantiates += usize::from(matches!(instance?, ComponentInstance::Instantiate { .. }));
                }
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
