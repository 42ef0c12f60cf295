//! What is worth a warning, and that the defaults are not.

use super::*;

fn keys(change: impl FnOnce(&mut Config), machine: Machine) -> Vec<&'static str> {
    let mut config = Config::default();
    change(&mut config);
    risks(&config, machine).into_iter().map(|risk| risk.key).collect()
}

#[test]
fn the_defaults_carry_no_risk() {
    let big = Machine { memory_bytes: Some(8 << 30), descriptors_max: Some(1 << 20) };
    assert_eq!(keys(|_| {}, big), Vec::<&str>::new());
    assert_eq!(keys(|_| {}, Machine::default()), Vec::<&str>::new());
}

#[test]
fn what_may_hurt_is_named_by_its_key() {
    let none = Machine::default();
    let open = |config: &mut Config| {
        config.allow_anonymous = true;
        config.listen = Some(vec!["0.0.0.0:1234".parse().expect("an address")]);
    };
    assert_eq!(keys(open, none), ["allow_anonymous", "tls"]);
    assert_eq!(keys(|config| config.data = Some("/tmp/sheaf".into()), none), ["data"]);
    assert_eq!(
        keys(|config| config.log.level = "info,sheaf_server=debug".into(), none),
        ["log.level"]
    );
    assert_eq!(keys(|config| config.limits.stop_timeout_s = 60, none), ["limits.stop_timeout_s"]);
    let small = Machine { memory_bytes: Some(256 << 20), descriptors_max: Some(1024) };
    assert_eq!(keys(|_| {}, small), ["limits.documents_bytes_max", "limits.connections_max"]);
}
