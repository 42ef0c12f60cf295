use super::*;
use crate::bot::dialect::Heard;
use crate::bot::{self, Bot};
use crate::outcome::Dialect;
use crate::target::Target;

/// A relay among these tasks, as a server to connect to.
pub(crate) fn start(tasks: &mut JoinSet<()>, faults: Faults) -> Target {
    let plan = Plan { listen: "127.0.0.1:0".parse().unwrap(), faults };
    let floor = Floor::bind(&plan).unwrap();
    let url = format!("ws://{}", floor.address().unwrap());
    tasks.spawn_local(async { floor.run().await.unwrap() });
    let mut target = Target::attached(&url, None, Dialect::YWebsocket);
    target.is_floor = true;
    target
}

async fn next_update(bot: &mut Bot) -> Vec<u8> {
    let mut update = Vec::new();
    while update.is_empty() {
        bot.listen(|heard| {
            if let Heard::Update(bytes) = heard {
                update.extend_from_slice(bytes);
            }
        })
        .await
        .unwrap();
    }
    update
}

/// Runs on one thread, as the rig does.
pub(crate) fn test(scenario: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, scenario);
}

#[test]
fn the_first_update_of_one_alone_is_what_others_get() {
    test(async {
        let mut tasks = JoinSet::new();
        let target = start(&mut tasks, Faults::default());
        let mut writer = bot::connect(&target, "a").await.unwrap();
        assert_eq!(writer.synced().await.unwrap(), [0, 0]);
        for update in [[1, 2, 3], [4, 5, 6]] {
            writer.send_update(&update).await.unwrap();
        }
        writer.push_question();
        writer.flush().await.unwrap();
        assert_eq!(writer.synced().await.unwrap(), [1, 2, 3]);
        let mut reader = bot::connect(&target, "a").await.unwrap();
        assert_eq!(reader.synced().await.unwrap(), [1, 2, 3]);
        let mut elsewhere = bot::connect(&target, "b").await.unwrap();
        assert_eq!(elsewhere.synced().await.unwrap(), [0, 0]);
    });
}

#[test]
fn everybody_else_in_the_room_is_told_and_nobody_is_echoed() {
    test(async {
        let mut tasks = JoinSet::new();
        let target = start(&mut tasks, Faults::default());
        let mut bots = Vec::new();
        for room in ["a", "a", "b", "a"] {
            let mut bot = bot::connect(&target, room).await.unwrap();
            bot.synced().await.unwrap();
            bots.push(bot);
        }
        bots[0].send_update(&[7, 7]).await.unwrap();
        assert_eq!(next_update(&mut bots[1]).await, [7, 7]);
        assert_eq!(next_update(&mut bots[3]).await, [7, 7]);
        // What the others said comes first to those who were not told.
        bots[1].send_update(&[8]).await.unwrap();
        assert_eq!(next_update(&mut bots[0]).await, [8]);
        let mut other = bot::connect(&target, "b").await.unwrap();
        other.send_update(&[9]).await.unwrap();
        assert_eq!(next_update(&mut bots[2]).await, [9]);
        // The two came together, so no seed was remembered.
        let mut late = bot::connect(&target, "a").await.unwrap();
        assert_eq!(late.synced().await.unwrap(), [0, 0]);
    });
}
