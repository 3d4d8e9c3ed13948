use super::{ITEM, check};
use crate::error::Reason;
use crate::limits::{MAX_CODE, MAX_FUNCTIONS, MAX_INSTANCES, MAX_SEGMENTS};

fn component(body: &str) -> Vec<u8> {
    wat::parse_str(format!("(component {body})")).unwrap()
}

#[track_caller]
fn is_refused(body: &str, words: &str) {
    let (reason, message) = check(&component(body)).unwrap_err();
    assert_eq!(reason, Reason::CompileFailed);
    assert!(message.contains(words), "{message}");
}

#[test]
fn an_ordinary_component_passes() {
    assert_eq!(check(&component("")), Ok(0));
    let body = "(core module $m (func) (func) (global i32 (i32.const 0))) (core instance (instantiate $m))";
    assert_eq!(check(&component(body)), Ok(3 * ITEM));
}

#[test]
fn what_is_cut_off_is_told() {
    let bytes = component("(core module (func))");
    let (reason, message) = check(&bytes[..bytes.len() - 1]).unwrap_err();
    assert_eq!(reason, Reason::CompileFailed);
    assert!(message.starts_with("it cannot be compiled: "), "{message}");
}

#[test]
fn functions_are_counted_over_all_modules() {
    let half = "(func)".repeat(MAX_FUNCTIONS / 2);
    let passes = format!("(core module {half}) (component (core module {half}))");
    assert!(check(&component(&passes)).is_ok());
    is_refused(&format!("{passes} (core module (func))"), "it has 100001 functions, at most 100000 are compiled");
}

#[test]
fn segments_are_counted_over_all_modules_and_of_both_kinds() {
    let half = MAX_SEGMENTS / 2;
    let data = format!("(core module (memory 1) {})", "(data \"\")".repeat(half));
    let tables = format!("(core module (table 1 funcref) {})", "(elem funcref)".repeat(half));
    assert!(check(&component(&format!("{data} {tables}"))).is_ok());
    for more in ["(data \"\")", "(elem funcref)"] {
        let one_more = format!("{data} (component {tables} (core module {more}))");
        is_refused(&one_more, "it has 100001 segments of data and tables, at most 100000 are compiled");
    }
}

#[test]
fn code_is_measured_and_data_is_not() {
    let data = format!("(core module (memory 1) (data \"{}\"))", "x".repeat(MAX_CODE));
    assert!(check(&component(&data)).is_ok());
    // Names are the shortest text for many bytes that are neither data nor to be skipped.
    let name = "x".repeat(99_990);
    let exports: Vec<String> = (0..170).map(|number| format!("(export \"{name}{number}\" (func 0))")).collect();
    is_refused(
        &format!("(core module (func) {})", exports.concat()),
        "it has 16 MiB of code, at most 16 MiB are compiled",
    );
}

#[test]
fn components_in_components_multiply() {
    let nested = |depth: usize| {
        (0..depth).fold(String::new(), |inner, level| {
            let instances = format!("(instance (instantiate $c{level}))").repeat(10);
            format!("(component $c{level} {inner}) {instances}")
        })
    };
    assert!(check(&component(&nested(3))).is_ok());
    is_refused(&nested(4), "multiply");
}

#[test]
fn components_that_name_those_beside_them_multiply_as_well() {
    let component = |level: usize| {
        let instances = format!("(instance (instantiate $c{}))", level - 1).repeat(10);
        format!("(component $c{level} {instances})")
    };
    is_refused(&format!("(component $c0) {}", (1..5).map(component).collect::<Vec<_>>().concat()), "multiply");
}

#[test]
fn every_instance_of_a_large_module_counts() {
    let globals = "(global i32 (i32.const 0))".repeat(1_000);
    let large = format!(
        "(core module $large {globals} (table 10 funcref) (func) (elem (i32.const 0) func 0 0 0) (memory 1) (data \"a\") (data \"\"))"
    );
    let instances = |count| "(core instance (instantiate $large))".repeat(count);
    // A function, a segment of three elements, two of data.
    let each = 1_000 + 1 + 4 + 2;
    assert_eq!(check(&component(&format!("{large} {}", instances(2)))), Ok(2 * each * ITEM));
    assert_eq!(check(&component(&format!("{large} {}", instances(500)))), Ok(MAX_INSTANCES * each * ITEM));
}
