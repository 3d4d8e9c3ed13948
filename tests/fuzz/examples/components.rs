//! Makes components by chance: `components DIRECTORY SEED COUNT` writes so many files, named by their seeds, the same
//! ones for the same seeds. `tests/it/plugins/arbitrary.rs` compiles and calls them.
//!
//! Not a fuzz target, since libFuzzer sees neither a worker process nor compiled guests; and not a part of the tests'
//! build, since wasm-smith's features of shared crates would have wasmtime built once more.

#[path = "../../harness/dice.rs"]
mod dice;

use std::path::Path;

use arbitrary::Unstructured;
use dice::Dice;
use wasm_smith::{Component, Config, Module};
use wit_component::{ComponentEncoder, StringEncoding, dummy_module, embed_component_metadata};
use wit_parser::{ManglingAndAbi, Resolve, WorldId};

/// The number of random bytes that a component is made of.
const CHANCE: [usize; 4] = [64, 512, 4 << 10, 32 << 10];

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [directory, seed, count] = &arguments[..] else { panic!("components DIRECTORY SEED COUNT") };
    let (seed, count): (u64, u64) = (seed.parse().expect("a seed"), count.parse().expect("a count"));
    let world = World::read();
    for seed in seed..seed + count {
        if let Some(bytes) = world.component(seed) {
            std::fs::write(Path::new(directory).join(format!("{seed}.wasm")), bytes).expect("the file is written");
        }
    }
}

/// The plugins' interface.
struct World {
    resolve: Resolve,
    world: WorldId,
}

impl World {
    fn read() -> Self {
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/../../wit")).expect("the interface");
        let world = resolve.select_world(&[package], Some("plugin")).expect("the world");
        Self { resolve, world }
    }

    fn component(&self, seed: u64) -> Option<Vec<u8>> {
        let mut dice = Dice(seed);
        let kind = dice.below(3);
        let size = CHANCE[dice.below(CHANCE.len())];
        let chance: Vec<u8> = (0..size).map(|_| dice.byte()).collect();
        let mut chance = Unstructured::new(&chance);
        match kind {
            0 => self.plugin(&mut chance),
            1 => Some(Component::new(Config::default(), &mut chance).ok()?.to_bytes()),
            _ => {
                let mut bytes = self.plugin(&mut chance)?;
                for _ in 0..=dice.below(4) {
                    let place = dice.below(bytes.len());
                    bytes[place] = dice.byte();
                }
                Some(bytes)
            }
        }
    }

    /// A core module with a plugin's imports and exports and with any code in them, wrapped as a compiler would do it.
    fn plugin(&self, chance: &mut Unstructured<'_>) -> Option<Vec<u8>> {
        let dummy = dummy_module(&self.resolve, self.world, ManglingAndAbi::Standard32);
        let config = Config {
            exports: Some(dummy.clone()),
            available_imports: Some(dummy),
            export_everything: false,
            max_memories: 1,
            min_memories: 1,
            threads_enabled: false,
            shared_everything_threads_enabled: false,
            gc_enabled: false,
            exceptions_enabled: false,
            memory64_enabled: false,
            ..Config::default()
        };
        let mut module = Module::new(config, chance).ok()?.to_bytes();
        embed_component_metadata(&mut module, &self.resolve, self.world, StringEncoding::UTF8).ok()?;
        ComponentEncoder::default().module(&module).ok()?.encode().ok()
    }
}
