//! The house as it lies on disk.
//!
//! In: the workspace's folder, and `cargo metadata` about it. Out: a [`House`]. Refuses: a workspace that cargo or the parser cannot read.
//! Never: the network, as long as the packages lie in cargo's cache.

use std::collections::HashMap;
use std::env::consts::ARCH;
use std::fs;
use std::path::Path;

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Node, PackageId};
use walkdir::{DirEntry, WalkDir};

use crate::house::linked::is_switched_on;
use crate::house::source::Source;
use crate::house::{Dependency, Finding, House, Manifest, Package, Resolved};

/// Reads the workspace at `root`; beside the house, findings about files that cannot be parsed.
///
/// # Errors
/// A sentence where cargo or a file cannot be read.
pub fn read(root: &Path) -> Result<(House, Vec<Finding>), String> {
    let metadata = metadata(root)?;
    let packages = packages(root, &metadata)?;
    let mut manifests = Vec::new();
    for package in &packages {
        let path = format!("{}/Cargo.toml", package.folder);
        manifests.push(Manifest { text: text(root, &path)?, path });
    }
    let (sources, findings) = sources(root)?;
    let house = House { packages, graph: graph(&metadata)?, manifests, sources, top_level: top_level(root)? };
    Ok((house, findings))
}

/// Without the network first; a machine that has never built this has to fetch once.
fn metadata(root: &Path) -> Result<Metadata, String> {
    let platform = format!("{ARCH}-unknown-linux-gnu");
    let mut last = String::new();
    for flags in [&["--locked", "--offline"][..], &["--offline"], &[]] {
        let options: Vec<String> = flags.iter().copied().chain(["--filter-platform", platform.as_str()]).map(str::to_owned).collect();
        match MetadataCommand::new().manifest_path(root.join("Cargo.toml")).other_options(options).exec() {
            Ok(metadata) => return Ok(metadata),
            Err(error) => last = error.to_string(),
        }
    }
    Err(format!("cargo metadata fails: {last}"))
}

fn packages(root: &Path, metadata: &Metadata) -> Result<Vec<Package>, String> {
    let mut packages = Vec::new();
    for package in metadata.workspace_packages() {
        let folder = package.manifest_path.parent().ok_or("a manifest without a folder")?;
        let dependencies = package
            .dependencies
            .iter()
            .map(|dependency| Dependency { name: dependency.name.clone(), dev: dependency.kind == DependencyKind::Development });
        packages.push(Package {
            name: package.name.to_string(),
            folder: relative(root, folder.as_std_path())?,
            dependencies: dependencies.collect(),
        });
    }
    Ok(packages)
}

fn graph(metadata: &Metadata) -> Result<Vec<Resolved>, String> {
    let resolve = metadata.resolve.as_ref().ok_or("cargo metadata gave no resolved graph")?;
    let index: HashMap<_, _> = resolve.nodes.iter().enumerate().map(|(index, node)| (&node.id, index)).collect();
    let packages: HashMap<_, _> = metadata.packages.iter().map(|package| (&package.id, package)).collect();
    let resolved = resolve.nodes.iter().map(|node| {
        let links = node.deps.iter().filter(|link| is_linked(&packages, node, &link.pkg));
        Resolved {
            name: packages.get(&node.id).map(|package| package.name.to_string()).unwrap_or_default(),
            own: metadata.workspace_members.contains(&node.id),
            links: links.filter_map(|link| index.get(&link.pkg).copied()).collect(),
        }
    });
    Ok(resolved.collect())
}

fn is_linked(packages: &HashMap<&PackageId, &cargo_metadata::Package>, node: &Node, target: &PackageId) -> bool {
    let (Some(package), Some(target)) = (packages.get(&node.id), packages.get(target)) else { return true };
    let active: Vec<String> = node.features.iter().map(ToString::to_string).collect();
    package.dependencies.iter().filter(|dependency| dependency.name == *target.name).any(|dependency| {
        let name = dependency.rename.as_ref().unwrap_or(&dependency.name);
        !dependency.optional || is_switched_on(&package.features, &active, name)
    })
}

fn sources(root: &Path) -> Result<(Vec<Source>, Vec<Finding>), String> {
    let (mut sources, mut findings) = (Vec::new(), Vec::new());
    for entry in WalkDir::new(root).sort_by_file_name().into_iter().filter_entry(is_ours) {
        let entry = entry.map_err(|error| error.to_string())?;
        if entry.path().extension().is_some_and(|extension| extension == "rs") && entry.file_type().is_file() {
            let path = relative(root, entry.path())?;
            match Source::parse(&path, &text(root, &path)?) {
                Ok(source) => sources.push(source),
                Err(finding) => findings.push(finding),
            }
        }
    }
    Ok((sources, findings))
}

/// Neither dot-folders nor what cargo builds.
fn is_ours(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    entry.depth() == 0 || !(name.starts_with('.') || (name == "target" && entry.depth() == 1))
}

fn top_level(root: &Path) -> Result<Vec<String>, String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(root).map_err(|error| error.to_string())? {
        let name = entry.map_err(|error| error.to_string())?.file_name().to_string_lossy().into_owned();
        if !name.starts_with('.') && name != "target" {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

fn text(root: &Path, path: &str) -> Result<String, String> {
    fs::read_to_string(root.join(path)).map_err(|error| format!("{path} cannot be read: {error}"))
}

fn relative(root: &Path, path: &Path) -> Result<String, String> {
    let inside = path.strip_prefix(root).map_err(|_| format!("{} lies outside the workspace", path.display()))?;
    Ok(inside.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/"))
}
