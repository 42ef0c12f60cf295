use super::*;

#[test]
fn only_what_was_due_after_the_warm_up_is_measured() {
    let load = Load::new(Span { warm_up: 1.0, seconds: 2.0 });
    for (due_us, now_us) in [(999_999, 1_100_000), (1_000_000, 1_000_500), (3_000_000, 3_000_001)] {
        load.delivered(due_us, now_us);
    }
    assert_eq!(load.deliveries(), 3);
    let latency = load.latency().unwrap();
    assert_eq!((latency.p50_us, latency.max_us), (500, 500));
    assert!(load.is_over_at(3_000_000) && !load.is_over_at(2_999_999));
}

#[test]
fn a_span_that_is_no_time_is_refused() {
    assert!(Span { warm_up: 1.0, seconds: 5.0 }.check().is_ok());
    assert!(Span { warm_up: 0.0, seconds: 0.0 }.check().is_err());
    assert!(Span { warm_up: -1.0, seconds: 1.0 }.check().is_err());
    assert!(Span { warm_up: f64::NAN, seconds: 1.0 }.check().is_err());
}

#[test]
fn what_two_processes_saw_is_added_up() {
    let [one, two] = [(); 2].map(|()| Load::new(Span { warm_up: 0.0, seconds: 1.0 }));
    (0..10).for_each(|_| one.delivered(0, 100));
    (0..5).for_each(|_| two.delivered(0, 70_000));
    one.add(&two.latencies(), vec!["broke off".to_owned()]);
    let latency = one.latency().unwrap();
    assert_eq!(latency.p50_us, 100);
    assert!((69_900..70_100).contains(&latency.p99_us), "{latency:?}");
    assert_eq!(one.failures(), ["broke off"]);
}
