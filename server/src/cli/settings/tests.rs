//! Flags become configuration.

use clap::Parser;

use super::*;

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    settings: Settings,
}

fn flags(line: &str) -> Vec<(&'static str, Value)> {
    let line = Line::try_parse_from(format!("sheaf {line}").split_whitespace());
    line.unwrap_or_else(|error| panic!("{error}")).settings.flags()
}

#[test]
fn flags_reach_the_configuration() {
    let flags = flags(
        "--listen 127.0.0.1:9 --listen [::1]:9 --data /tmp/x --allow-anonymous --log debug \
         --log-format json",
    );
    let config = Config::load(&Sources { flags, ..Sources::default() }).expect("right");
    assert_eq!(config.addresses().len(), 2);
    assert_eq!(config.data_dir().expect("given"), PathBuf::from("/tmp/x"));
    assert!(config.allow_anonymous);
    assert_eq!((&*config.log.level, config.log.format), ("debug", LogFormat::Json));
}

#[test]
fn a_flag_that_is_not_given_leaves_the_other_sources_alone() {
    assert!(flags("").is_empty());
}
