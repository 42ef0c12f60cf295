use super::*;

#[test]
fn a_process_starts_on_the_servers_core_and_the_rig_stays_on_its_own() {
    let all = sched_getaffinity(THIS).unwrap();
    let mut ours = (0..CpuSet::count()).filter(|core| all.is_set(*core).unwrap());
    let first = ours.next().unwrap();
    let last = ours.next_back().unwrap_or(first);
    let cores = Cores::new(Some(first), Some(last)).unwrap();
    let on_server = cores.started(|| Ok(sched_getaffinity(THIS))).unwrap().unwrap();
    let on_rig = sched_getaffinity(THIS).unwrap();
    let only = |set: &CpuSet| {
        let mut cores = (0..CpuSet::count()).filter(|core| set.is_set(*core).unwrap());
        (cores.next(), cores.next())
    };
    assert_eq!(only(&on_server), (Some(first), None));
    assert_eq!(only(&on_rig), (Some(last), None));
}

#[test]
fn a_core_that_is_not_there_is_refused() {
    let reason = Cores::new(Some(CpuSet::count() - 1), None).unwrap_err().to_string();
    assert!(reason.contains("is not among those"), "{reason}");
}
