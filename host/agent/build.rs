//! Compiles the shipped plugins and writes the table of them that the crate embeds.

use std::error::Error;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use std::{env, fs};

/// In seconds.
const DAY: u64 = 24 * 60 * 60;

#[path = "../../plugins/components.rs"]
mod components;

fn main() {
    if let Err(problem) = build() {
        println!("cargo::error={problem}");
        std::process::exit(1);
    }
}

/// Writes down the day of the build: a clock that says less is wrong. `SOURCE_DATE_EPOCH` is for builds that come out the
/// same each time.
fn write_day() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-env-changed=SOURCE_DATE_EPOCH");
    let seconds: u64 = match env::var("SOURCE_DATE_EPOCH") {
        Ok(seconds) => seconds.parse()?,
        Err(_) => SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_secs(),
    };
    println!("cargo::rustc-env=HOLYSTONE_BUILT={}", seconds / DAY * DAY);
    Ok(())
}

fn build() -> Result<(), Box<dyn Error>> {
    let workspace = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../..").canonicalize()?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    let (plugins, built) = components::components(&workspace, "plugins")?;
    let mut table = String::new();
    for plugin in &plugins {
        let file = components::file_name(plugin);
        fs::copy(built.join(&file), out.join(&file)).map_err(|error| format!("{file} was not built: {error}"))?;
        fs::copy(workspace.join("plugins").join(plugin).join("schema.json"), out.join(format!("{plugin}.json")))?;
        writeln!(
            table,
            "Builtin {{ name: {plugin:?}, component: include_bytes!(concat!(env!(\"OUT_DIR\"), \"/{file}\")), schema: include_str!(concat!(env!(\"OUT_DIR\"), \"/{plugin}.json\")) }},"
        )?;
    }
    fs::write(out.join("builtins.rs"), format!("[{table}]"))?;
    write_day()?;
    Ok(())
}
