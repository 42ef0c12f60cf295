//! Changes that come while the configuration is being read.

use std::time::Duration;

use super::*;

#[tokio::test]
async fn a_change_right_after_the_file_was_read_is_noticed() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("sheaf.toml");
    std::fs::write(&file, "origins = []\n").expect("written");
    let sources = Sources { file: Some(file.clone()), ..Sources::default() };
    let mut read = Watched::load(&sources).expect("right");
    // The server starts meanwhile, and follows only then.
    std::fs::write(&file, "origins = [\"https://a.example\"]\n").expect("written");
    let (clock, watch) = (Clock::system(), read.watch.as_mut().expect("watched"));
    let noticed = clock.deadline(Duration::from_secs(20), watch.changed(&clock)).await;
    assert!(noticed.is_ok());
}
