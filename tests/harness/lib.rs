//! What Holystone's integration tests and benchmarks stand on: private, real containerds that leave nothing
//! behind, and images made on the spot, so that no registry is needed.
//!
//! ```no_run
//! use holystone_tests::{Containerd, ContainerSpec, LayerSpec, TestImage, on_each_containerd, pause_image, sleep_image};
//!
//! # async fn example() -> anyhow::Result<()> {
//! on_each_containerd("example", async |tools| {
//!     let containerd = Containerd::start(&tools).await?;
//!     let layer = LayerSpec { files: 4, bytes_per_file: 4096, seed: 1 };
//!     let image = TestImage::new("docker.io/minchou/rollout:1.0.0").layer(layer);
//!     let sleep = sleep_image("docker.io/library/sleep:1")?;
//!     let imported = containerd.import(&[pause_image()?, sleep, image]).await?;
//!     let cri = containerd.cri()?;
//!     let pod = cri.run_pod("web").await?;
//!     cri.running_container(&pod, &ContainerSpec::new("main", "docker.io/library/sleep:1")).await?;
//!     cri.remove_image(&imported[2].id).await?;
//!     containerd.close()
//! })
//! .await
//! # }
//! ```

pub mod bombs;
mod config;
mod containerd;
mod cri;
pub mod crio;
pub mod dice;
mod disk;
pub mod fake_api;
mod guests;
mod images;
mod kube;
mod layout;
mod mounts;
mod process;
mod program;
mod requirements;
mod teardown;

#[cfg(test)]
mod selfcheck;

pub use containerd::{CRI_NAMESPACE, Containerd};
pub use cri::{ContainerSpec, Cri, Pod};
pub use crio::{Crio, crio};
pub use disk::{du, mounts_beneath};
pub use guests::{guest, misbehave, walks};
pub use images::{Imported, LayerSpec, TestImage};
pub use kube::{Cluster, Node};
pub use mounts::SmallDisk;
pub use process::processes_naming;
pub use program::{holystone_image, pause_image, program, sleep_image};
pub use requirements::{Tools, Version, containerds, missing, on_each_containerd, skip};
