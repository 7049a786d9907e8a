//! Builds again when a file appears in or leaves what is shipped, which the compiler by itself does not see.

fn main() {
    println!("cargo::rerun-if-changed=collectors");
    println!("cargo::rerun-if-changed=dashboards/boards");
}
