//! Whether everybody saw everything that the others typed.

use std::rc::Rc;

use super::Document;
use crate::bot::replica::rebuild;
use crate::flow::checks::Tally;
use crate::outcome::Check;
use crate::target::Target;

/// All checks of people who have stopped typing.
pub(crate) async fn checks(target: &Target, documents: &[Rc<Document>]) -> Vec<Check> {
    let mut tally = Tally::default();
    for document in documents {
        for (reader, person) in document.people.iter().enumerate() {
            for (author, seen) in person.seen.borrow().iter().enumerate() {
                if author != reader {
                    let keys = document.people[author].log.borrow().sent();
                    tally.count(keys, seen);
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
                tally.compare(Some(read) == expected);
                continue;
            }
            let received = person.received.borrow();
            let held = received.iter().flatten().chain(log.updates.iter().flatten());
            tally.compare(rebuild(held) == expected);
        }
        if !target.is_floor {
            tally.newcomers.ask(target, &document.room, expected.as_deref()).await;
        }
    }
    let failures = documents.first().map_or(0, |document| document.load.failures().len());
    tally.checks(failures, target)
}
