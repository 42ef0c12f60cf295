//! Files that are written, replaced, swapped by a link, and only touched.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

const DEADLINE: Duration = Duration::from_secs(10);

async fn is_noticed(watch: &mut Watch) -> bool {
    let clock = Clock::system();
    clock.deadline(DEADLINE, watch.changed(&clock)).await.is_ok()
}

#[tokio::test]
async fn a_file_that_is_written_or_replaced_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("sheaf.toml");
    fs::write(&file, "a").expect("written");
    let mut watch = Watch::new(vec![file.clone()]).expect("watched");
    fs::write(&file, "b").expect("written in place");
    assert!(is_noticed(&mut watch).await);
    let fresh = dir.path().join("sheaf.toml.new");
    fs::write(&fresh, "c").expect("written");
    fs::rename(&fresh, &file).expect("replaced, as editors do");
    assert!(is_noticed(&mut watch).await);
}

#[tokio::test]
async fn a_link_that_is_swapped_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let at = |name: &str| dir.path().join(name);
    for (version, text) in [("1", "a"), ("2", "b")] {
        fs::create_dir(at(version)).expect("made");
        fs::write(at(version).join("sheaf.toml"), text).expect("written");
    }
    symlink("1", at("..data")).expect("linked");
    symlink("..data/sheaf.toml", at("sheaf.toml")).expect("linked, as Kubernetes does");
    let mut watch = Watch::new(vec![at("sheaf.toml")]).expect("watched");
    symlink("2", at("..data_tmp")).expect("linked");
    fs::rename(at("..data_tmp"), at("..data")).expect("swapped");
    assert!(is_noticed(&mut watch).await);
}

#[test]
fn the_same_content_is_no_change() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("sheaf.toml");
    fs::write(&file, "a").expect("written");
    let files = [file.clone()];
    let before = print(&files);
    fs::write(&file, "a").expect("written again");
    assert_eq!(print(&files), before);
    fs::remove_file(&file).expect("gone");
    assert_ne!(print(&files), before);
}
