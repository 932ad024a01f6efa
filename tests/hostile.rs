//! Hostile bytes: whatever arrives, decoders return, allocate within bounds, and say what they expected and what they found.
//!
//! Real bytes of each kind are mutated; `fuzz/` runs the same functions under coverage guidance.

#![allow(clippy::unwrap_used)]

#[path = "hostile/decoders.rs"]
mod decoders;
#[path = "hostile/mutate.rs"]
mod mutate;
#[path = "hostile/seeds.rs"]
mod seeds;
#[path = "common/small.rs"]
mod small;

use decoders::{ALL, Decoder};
use mutate::{Edit, apply, edits};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use std::alloc::System;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations are counted for the whole process: one decoder at a time.
static TURN: Mutex<()> = Mutex::new(());

const CASES: u32 = 10_000;

/// The most that a decoder may allocate in all while it looks at a few kilobytes, MiB.
fn bound(decoder: &str) -> usize {
    match decoder {
        "description" => 200, // patterns of up to 2²⁰ pixels may take few bytes on the wire
        "log" => 500, // read twice: compressed chunks of 96 MiB, before they are known to be none
        "image" => 80, // 2²⁴ pixels of 16 bits, and what the PNG decoder needs
        _ => 4,
    }
}

fn named(name: &str) -> Decoder {
    *ALL.iter().find(|(known, _)| *known == name).unwrap()
}

/// Runs a decoder over mutated seeds.
fn attack(name: &str) {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, decode) = named(name);
    let seeds = seeds::of(name);
    let config = Config {
        cases: CASES,
        failure_persistence: None,
        ..Config::default()
    };
    let kinds = 0..seeds.len();
    let outcome = TestRunner::new(config).run(
        &(kinds.clone(), kinds, edits()),
        |(seed, other, edits): (usize, usize, Vec<Edit>)| {
            let bytes = apply(&edits, &seeds[seed], &seeds[other]);
            let region = Region::new(ALLOCATOR);
            let outcome = decode(&bytes);
            let allocated = region.change().bytes_allocated;
            if allocated > bound(name) << 20 {
                let told = format!("{allocated} bytes allocated for {}", bytes.len());
                return Err(TestCaseError::fail(told));
            }
            refused_well(name, &outcome)?;
            Ok(())
        },
    );
    drop(turn);
    if let Err(fault) = outcome {
        panic!("{fault}");
    }
}

/// Whether a refusal says what was expected and what was found.
fn refused_well(name: &str, outcome: &decoders::Outcome) -> Result<(), TestCaseError> {
    let Err(told) = outcome else {
        return Ok(());
    };
    let says = |words: &[&str]| words.iter().any(|word| told.contains(word));
    let good = match name {
        "log" => says(&["expected", "is cut", "is damaged"]),
        // what a TOML or a PNG should be is its own decoder's to say
        "config" | "dataset" | "image" => !told.is_empty(),
        _ => says(&["expected"]) && says(&["got", "found"]),
    };
    good.then_some(())
        .ok_or_else(|| TestCaseError::fail(format!("what was expected, what found? `{told}`")))
}

macro_rules! attacks {
    ($($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                attack(stringify!($name));
            }
        )*

        #[test]
        fn none_is_left_out() {
            let attacked = [$(stringify!($name)),*];
            assert_eq!(attacked, ALL.map(|(name, _)| name));
        }
    };
}

attacks!(measurement depth description log import prior config dataset image histograms);

#[test]
fn seeds_are_taken() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for (name, decode) in ALL {
        let outcomes: Vec<_> = seeds::of(name).iter().map(|seed| decode(seed)).collect();
        let taken = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert!(taken > 0, "{name}: {outcomes:?}");
    }
}

/// What fuzzing found, by the name of its decoder.
#[test]
fn findings_stay_fixed() {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/findings");
    let mut found = 0;
    for file in folder.read_dir().unwrap().map(Result::unwrap) {
        let name = file.file_name().into_string().unwrap();
        let (_, decode) = named(name.split('-').next().unwrap());
        let _ = decode(&std::fs::read(file.path()).unwrap());
        found += 1;
    }
    assert!(found >= 6, "{found} findings");
}

/// `cargo test --release --test hostile corpus -- --ignored` before fuzzing.
#[test]
#[ignore = "writes fuzz/corpus"]
fn corpus() {
    for (name, _) in ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("fuzz/corpus")
            .join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (index, seed) in seeds::of(name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed {index}")), seed).unwrap();
        }
    }
}
