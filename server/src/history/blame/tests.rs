use sheaf_protocol::ids::Principal;

use crate::document::author::Author;
use crate::document::tests::run;
use crate::vault::tests::{World, home};
use crate::vault::upload::{Upcoming, Upload};

fn who(name: &str) -> Principal {
    match name {
        "" => Principal::Anonymous,
        name => Principal::Named(name.into()),
    }
}

async fn put(world: &World, name: &str, text: &str) {
    let principal = who(name);
    let by = Author::of(&principal);
    let content = Upcoming::Text(text);
    let upload = Upload::of(content);
    world.vaults.upload(&home(), "a.md", by, upload).await.unwrap();
}

async fn pieces(world: &World) -> Vec<(String, String, Option<u64>)> {
    let (_, pieces) = world.vaults.blame(&home(), "a.md").await.unwrap();
    let shown =
        |it: super::Piece| (it.text, it.author.as_deref().unwrap_or("").to_owned(), it.minute);
    pieces.into_iter().map(shown).collect()
}

fn piece(text: &str, name: &str, minute: u64) -> (String, String, Option<u64>) {
    (text.to_owned(), name.to_owned(), Some(minute))
}

#[test]
fn every_piece_has_its_author_and_minute_over_checkpoints_restarts_and_thinning() {
    run(async {
        let (mut world, hand) = World::at(60_000 * 1_000);
        let minute = std::time::Duration::from_secs(60);
        put(&world, "ann", "The fox jumps.\n").await;
        hand.advance(minute);
        put(&world, "bob", "The red 🦊 fox jumps.\n").await;
        hand.advance(minute);
        world.checkpoint("a.md").await;
        put(&world, "", "The red 🦊 fox jumps.\nAnd runs.\n").await;
        let due = [
            piece("The ", "ann", 1_000),
            piece("red 🦊 ", "bob", 1_001),
            piece("fox jumps.\n", "ann", 1_000),
            piece("And runs.\n", "", 1_002),
        ];
        assert_eq!(pieces(&world).await, due);
        world.checkpoint("a.md").await;
        world = world.restart();
        assert_eq!(pieces(&world).await, due);
        hand.advance(minute * 60 * 24 * 100);
        put(&world, "eve", "The red 🦊 fox jumps.\nAnd runs.\nEnd").await;
        world.checkpoint("a.md").await;
        world = world.restart();
        assert!(world.vaults.thin(&tokio_util::sync::CancellationToken::new()).await > 0);
        let found = pieces(&world).await;
        assert_eq!(found[..4], due);
        assert_eq!((&*found[4].0, &*found[4].1), ("End", "eve"));
    });
}
