//! Compiles the guests of the tests and tells the harness where they are: crates, and what no Rust code becomes,
//! written as WebAssembly text.

use std::env;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

#[path = "../plugins/components.rs"]
mod components;

fn main() {
    if let Err(problem) = build() {
        println!("cargo::error={problem}");
        std::process::exit(1);
    }
}

fn build() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("..").canonicalize()?;
    let (guests, built) = components::components(&workspace, "tests/guests")?;
    for guest in &guests {
        let variable = format!("GUEST_{}", guest.replace('-', "_").to_uppercase());
        println!("cargo::rustc-env={variable}={}", built.join(components::file_name(guest)).display());
    }
    let directory = PathBuf::from(env::var("OUT_DIR")?).join("guests");
    assemble(&workspace, &directory)?;
    println!("cargo::rustc-env=GUESTS={}", directory.display());
    Ok(())
}

/// Makes a component of every text. A text that is a component stays as it is; a core module is wrapped into one that
/// speaks the plugins' interface, as a compiler's linker would do it.
fn assemble(workspace: &Path, directory: &Path) -> Result<(), Box<dyn Error>> {
    let mut resolve = Resolve::default();
    resolve.push_path(workspace.join("wit"))?;
    let (package, _) = resolve.push_path(workspace.join("tests/guests/wit"))?;
    let world = resolve.select_world(&[package], Some("guest"))?;
    fs::create_dir_all(directory)?;
    for entry in fs::read_dir(workspace.join("tests/guests"))? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "wat") {
            continue;
        }
        let mut bytes = wat::parse_file(&path)?;
        if bytes[4..8] == [1, 0, 0, 0] {
            embed_component_metadata(&mut bytes, &resolve, world, StringEncoding::UTF8)?;
            let wrapped =
                ComponentEncoder::default().module(&bytes).and_then(|encoder| encoder.validate(true).encode());
            bytes = wrapped.map_err(|error| format!("{}: {error:#}", path.display()))?;
        }
        fs::write(directory.join(path.with_extension("wasm").file_name().unwrap_or_default()), bytes)?;
    }
    Ok(())
}
