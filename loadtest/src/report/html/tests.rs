use super::*;
use crate::compare::summary::tests::outcome;
use crate::outcome::Check;

fn machine() -> Machine {
    Machine {
        date: "2026-11-22".to_owned(),
        cpu: "A <quick> one".to_owned(),
        cores: 2,
        kernel: "Linux 6".to_owned(),
    }
}

#[test]
fn names_from_outside_stay_text() {
    assert_eq!(escape("a<b> & \"c\" 'd'"), "a&lt;b&gt; &amp; &quot;c&quot; &#39;d&#39;");
    let mut run = outcome("<script>alert(1)</script>", 1, 0.3);
    run.load = "1 & 2".to_owned();
    run.checks.push(Check::new("<b>", false, "\"x\""));
    run.warnings.push("<i>".to_owned());
    let page = page(&[run], &machine());
    assert!(!page.contains("<script>"), "{page}");
    assert!(page.contains("1 &amp; 2") && page.contains("A &lt;quick&gt; one"), "{page}");
    assert!(page.contains("&lt;b&gt;: &quot;x&quot;") && page.contains("&lt;i&gt;"), "{page}");
}

#[test]
fn the_page_needs_nothing_from_elsewhere() {
    let mut runs = vec![outcome("sheaf", 1, 0.3), outcome("floor", 1, 0.4), outcome("x", 1, 2.0)];
    for run in &mut runs {
        let sample = |at: u32| Sample {
            at_s: f64::from(at) / 10.0,
            delivered: u64::from(at) * 100,
            server_cpu_s: Some(0.1),
            resident_bytes: Some(5 << 20),
            rig_cpu_s: 0.1,
        };
        run.series = (0..50).map(sample).collect();
    }
    let page = page(&runs, &machine());
    for outside in ["http:", "https:", "src=", "href=", "@import", "url("] {
        assert!(!page.contains(outside), "{outside}");
    }
    // Bars for the CPU and two latencies, curves for latency, rate and memory.
    assert_eq!(page.matches("<svg").count(), 6);
    assert_eq!(page.matches("<polyline class=\"line floor\"").count(), 3);
    assert!(page.contains("0.750×"), "the ratio is missing");
}

#[test]
fn a_run_that_failed_has_a_page() {
    let mut run = outcome("sheaf", 1, 0.3);
    (run.figures, run.latency) = (Vec::new(), None);
    assert!(page(&[run], &machine()).contains("All checks passed"));
}
