//! Thinning on a real store: what stays is read as it was.

use std::collections::BTreeMap;

use sheaf_protocol::ids::Principal;
use tokio_util::sync::CancellationToken;

use super::keep::Config;
use crate::document::author::Author;
use crate::document::tests::run;
use crate::vault::tests::{World, check, home};
use crate::vault::upload::{Upcoming, Upload};
use crate::vault::versions::Held;

const NOBODY: Principal = Principal::Anonymous;
const BY: Author<'_> = Author::of(&NOBODY);

#[test]
fn what_thinning_leaves_is_read_as_it_was_and_the_rest_is_gone() {
    run(async {
        let (mut world, hand) = World::at(100 * 86_400_000);
        let mut texts = BTreeMap::new();
        let vaults = world.vaults.clone();
        for round in 0..200u64 {
            let text = format!("{}\nround {round}\n", "line\n".repeat(round as usize % 7));
            let upload = Upload::of(Upcoming::Text(&text));
            let seq = vaults.upload(&home(), "a.md", BY, upload).await.unwrap().version;
            texts.insert(seq, text);
            // A version every ten minutes: 33 hours.
            hand.advance(std::time::Duration::from_secs(600));
        }
        let named = *texts.keys().nth(3).unwrap();
        vaults.label(&home(), "a.md", Some(named), (Some("draft"), &NOBODY)).await.unwrap();
        world.checkpoint("a.md").await;
        drop(vaults);
        world = world.restart();
        let vaults = &world.vaults;
        let stopping = CancellationToken::new();
        // Nobody writes any more, and it goes on being thinned.
        for (days, left) in [(0, 140..160), (30, 3..5), (100, 2..3)] {
            hand.advance(std::time::Duration::from_secs(days * 86_400));
            while vaults.thin(&stopping).await > 0 {}
            let page = vaults.versions(&home(), "a.md", None, 1_000).unwrap();
            assert!(left.contains(&page.items.len()), "{days}: {} are left", page.items.len());
            let kept: Vec<u64> = page.items.iter().map(|it| it.version.item.seq).collect();
            assert!(kept.contains(&named) && kept.contains(texts.keys().last().unwrap()));
            for (seq, text) in &texts {
                let read = vaults.read_at(&home(), "a.md", Some(*seq)).await;
                if kept.contains(seq) {
                    assert_eq!(read.unwrap().held, Held::Text(text.clone()), "version {seq}");
                } else {
                    let error = read.unwrap_err();
                    assert!(matches!(error, crate::vault::Error::NoVersion { .. }), "{error:?}");
                }
            }
        }
        assert_eq!(Config::default().all_hours, 24);
        let dir = world.close();
        check(dir.path());
    });
}
