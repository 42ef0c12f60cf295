//! What is shown, from where, and what is not.

use super::*;

fn sources(file: &Path) -> Sources {
    Sources {
        file: Some(file.to_owned()),
        environment: vec![("SHEAF_LIMITS__UNLOAD_IDLE_S".into(), "7".into())],
        flags: vec![("log.level", "debug".into())],
    }
}

#[test]
fn each_value_is_shown_with_its_origin() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("sheaf.toml");
    std::fs::write(&file, "hosts = [\"a.example\"]\n").expect("written");
    let shown = text(&sources(&file), true).expect("right");
    let shown = anstream::adapter::strip_str(&shown).to_string();
    let line = |start: &str| {
        let found = shown.lines().find(|line| line.starts_with(start));
        found.unwrap_or_else(|| panic!("{start} is not in {shown}")).to_owned()
    };
    assert!(line("hosts = [\"a.example\"]").ends_with("sheaf.toml"));
    assert!(line("unload_idle_s = 7").ends_with("# SHEAF_LIMITS__UNLOAD_IDLE_S"));
    assert!(line("level = \"debug\"").ends_with("# flag"));
    assert!(line("ping_idle_s = 20").ends_with("# default"));
}

#[test]
fn what_is_shown_is_a_configuration_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("sheaf.toml");
    std::fs::write(&file, "allow_anonymous = true\n").expect("written");
    let shown = text(&sources(&file), false).expect("right");
    let again = dir.path().join("again.toml");
    std::fs::write(&again, shown).expect("written");
    let config = Config::load(&Sources { file: Some(again), ..Sources::default() });
    let config = config.expect("it reads as a configuration");
    assert!(config.allow_anonymous);
    assert_eq!((config.limits.unload_idle_s, &*config.log.level), (7, "debug"));
}

#[test]
fn a_password_in_an_address_is_hidden() {
    let mut text = "https://ada:horse@hooks.example/a@b".to_owned();
    hide_userinfo(&mut text);
    assert_eq!(text, "https://…@hooks.example/a@b");
    let mut plain = "https://hooks.example/a@b".to_owned();
    hide_userinfo(&mut plain);
    assert_eq!(plain, "https://hooks.example/a@b");
}
