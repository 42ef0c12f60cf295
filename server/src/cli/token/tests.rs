//! What `sheaf token` prints is what the configuration takes.

use super::*;
use crate::auth::users::UserConfig;

#[test]
fn the_lines_of_a_new_token_are_a_configuration() {
    #[derive(serde::Deserialize)]
    struct Lines {
        users: Vec<UserConfig>,
    }
    let token = fresh();
    assert_eq!(token.len(), 43);
    assert_ne!(token, fresh());
    let text = lines("a \"name\"", "admin", &TokenHash::of(&token)).expect("a role");
    let lines: Lines = toml::from_str(&text).expect("TOML");
    assert_eq!(&*lines.users[0].name, "a \"name\"");
    assert_eq!(lines.users[0].token_hash.all()[0].text(), TokenHash::of(&token).text());
    assert!(!text.contains(&token));
}

#[test]
fn a_connection_string_is_what_the_sdk_takes() {
    let string = |server: &str| connection_string("T0k-en_", &server.parse().expect("an address"));
    assert_eq!(string("http://127.0.0.1:1234"), "ys://T0k-en_@127.0.0.1:1234");
    assert_eq!(string("https://a.example/sync/"), "yss://T0k-en_@a.example/sync");
}

#[test]
fn a_role_that_is_none_is_refused() {
    assert!(lines("me", "root", &TokenHash::of("0123456789abcdef")).is_err());
}
