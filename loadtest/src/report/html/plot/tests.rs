use super::*;

fn texts(ticks: &[(f64, String)]) -> Vec<&str> {
    ticks.iter().map(|(_, text)| text.as_str()).collect()
}

#[test]
fn ticks_are_round_and_enclose_the_values() {
    let linear = Axis::linear("s").ticks([0.3, 6.1].into_iter());
    assert_eq!(texts(&linear), ["0", "2", "4", "6", "8"]);
    let many = Axis::linear("1/s").ticks([1_742_942.0].into_iter());
    assert_eq!(texts(&many), ["0", "500k", "1M", "1.5M", "2M"]);
    let log = Axis::log("ms").ticks([0.13, 14.0].into_iter());
    assert_eq!(texts(&log), ["0.1", "0.2", "0.5", "1", "2", "5", "10", "20"]);
    let wide = Axis::log("ms").ticks([0.05, 1_032.0].into_iter());
    assert_eq!(texts(&wide), ["0.01", "0.1", "1", "10", "100", "1000", "10k"]);
    let nines = Axis::percentiles().ticks([0.0, 0.9991].into_iter());
    assert_eq!(texts(&nines), ["0", "50", "90", "99", "99.9", "99.99"]);
}

#[test]
fn equal_values_still_have_an_axis() {
    for axis in [Axis::linear("s"), Axis::log("ms"), Axis::percentiles()] {
        let ticks = axis.ticks([0.0, 0.0].into_iter());
        assert!(ticks.len() > 1 && ticks[0].0 < ticks[1].0);
    }
    let one = Axis::log("ms").ticks([1.0].into_iter());
    assert_eq!(texts(&one), ["1", "2"]);
}

#[test]
fn a_line_begins_left_and_rises_upwards() {
    let mut plot = Plot::new("rising", Axis::linear("s"), Axis::linear("MiB"));
    let points = vec![(0.0, 0.0), (10.0, 10.0)];
    plot.line(Line { label: "a < b".to_owned(), class: "c0".to_owned(), points });
    let svg = plot.svg();
    assert!(svg.contains("points=\"62.0,260.0 546.0,34.0\""), "{svg}");
    assert!(svg.contains("a &lt; b"), "{svg}");
}

#[test]
fn a_point_is_no_line() {
    let mut plot = Plot::new("still", Axis::linear("s"), Axis::linear("MiB"));
    plot.line(Line { label: "a".to_owned(), class: "c0".to_owned(), points: vec![(0.0, 1.0)] });
    assert!(!plot.has_lines());
}
