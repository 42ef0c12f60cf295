//! Precedence, refusals and their words.

use std::os::unix::fs::PermissionsExt;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn from_file(text: &str) -> Result<Config, Error> {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("sheaf.toml");
    std::fs::write(&path, text).expect("written");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).expect("ours");
    Config::load(&Sources { file: Some(path), ..Sources::default() })
}

fn mistake(text: &str) -> String {
    from_file(text).expect_err("the file is wrong").to_string()
}

#[test]
fn flags_win_over_environment_over_file_over_defaults() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let file = dir.path().join("sheaf.toml");
    let text = "allow_anonymous = true\n[limits]\nconnections_max = 1\nunload_idle_s = 2\n\
                header_timeout_s = 3\n";
    std::fs::write(&file, text).expect("written");
    let config = Config::load(&Sources {
        file: Some(file),
        environment: environment(&[
            ("SHEAF_LIMITS__CONNECTIONS_MAX", "10"),
            ("SHEAF_LIMITS__UNLOAD_IDLE_S", "20"),
            ("SHEAF_CONFIG", "elsewhere.toml"),
            ("PATH", "/bin"),
        ]),
        flags: vec![("limits.connections_max", Value::from(100_u32))],
    });
    let config = config.expect("all sources are right");
    assert_eq!(config.limits.connections_max, 100, "flag");
    assert_eq!(config.limits.unload_idle_s, 20, "environment");
    assert_eq!(config.limits.header_timeout_s, 3, "file");
    assert!(config.allow_anonymous, "file, outside a table");
    assert_eq!(config.limits.ping_idle_s, Limits::default().ping_idle_s, "default");
}

#[test]
fn without_any_source_it_is_loopback_on_the_port_of_y_websocket() {
    let config = Config::load(&Sources::default()).expect("defaults are right");
    let addresses: Vec<_> = config.addresses().iter().map(ToString::to_string).collect();
    assert_eq!(addresses, ["127.0.0.1:1234", "[::1]:1234"]);
    assert!(config.accept_loop().is_ipv6_optional);
}

#[test]
fn addresses_are_a_list_or_one_text() {
    let listen = |value: &str| {
        let environment = environment(&[("SHEAF_LISTEN", value)]);
        let config = Config::load(&Sources { environment, ..Sources::default() });
        config.map(|config| {
            assert!(!config.accept_loop().is_ipv6_optional);
            config.addresses().len()
        })
    };
    assert_eq!(listen("127.0.0.1:9").expect("one"), 1);
    assert_eq!(listen("127.0.0.1:9, [::1]:9").expect("two"), 2);
    assert_eq!(listen(r#"["127.0.0.1:9", "[::1]:9"]"#).expect("a list"), 2);
    let error = listen("localhost").expect_err("no address").to_string();
    assert!(error.contains("127.0.0.1:1234"), "{error}");
    assert!(from_file("listen = [\"127.0.0.1:9\"]").is_ok());
}

#[test]
fn a_key_that_does_not_exist_is_named_with_its_file() {
    let error = mistake("lisen = \"127.0.0.1:1\"");
    assert!(error.contains("lisen") && error.contains("sheaf.toml"), "{error}");
    let error = mistake("[limits]\nconections_max = 1");
    assert!(error.contains("conections_max"), "{error}");
    let environment = environment(&[("SHEAF_LIMITS__NOPE", "1")]);
    let error = Config::load(&Sources { environment, ..Sources::default() });
    assert!(error.expect_err("no such key").to_string().contains("nope"));
}

#[test]
fn a_file_that_is_missing_is_an_error() {
    let file = Some(PathBuf::from("/nowhere/sheaf.toml"));
    let error = Config::load(&Sources { file, ..Sources::default() });
    assert!(matches!(error, Err(Error::Unreadable { .. })));
}

#[test]
fn a_limit_that_makes_no_sense_is_refused() {
    for (line, key) in [
        ("connections_max = 0", "connections_max"),
        ("message_bytes_max = 16777217", "message_bytes_max"),
        ("pending_bytes_max = 1048576", "pending_bytes_max"),
        ("session_idle_s = 20", "session_idle_s"),
        ("documents_bytes_max = 1", "documents_bytes_max"),
    ] {
        let error = mistake(&format!("[limits]\n{line}"));
        assert!(error.contains(key) && error.contains("must be"), "{error}");
    }
}

#[test]
fn users_are_read_and_their_tokens_never_told() {
    let text = "[[users]]\nname = \"ada\"\ntoken = \"correct horse battery\"\nrole = \"read\"";
    let config = from_file(text).expect("right");
    assert_eq!(&*config.users[0].name, "ada");
    assert!(!format!("{config:?}").contains("horse"));
    let secret = "31415926535897932384";
    for wrong in [
        format!("[[users]]\nname = \"a\"\ntoken = {}\nrole = \"read\"", &secret[..15]),
        format!("[[users]]\nname = \"a\"\ntoken = \"x\"\nrole = \"{secret}\""),
        format!("users = \"{secret}\""),
        format!("users = [\"{secret}\"]"),
    ] {
        let error = mistake(&wrong);
        assert!(error.contains("users") && !error.contains(&secret[..15]), "{error}");
    }
}

#[test]
fn a_data_directory_is_made_for_its_owner_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let mode =
        |path: &Path| std::fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let fresh = dir.path().join("deep/down");
    data::prepare(&fresh).expect("made");
    assert_eq!(mode(&fresh), 0o700);
    let open = dir.path().join("open");
    std::fs::create_dir(&open).expect("made");
    std::fs::set_permissions(&open, std::fs::Permissions::from_mode(0o755)).expect("ours");
    data::prepare(&open).expect("tightened");
    assert_eq!(mode(&open), 0o700);
    let file = dir.path().join("file");
    std::fs::write(&file, "").expect("written");
    let error = data::prepare(&file).expect_err("no directory").to_string();
    assert!(error.contains("--data"), "{error}");
}
