use super::*;

fn load(readers: u32, window: u32) -> Load {
    Load::new(Shape { readers, window, rate: None, warm_up_s: 1.0, measured_s: 2.0 })
}

fn token(number: u32) -> Token {
    Token { number, due_us: 0 }
}

#[tokio::test]
async fn an_update_is_closed_when_every_reader_has_it() {
    let load = load(2, 3);
    assert_eq!(load.take_window().await, 3);
    (0..3).for_each(|_| load.sent());
    load.delivered(token(0));
    load.delivered(token(1));
    load.delivered(token(1));
    assert!(!load.is_settled());
    load.delivered(token(0));
    // Both together: the second waited for the first.
    assert_eq!(load.take_window().await, 2);
    load.delivered(token(2));
    load.delivered(token(2));
    assert!(load.is_settled());
    assert_eq!(load.deliveries(), 6);
}

#[tokio::test]
async fn only_what_was_due_after_the_warm_up_is_measured() {
    let load = load(1, 1);
    assert!(!load.is_measured(999_999));
    assert!(load.is_measured(1_000_000));
    assert!(load.is_measured(2_999_999));
    assert!(!load.is_measured(3_000_000));
}
