//! Compiles the guests of the tests and tells the harness where they are.

use std::env;
use std::error::Error;
use std::path::Path;

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
    Ok(())
}
