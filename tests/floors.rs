//! The house has floors, and imports point down only.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// Each room, its floor, and the rooms beside it or below that it may know; floors 3 and 4 know everything below them.
const ROOMS: [(&str, u8, &[&str]); 22] = [
    ("clock", 0, &[]),
    ("frame", 0, &["simd"]),
    ("pool", 0, &[]),
    ("simd", 0, &[]),
    ("sensing", 1, &["clock", "frame", "simd"]),
    ("prior", 1, &["clock", "frame", "pool", "simd"]),
    ("metrics", 1, &["clock", "frame", "simd"]),
    ("wire", 1, &["clock", "frame", "simd"]),
    (
        "recover",
        2,
        &[
            "clock", "frame", "pool", "simd", "sensing", "prior", "metrics",
        ],
    ),
    ("sim", 2, &["clock", "frame", "sensing", "metrics"]),
    ("dataset", 2, &["clock", "frame", "metrics"]),
    ("journal", 2, &["clock", "frame", "wire"]),
    ("pipeline", 3, &[]),
    ("serve", 3, &[]),
    ("eval", 3, &[]),
    ("bench", 3, &[]),
    ("report", 3, &[]),
    ("telemetry", 3, &[]),
    ("train", 3, &[]),
    ("cli", 4, &["config", "say"]),
    ("config", 4, &["say"]),
    ("say", 4, &[]),
];

fn floor(room: &str) -> Option<u8> {
    ROOMS
        .iter()
        .find(|(name, ..)| *name == room)
        .map(|(_, floor, _)| *floor)
}

/// Rooms that a source names, tests at its end left out.
fn imports(source: &str) -> Vec<String> {
    let source = source
        .split("#[cfg(test)]\nmod tests")
        .next()
        .unwrap_or_default();
    let code = source
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let word = |rest: &str| {
        rest.split(|c: char| !c.is_alphanumeric() && c != '_')
            .next()
            .map(str::to_owned)
    };
    code.flat_map(|line| {
        line.split("crate::")
            .skip(1)
            .filter_map(word)
            .collect::<Vec<_>>()
    })
    .filter(|name| floor(name).is_some())
    .collect()
}

/// Imports of a room that it may not have.
fn trespasses(room: &str, source: &str) -> Vec<String> {
    let Some((_, own, known)) = ROOMS.iter().find(|(name, ..)| *name == room) else {
        return vec![format!("{room} stands on no floor")];
    };
    let allowed =
        |name: &str| name == room || known.contains(&name) || (*own > 2 && floor(name) < Some(4));
    imports(source)
        .into_iter()
        .filter(|name| !allowed(name))
        .collect()
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => sources(&path, found),
            path if path.extension().is_some_and(|e| e == "rs") => found.push(path),
            _ => {}
        }
    }
}

#[test]
fn imports_point_down_only() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = vec![];
    sources(&root, &mut files);
    assert!(files.len() > 20);
    for file in files {
        let inside = file.strip_prefix(&root).unwrap();
        let room = inside
            .iter()
            .next()
            .unwrap()
            .to_str()
            .unwrap()
            .trim_end_matches(".rs");
        if matches!(room, "lib" | "main") {
            continue;
        }
        let bad = trespasses(room, &std::fs::read_to_string(&file).unwrap());
        assert!(
            bad.is_empty(),
            "{} imports {bad:?}, which its floor may not know",
            inside.display()
        );
    }
}

#[test]
fn an_import_that_points_up_is_named() {
    assert_eq!(
        trespasses("sensing", "use crate::recover::Tracker;"),
        ["recover"]
    );
    assert_eq!(
        trespasses("sim", "fn f(p: &crate::prior::Prior) {}"),
        ["prior"]
    );
    assert!(trespasses("recover", "use crate::prior::Prior; // crate::frame").is_empty());
}
