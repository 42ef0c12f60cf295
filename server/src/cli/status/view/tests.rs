//! Figures in words, and the view on a terminal that is not there.

use ratatui::Terminal;
use ratatui::backend::TestBackend;

use super::*;
use crate::http::status::About;
use crate::metrics::Metrics;
use sheaf_ground::time::Clock;

fn status(uptime_ms: u64, updates: u64) -> Status {
    let (clock, _hand) = Clock::test(1_000);
    let dir = tempfile::tempdir().expect("a temporary directory");
    let about = About::new(&clock, dir.path(), 512 << 20);
    let mut status = Status::now(&about, &Metrics::new(), None);
    status.uptime_ms = uptime_ms;
    status.traffic.updates_total = updates;
    status
}

#[test]
fn rates_are_what_came_between_two_looks() {
    let rates = Rates::between(&status(1_000, 100), &status(3_000, 500)).expect("time passed");
    assert_eq!(rates.updates, 200);
    let mut restarted = status(500, 3);
    restarted.started_ms += 1;
    assert_eq!(Rates::between(&status(1_000, 100), &restarted), None);
    assert_eq!(Rates::between(&status(1_000, 100), &status(1_000, 100)), None, "no time passed");
}

#[test]
fn sizes_and_times_are_told_in_their_units() {
    assert_eq!(
        (size(0), size(1023), size(1536)),
        ("0 B".into(), "1023 B".into(), "1.5 KiB".into())
    );
    assert_eq!(size(512 << 20), "512.0 MiB");
    assert_eq!(size(u64::MAX), "16777216.0 TiB");
    assert_eq!((duration(59), duration(90_000)), ("59 s".into(), "1 d 1 h".into()));
    assert_eq!((grouped(7), grouped(1_234_567)), ("7".into(), "1,234,567".into()));
}

#[test]
fn the_view_shows_figures_and_what_is_wrong() {
    let mut view = View::new("http://127.0.0.1:1234", status(1_000, 100));
    view.show(status(2_000, 400));
    let shown = |view: &View| {
        let mut terminal = Terminal::new(TestBackend::new(100, 30)).expect("a terminal in memory");
        terminal.draw(|frame| view.draw(frame)).expect("drawn");
        terminal.backend().to_string()
    };
    let text = shown(&view);
    assert!(text.contains("ready, version") && text.contains("300/s"), "{text}");
    let mut broken = status(3_000, 400);
    (broken.ready, broken.not_ready) = (false, Some("the disk is full".to_owned()));
    view.show(broken);
    assert!(shown(&view).contains("NOT READY: the disk is full"));
    view.lose(&Error::Unreachable { server: "here".into(), why: "it is gone".into() });
    assert!(shown(&view).contains("no answer from here: it is gone"));
}

#[test]
fn a_small_terminal_breaks_nothing() {
    let view = View::new("http://127.0.0.1:1234", status(1_000, 100));
    for (width, height) in [(1, 1), (10, 3), (200, 5)] {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| view.draw(frame)).expect("drawn");
    }
}
