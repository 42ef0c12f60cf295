use super::*;

#[test]
fn growth_is_that_of_the_second_half() {
    let sample = |at_s: f64, mib: f64| Sample {
        at_s,
        delivered: 0,
        server_cpu_s: None,
        resident_bytes: Some((mib * f64::from(1 << 20)) as u64),
        rig_cpu_s: 0.0,
    };
    // 5 MiB at once at the start, then 36 MiB an hour.
    let series: Vec<Sample> =
        (0..20).map(|at| sample(f64::from(at) * 10.0, 5.0 + f64::from(at.max(10)) * 0.1)).collect();
    let series: Vec<&Sample> = series.iter().collect();
    let slope = growth_mib_per_h(&series).unwrap();
    assert!((35.9..36.1).contains(&slope), "{slope}");
    assert_eq!(growth_mib_per_h(&[]), None);
}
