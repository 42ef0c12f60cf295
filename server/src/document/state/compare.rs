//! Whether two updates say the same for the same clocks.
//!
//! Job: compare what an owner brings with what others brought in his name. Called by `state`. Never
//! counts deleted content as different: it may have been anything.

use std::ops::Range;

use sheaf_protocol::scan::{Event, Update};
use sheaf_protocol::units::{Unit, units};

/// True if a clock of `client` in `range` has other content in one update than in the other.
pub(super) fn differs(a: &Update<'_>, b: &Update<'_>, client: u64, range: Range<u32>) -> bool {
    let mut ours = at(a, client, range.clone()).peekable();
    for (clock, unit) in at(b, client, range) {
        while ours.next_if(|(own, _)| *own < clock).is_some() {}
        if let Some((_, own)) = ours.next_if(|(own, _)| *own == clock)
            && !own.is_same(&unit)
        {
            return true;
        }
    }
    false
}

/// True if `update` deletes a clock that `all` does not.
pub(super) fn lacks_deletes(all: &Update<'_>, update: &Update<'_>) -> bool {
    let deletes = |update: &Update<'_>| -> Vec<(u64, u32, u32)> {
        let ranges = update.events().filter_map(|event| match event {
            Event::Delete { client, clock, len } => Some((client, clock, clock + len)),
            _ => None,
        });
        ranges.collect()
    };
    let mut held = deletes(all);
    held.sort_unstable();
    deletes(update).into_iter().any(|(client, start, end)| {
        let mut reached = start;
        let first = held.partition_point(|range| (range.0, range.2) <= (client, start));
        for range in held[first..].iter().take_while(|range| range.0 == client) {
            if range.1 > reached || reached >= end {
                break;
            }
            reached = reached.max(range.2);
        }
        reached < end
    })
}

fn at<'a>(
    update: &Update<'a>,
    client: u64,
    range: Range<u32>,
) -> impl Iterator<Item = (u32, Unit<'a>)> {
    let blocks = update.events().filter_map(move |event| match event {
        Event::Block(block) if block.id.client == client => Some(block),
        _ => None,
    });
    blocks
        .flat_map(|block| (block.id.clock..).zip(units(&block)))
        .filter(move |(clock, _)| range.contains(clock))
}
