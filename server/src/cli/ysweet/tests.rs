//! What the flags come to.

use clap::Parser;

use super::*;
use crate::config::Config;

#[derive(Parser)]
struct Line {
    #[command(subcommand)]
    command: Command,
}

fn config(arguments: &[&str]) -> Result<Config, WrongUse> {
    let line = Line::try_parse_from(["ysweet", "serve"].iter().chain(arguments)).expect("right");
    let Command::Serve(flags) = line.command else { panic!("another command") };
    let sources = Sources { environment: Vec::new(), ..flags.sources()? };
    Ok(Config::load(&sources).expect("a configuration"))
}

#[test]
fn the_flags_of_their_server_are_a_configuration_of_this_one() {
    let plain = config(&["--prod", "kept"]).expect("right");
    assert_eq!(plain.addresses()[0].to_string(), "127.0.0.1:8080");
    assert_eq!(plain.data_dir().expect("given").to_str(), Some("kept"));
    assert!(plain.users.is_empty() && !plain.allow_anonymous && plain.public_url.is_none());

    let key = "k".repeat(43);
    let prefix = ["--url-prefix", "https://a.example/sync/"];
    let flags = ["--host", "0.0.0.0", "--port", "9", "--auth", &key, "kept"];
    let full = config(&[&flags[..], &prefix].concat()).expect("right");
    assert_eq!(full.addresses()[0].to_string(), "0.0.0.0:9");
    assert_eq!(full.public_url.map(|base| base.http()).as_deref(), Some("https://a.example/sync"));
    let hash = &full.users[0].token_hash.all()[0];
    assert_eq!(hash.text(), TokenHash::of(&server_token(&key)).text());
    assert!(!full.users[0].is_plain());
}

#[test]
fn a_bucket_and_a_key_that_can_be_guessed_are_refused() {
    assert!(config(&["s3://bucket/prefix"]).is_err());
    assert!(config(&["--auth", "short", "kept"]).is_err());
}

#[test]
fn a_key_has_one_token_and_does_not_show_in_it() {
    let (one, other) = (server_token(&"a".repeat(43)), server_token(&"b".repeat(43)));
    assert_eq!(one, server_token(&"a".repeat(43)));
    assert_ne!(one, other);
    assert_eq!(one.len(), 43);
}
