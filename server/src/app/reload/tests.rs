//! Which keys need a restart.

use super::*;

#[test]
fn keys_that_need_a_restart_are_named() {
    let old = Config::default();
    let mut new = old.clone();
    new.allow_anonymous = true;
    new.limits.sessions_per_user_max = 1;
    new.limits.rate_requests_per_user_per_s = 1;
    new.hosts = vec!["notes.example".to_owned()];
    assert!(other_keys(&old, &new).is_empty());
    new.limits.connections_max = 1;
    new.data = Some("/elsewhere".into());
    assert_eq!(other_keys(&old, &new), ["data", "limits.connections_max"]);
}
