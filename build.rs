//! Builds again when a file appears in or leaves `collectors/`, which the compiler by itself does not see.

fn main() {
    println!("cargo::rerun-if-changed=collectors");
}
