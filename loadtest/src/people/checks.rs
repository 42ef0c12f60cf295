//! Whether everybody saw everything that the others typed.

use std::rc::Rc;

use super::Document;
use crate::bot::replica::rebuild;
use crate::flow::checks::Newcomers;
use crate::outcome::Check;
use crate::target::Target;

/// All checks of people who have stopped typing.
pub(crate) async fn checks(target: &Target, documents: &[Rc<Document>]) -> Vec<Check> {
    let (mut sent, mut lost, mut repeated, mut late) = (0, 0, 0, 0);
    let (mut rebuilt, mut differing) = (0, 0);
    let mut newcomers = Newcomers::default();
    for document in documents {
        for (reader, person) in document.people.iter().enumerate() {
            for (author, seen) in person.seen.borrow().iter().enumerate() {
                if author != reader {
                    let keys = document.people[author].log.borrow().sent();
                    sent += u64::from(keys);
                    lost += u64::from(keys.saturating_sub(seen.received()));
                    repeated += seen.repeated;
                    late += seen.late;
                }
            }
        }
        let logs: Vec<_> = document.people.iter().map(|person| person.log.borrow()).collect();
        let all: Vec<_> = logs.iter().filter_map(|log| log.updates.as_ref()).flatten().collect();
        if all.is_empty() {
            continue;
        }
        let expected = rebuild(all);
        for (person, log) in document.people.iter().zip(&logs) {
            if let Some(read) = person.hand.borrow().read() {
                rebuilt += 1;
                differing += u32::from(Some(read) != expected);
                continue;
            }
            let received = person.received.borrow();
            let held = received.iter().flatten().chain(log.updates.iter().flatten());
            rebuilt += 1;
            differing += u32::from(rebuild(held) != expected);
        }
        if !target.is_floor {
            newcomers.ask(target, &document.room, expected.as_deref()).await;
        }
    }
    let failures = documents.first().map_or(0, |document| document.load.failures().len());
    vec![
        Check::new("nobody breaks off", failures == 0, format!("{failures} did")),
        Check::new("nothing lost", lost == 0, format!("{lost} of {sent} lost")),
        Check::new("in order", late == 0, format!("{late} came after a later one")),
        // Harmless to a replica, but work for it.
        Check::new("repeats", true, format!("{repeated} came twice")),
        Check::new("replicas equal", differing == 0, format!("{differing} of {rebuilt} differ")),
        newcomers.check(target),
    ]
}
