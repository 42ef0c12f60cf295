//! Presence follows clocks, and a contested replica speaks up.

use serde_json::json;
use sheaf_protocol::scan;

use super::*;

fn said(entries: &[(u64, u64, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    varint::write_uint(&mut out, entries.len() as u64);
    for (client, clock, state) in entries {
        varint::write_uint(&mut out, *client);
        varint::write_uint(&mut out, *clock);
        varint::write_text(&mut out, state);
    }
    out
}

fn hear(presence: &mut Presence, entries: &[(u64, u64, &str)]) -> (bool, bool) {
    let bytes = said(entries);
    presence.apply(&scan::awareness(&bytes).unwrap(), Instant::now())
}

#[tokio::test]
async fn a_newer_clock_replaces_and_an_older_one_is_ignored() {
    let mut presence = Presence::new(1, None);
    assert_eq!(hear(&mut presence, &[(2, 5, r#"{"name":"a"}"#)]), (true, false));
    assert_eq!(hear(&mut presence, &[(2, 4, r#"{"name":"b"}"#)]), (false, false));
    assert_eq!(presence.states()[&2], json!({"name": "a"}));
    assert_eq!(hear(&mut presence, &[(2, 5, "null")]), (true, false));
    assert!(presence.states().is_empty());
    assert_eq!(hear(&mut presence, &[(2, 5, r#"{"name":"a"}"#)]), (false, false));
}

#[tokio::test]
async fn states_come_back_with_an_equal_clock_after_a_reconnect() {
    let mut presence = Presence::new(1, None);
    hear(&mut presence, &[(2, 5, "{}")]);
    assert!(presence.forget_others());
    assert_eq!(hear(&mut presence, &[(2, 5, "{}")]), (true, false));
}

#[tokio::test]
async fn a_replica_that_is_called_gone_answers_with_a_higher_clock() {
    let mut presence = Presence::new(1, Some(json!({})));
    presence.announce();
    assert_eq!(hear(&mut presence, &[(1, 9, "null")]), (false, true));
    assert_eq!(presence.announce(), said(&[(1, 10, "{}")]));
    assert_eq!(presence.farewell(), said(&[(1, 11, "null")]));
}

#[tokio::test(start_paused = true)]
async fn a_state_that_nobody_renews_expires() {
    let mut presence = Presence::new(1, None);
    hear(&mut presence, &[(2, 1, "{}")]);
    assert!(!presence.expire(Instant::now() + STATE_AGE_MAX));
    assert!(presence.expire(Instant::now() + STATE_AGE_MAX + Duration::from_millis(1)));
    assert!(presence.states().is_empty());
}
