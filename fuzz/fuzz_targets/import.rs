//! libFuzzer on `targets::import`.
#![no_main]

#[path = "../../tests/exposition/check.rs"]
#[allow(dead_code)]
mod check;
#[path = "../targets.rs"]
#[allow(dead_code)]
mod targets;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| targets::import(bytes));
