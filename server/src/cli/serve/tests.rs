//! Flags become configuration, and `--help` tells every key with its default.

use clap::Parser;
use serde_json::Value as Json;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    serve: Arguments,
}

fn config(line: &str) -> Config {
    let line = Line::try_parse_from(format!("sheaf {line}").split_whitespace());
    let flags = line.unwrap_or_else(|error| panic!("{error}")).serve.flags();
    Config::load(&Sources { flags, ..Sources::default() }).expect("right")
}

#[test]
fn flags_reach_the_configuration() {
    let config = config(
        "--listen 127.0.0.1:9 --listen [::1]:9 --data /tmp/x --allow-anonymous --log debug \
         --log-format json",
    );
    assert_eq!(config.addresses().len(), 2);
    assert_eq!(config.data_dir().expect("given"), PathBuf::from("/tmp/x"));
    assert!(config.allow_anonymous);
    assert_eq!((&*config.log.level, config.log.format), ("debug", LogFormat::Json));
}

#[test]
fn a_flag_that_is_not_given_leaves_the_other_sources_alone() {
    let line = Line::try_parse_from(["sheaf"]).expect("no flag is needed");
    assert!(line.serve.flags().is_empty());
}

#[test]
fn the_help_tells_every_key_with_its_default() {
    fn check(prefix: &str, keys: &serde_json::Map<String, Json>) {
        for (key, value) in keys {
            let key = format!("{prefix}{key}");
            if let Json::Object(keys) = value {
                check(&format!("{key}."), keys);
                continue;
            }
            let told = KEYS.lines().find(|line| line.trim_start().starts_with(&format!("{key} ")));
            let told = told.unwrap_or_else(|| panic!("--help does not tell {key}"));
            let default = match value {
                Json::String(text) => format!("[{text}]"),
                Json::Number(_) | Json::Bool(_) => format!("[{value}]"),
                _ => continue,
            };
            assert!(told.ends_with(&default), "{told} does not end in {default}");
        }
    }
    let defaults = serde_json::to_value(Config::default()).expect("plain data");
    check("", defaults.as_object().expect("a table"));
}
