//! Has the binary rebuilt when the demo has been built, or built anew, since the last time.

use std::path::Path;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // A path that does not exist would mean "always": before the first build of the demo its
    // sources are watched instead, where its output will appear.
    let watched = ["../web-demo/dist", "../web-demo"];
    if let Some(path) = watched.iter().find(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
}
