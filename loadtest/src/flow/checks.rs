//! Whether everything arrived as it was sent: without that the figures mean nothing.

use std::rc::Rc;

use super::{Document, Shape};
use crate::bot::account::Seen;
use crate::bot::replica::{self, rebuild};
use crate::outcome::Check;
use crate::target::Target;

/// All checks of a flow that is over.
pub(super) async fn checks(
    shape: &Shape,
    target: &Target,
    documents: &[Rc<Document>],
) -> Vec<Check> {
    let mut tally = Tally::default();
    for (number, document) in documents.iter().enumerate() {
        for account in &document.accounts {
            let account = account.borrow();
            tally.count(document.sent(), &account.seen);
        }
        let kept = document.accounts.iter().filter(|account| account.borrow().updates.is_some());
        let is_first = number == 0 && !target.is_floor;
        if !is_first && kept.clone().next().is_none() {
            continue;
        }
        let expected = rebuild(document.updates(shape.seed.as_deref()));
        for account in kept {
            let account = account.borrow();
            tally.compare(rebuild(account.updates.iter().flatten()) == expected);
        }
        if !target.is_floor {
            tally.newcomers.ask(target, &document.room, expected.as_deref()).await;
        }
    }
    let failures = documents.first().map_or(0, |document| document.load.failures().len());
    tally.checks(failures, target)
}

/// What came of a flow, over everybody in it.
#[derive(Default)]
pub(crate) struct Tally {
    sent: u64,
    lost: u64,
    repeated: u64,
    late: u64,
    rebuilt: u32,
    differing: u32,
    pub(crate) newcomers: Newcomers,
}

impl Tally {
    /// Somebody was sent so many, and saw these.
    pub(crate) fn count(&mut self, sent: u32, seen: &Seen) {
        self.sent += u64::from(sent);
        self.lost += u64::from(sent.saturating_sub(seen.received()));
        self.repeated += seen.repeated;
        self.late += seen.late;
    }

    /// A replica was rebuilt.
    pub(crate) fn compare(&mut self, is_equal: bool) {
        self.rebuilt += 1;
        self.differing += u32::from(!is_equal);
    }

    /// All checks, where so many broke off.
    pub(crate) fn checks(self, failures: usize, target: &Target) -> Vec<Check> {
        let Self { sent, lost, repeated, late, rebuilt, differing, newcomers } = self;
        vec![
            Check::new("nobody breaks off", failures == 0, format!("{failures} did")),
            Check::new("nothing lost", lost == 0, format!("{lost} of {sent} lost")),
            Check::new("in order", late == 0, format!("{late} came after a later one")),
            // Harmless to a replica, but work for it.
            Check::new("repeats", true, format!("{repeated} came twice")),
            Check::new(
                "replicas equal",
                differing == 0,
                format!("{differing} of {rebuilt} differ"),
            ),
            newcomers.check(target),
        ]
    }
}

/// Clients that join when all is over.
#[derive(Default)]
pub(crate) struct Newcomers {
    asked: u32,
    /// Were shown nothing or less at first, and everything a little later.
    late: u32,
    failures: Vec<String>,
}

impl Newcomers {
    /// Joins and compares.
    pub(crate) async fn ask(&mut self, target: &Target, room: &str, expected: Option<&str>) {
        self.asked += 1;
        match replica::join(target, room, |text| Some(text) == expected).await {
            Ok(shown) if shown.first.as_deref() == expected => {}
            Ok(shown) if shown.later.as_deref() == expected => self.late += 1,
            Ok(_) => self.failures.push("differs".to_owned()),
            Err(reason) => self.failures.push(format!("{reason:#}")),
        }
    }

    /// What came of it.
    pub(crate) fn check(self, target: &Target) -> Check {
        let is_passed = self.failures.is_empty();
        let note = match self.failures.first() {
            _ if target.is_floor => "not asked of a relay".to_owned(),
            Some(first) => format!("{} of {}: {first}", self.failures.len(), self.asked),
            None if self.late > 0 => format!("equal, {} of {} late", self.late, self.asked),
            None => "equal".to_owned(),
        };
        Check::new("newcomer equal", is_passed, note)
    }
}
