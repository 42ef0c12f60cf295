//! What is refused, and in which words.

use std::os::unix::fs::PermissionsExt;

use super::*;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

fn config() -> HookConfig {
    HookConfig {
        url: "https://example.org/in/s3cr3t-path?key=s3cr3t-query".to_owned(),
        secret: Some(Text(SECRET.to_owned())),
        ..HookConfig::default()
    }
}

fn mistake(change: impl FnOnce(&mut HookConfig)) -> String {
    let mut config = config();
    change(&mut config);
    let error = Hook::all(&[config]).expect_err("it is wrong").to_string();
    assert!(!error.contains("s3cr3t") && !error.contains("MfKQ9r8G"), "{error}");
    error
}

#[test]
fn what_is_absent_has_a_default() {
    let hooks = Hook::all(&[config()]).expect("right");
    assert!(hooks[0].wants_documents() && hooks[0].wants_sessions());
    assert_eq!(hooks[0].label, "https://example.org", "neither path nor query");
    assert_eq!(hooks[0].debounce, Duration::from_secs(2));
}

#[test]
fn a_webhook_that_cannot_be_is_refused_with_what_would_do() {
    let mistakes = [
        (mistake(|config| config.url = "ftp://example.org".to_owned()), "https://"),
        (mistake(|config| config.url = "example".to_owned()), "https://host/path"),
        (mistake(|config| config.url = "http://ada:s3cr3t@example.org".to_owned()), "headers"),
        (mistake(|config| config.secret = None), "secret_file"),
        (mistake(|config| config.secret_file = Some("x".into())), "one of them"),
        (mistake(|config| config.secret = Some(Text("s3cr3t".to_owned()))), "openssl"),
        (mistake(|config| config.debounce_max_ms = 1), "at least debounce_ms"),
        (mistake(|config| config.timeout_ms = 0), "timeout_ms"),
        (mistake(|config| config.parallel_max = 0), "parallel_max"),
        (mistake(|config| config.name = Some(String::new())), "name"),
    ];
    for (error, wanted) in mistakes {
        assert!(error.contains(wanted), "{error} does not say {wanted}");
    }
    for name in ["Webhook-Id", "Content-Type", "host", "bad name"] {
        let headers = [(name.to_owned(), Text("s3cr3t".to_owned()))];
        let error = mistake(|config| config.headers = headers.into());
        assert!(error.contains("header"), "{error}");
    }
    let error = Hook::all(&[config(), config()]).expect_err("twice the same").to_string();
    assert!(error.contains("name") && !error.contains("s3cr3t"), "{error}");
}

#[test]
fn a_secret_file_is_its_owners_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let path = dir.path().join("secret");
    std::fs::write(&path, format!("{SECRET}\n")).expect("written");
    let with_file = HookConfig { secret: None, secret_file: Some(path.clone()), ..config() };
    let mode = |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode));
    mode(0o644).expect("ours");
    let error = Hook::all(std::slice::from_ref(&with_file)).expect_err("readable by all");
    assert!(error.to_string().contains("chmod 600"), "{error}");
    mode(0o600).expect("ours");
    assert_eq!(Hook::all(&[with_file]).expect("right")[0].secrets.len(), 1);
}

#[test]
fn secrets_and_headers_are_never_shown() {
    let mut config = config();
    config.previous_secret = config.secret.clone();
    config.headers = [("Authorization".to_owned(), Text("Bearer s3cr3t".to_owned()))].into();
    assert!(config.has_secrets());
    let hook = Hook::all(std::slice::from_ref(&config)).expect("right");
    let shown =
        [format!("{config:?}"), format!("{hook:?}"), serde_json::to_string(&config).expect("JSON")];
    for shown in shown {
        assert!(!shown.contains("MfKQ9r8G") && !shown.contains("Bearer"), "{shown}");
    }
    assert_eq!(hook[0].secrets.len(), 2);
}
