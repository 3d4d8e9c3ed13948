//! Writes images as one OCI layout in a tar archive, which `ctr images import` takes.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::images::{Imported, Layer, LayerSpec, TestImage};

const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Writes an archive that holds all the images, each layer once, and answers what they will be known by.
pub(crate) fn write(images: &[TestImage], archive: &Path) -> anyhow::Result<Vec<Imported>> {
    let file = File::create(archive).with_context(|| format!("create {}", archive.display()))?;
    let mut layout = Layout::new(tar::Builder::new(BufWriter::new(file)));
    layout.file("oci-layout", br#"{"imageLayoutVersion":"1.0.0"}"#)?;
    let mut imported = Vec::with_capacity(images.len());
    let mut index = Vec::new();
    for image in images {
        let (known, descriptors) = layout.image(image)?;
        imported.push(known);
        index.extend(descriptors);
    }
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": index });
    layout.file("index.json", &serde_json::to_vec(&index)?)?;
    layout.archive.into_inner()?.flush().context("write the archive")?;
    Ok(imported)
}

/// Writes the layout of an OCI artifact of one small file, into an empty directory.
pub(crate) fn write_artifact(name: &str, directory: &Path) -> anyhow::Result<()> {
    let blobs = directory.join("blobs/sha256");
    fs::create_dir_all(&blobs)?;
    let blob = |content: &[u8], kind: &str| -> anyhow::Result<Value> {
        let hex = hex(&Sha256::digest(content));
        fs::write(blobs.join(&hex), content)?;
        Ok(json!({ "mediaType": kind, "digest": format!("sha256:{hex}"), "size": content.len() }))
    };
    let mut file = blob(b"a model", "application/vnd.example.model")?;
    file["annotations"] = json!({ "org.opencontainers.image.title": "model" });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": "application/vnd.example.model",
        "config": blob(b"{}", "application/vnd.oci.empty.v1+json")?,
        "layers": [file],
    });
    let mut line = blob(&serde_json::to_vec(&manifest)?, MANIFEST)?;
    line["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
    fs::write(directory.join("index.json"), json!({ "schemaVersion": 2, "manifests": [line] }).to_string())?;
    fs::write(directory.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#)
        .context("write the layout of an artifact")
}

/// A content descriptor.
#[derive(Clone)]
struct Descriptor {
    media_type: &'static str,
    digest: String,
    size: usize,
}

impl Descriptor {
    /// As a manifest or an index refers to it.
    fn json(&self) -> Value {
        json!({ "mediaType": self.media_type, "digest": self.digest, "size": self.size })
    }
}

/// An OCI layout being written.
struct Layout<W: Write> {
    archive: tar::Builder<W>,
    /// Layers already written: making one is the expensive part.
    layers: HashMap<Layer, Descriptor>,
    /// Everything already written, by digest.
    written: HashSet<String>,
}

impl<W: Write> Layout<W> {
    /// An empty layout.
    fn new(archive: tar::Builder<W>) -> Self {
        Self { archive, layers: HashMap::new(), written: HashSet::new() }
    }

    /// Writes one image, and answers its names and its lines of the index: one for each name.
    fn image(&mut self, image: &TestImage) -> anyhow::Result<(Imported, Vec<Value>)> {
        let layers = image.layers.iter().map(|layer| self.layer(layer)).collect::<anyhow::Result<Vec<_>>>()?;
        let config = self.blob(CONFIG, &serde_json::to_vec(&config_of(image, &layers))?)?;
        let manifest = json!({
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": config.json(),
            "layers": layers.iter().map(Descriptor::json).collect::<Vec<_>>(),
        });
        let manifest = self.blob(MANIFEST, &serde_json::to_vec(&manifest)?)?;
        let repo_digests: Vec<String> =
            image.repositories.iter().map(|repository| format!("{repository}@{}", manifest.digest)).collect();
        let names = image.tags.iter().chain(&repo_digests);
        let index = names.map(|name| index_line(&manifest, name)).collect();
        let known = Imported { id: config.digest, digest: manifest.digest, tags: image.tags.clone(), repo_digests };
        Ok((known, index))
    }

    /// Writes a layer unless an earlier image had the same.
    fn layer(&mut self, layer: &Layer) -> anyhow::Result<Descriptor> {
        if let Some(descriptor) = self.layers.get(layer) {
            return Ok(descriptor.clone());
        }
        let content = match layer {
            Layer::Generated(spec) => generated(*spec)?,
            Layer::Program { name, content } => {
                let mut archive = tar::Builder::new(Vec::new());
                append(&mut archive, name, 0o755, content)?;
                archive.into_inner()?
            }
        };
        let descriptor = self.blob(LAYER, &content)?;
        self.layers.insert(layer.clone(), descriptor.clone());
        Ok(descriptor)
    }

    /// Writes content under its digest.
    fn blob(&mut self, media_type: &'static str, content: &[u8]) -> anyhow::Result<Descriptor> {
        let hex = hex(&Sha256::digest(content));
        let digest = format!("sha256:{hex}");
        if self.written.insert(digest.clone()) {
            self.file(&format!("blobs/sha256/{hex}"), content)?;
        }
        Ok(Descriptor { media_type, digest, size: content.len() })
    }

    /// Writes one file of the layout.
    fn file(&mut self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        append(&mut self.archive, path, 0o644, content)
    }
}

/// The configuration of an image; its digest is the image's id.
fn config_of(image: &TestImage, layers: &[Descriptor]) -> Value {
    let mut config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": { "Labels": image.labels, "Entrypoint": image.entrypoint },
        // A layer that is not compressed has the digest of its content.
        "rootfs": { "type": "layers", "diff_ids": layers.iter().map(|layer| &layer.digest).collect::<Vec<_>>() },
    });
    if let (Some(moment), Some(fields)) = (&image.created, config.as_object_mut()) {
        fields.insert("created".to_owned(), json!(moment));
    }
    config
}

/// A manifest in the index under one name. Both annotations are needed: the first is the name containerd takes, the
/// second what other tools show.
fn index_line(manifest: &Descriptor, name: &str) -> Value {
    let mut line = manifest.json();
    if let Some(fields) = line.as_object_mut() {
        fields.insert("platform".to_owned(), json!({ "architecture": architecture(), "os": "linux" }));
        let annotations = json!({ "io.containerd.image.name": name, "org.opencontainers.image.ref.name": name });
        fields.insert("annotations".to_owned(), annotations);
    }
    line
}

/// This machine's architecture by the name Go has for it, which is the one images carry.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

/// The archive of a layer of generated files.
fn generated(spec: LayerSpec) -> anyhow::Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for number in 0..spec.files {
        let content = noise(spec.seed.wrapping_mul(0x1_0000_0001).wrapping_add(number.into()), spec.bytes_per_file);
        append(&mut archive, &format!("data-{}/{number:06}", spec.seed), 0o644, &content)?;
    }
    Ok(archive.into_inner()?)
}

/// Bytes that do not compress and are the same for the same seed (xorshift64*).
fn noise(seed: u64, length: u32) -> Vec<u8> {
    let length = length as usize;
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_F491_4F6C_DD1D).to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// Appends a file to an archive, with everything that could differ from run to run set to nothing.
fn append<W: Write>(archive: &mut tar::Builder<W>, path: &str, mode: u32, content: &[u8]) -> anyhow::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode);
    header.set_size(content.len().try_into()?);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    archive.append_data(&mut header, path, content).with_context(|| format!("add {path} to an archive"))
}

/// Bytes as lower-case hexadecimal digits.
fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let digit = |value: u8| char::from(DIGITS[usize::from(value & 15)]);
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(*byte)]).collect()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    const SPEC: LayerSpec = LayerSpec { files: 2, bytes_per_file: 1000, seed: 7 };

    #[test]
    fn equal_layers_are_written_once_and_ids_differ() -> anyhow::Result<()> {
        let directory = tempfile::tempdir()?;
        let path = directory.path().join("images.tar");
        let images = [
            TestImage::new("localhost/a:1").tag("localhost/a:2").layer(SPEC),
            TestImage::new("localhost/b:1").layer(SPEC).pulled(),
        ];
        let known = write(&images, &path)?;
        assert_ne!(known[0].id, known[1].id);
        assert_eq!(known[1].repo_digests, [format!("localhost/b@{}", known[1].digest)]);
        let mut blobs = 0;
        let mut lines = 0;
        for entry in tar::Archive::new(File::open(&path)?).entries()? {
            let mut entry = entry?;
            let name = entry.path()?.into_owned();
            let mut content = Vec::new();
            entry.read_to_end(&mut content)?;
            if name.starts_with("blobs") {
                blobs += 1;
                assert_eq!(
                    name.file_name().and_then(|name| name.to_str()),
                    Some(hex(&Sha256::digest(&content)).as_str())
                );
            } else if name == Path::new("index.json") {
                let index: Value = serde_json::from_slice(&content)?;
                lines = index["manifests"].as_array().map_or(0, Vec::len);
            }
        }
        // One shared layer, two configurations, two manifests; two tags, one tag, one digest.
        assert_eq!((blobs, lines), (5, 4));
        Ok(())
    }

    #[test]
    fn the_same_description_gives_the_same_image() -> anyhow::Result<()> {
        assert_eq!(generated(SPEC)?, generated(SPEC)?);
        assert_ne!(noise(1, 64), noise(2, 64));
        assert_eq!(noise(3, 13).len(), 13);
        Ok(())
    }
}
