//! What a person sees while the load runs; on a terminal only, and on standard error.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use tokio::time::{Instant, interval};

/// Shows a bar for the time given; runs until it is dropped.
pub(crate) async fn show(name: &'static str, length: Duration) {
    let bar = ProgressBar::new(length.as_millis() as u64);
    let style = ProgressStyle::with_template("{prefix:9} {bar:40} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.set_prefix(name);
    let (start, mut tick) = (Instant::now(), interval(Duration::from_millis(100)));
    loop {
        tick.tick().await;
        let passed = start.elapsed().min(length);
        bar.set_position(passed.as_millis() as u64);
        bar.set_message(format!("{:.1} of {:.0} s", passed.as_secs_f64(), length.as_secs_f64()));
    }
}
