//! The smallest host of yrs-warp, after its own example: a document and a broadcast group a room,
//! kept in memory for as long as the process lives. `yrs-warp-host PORT [BROADCAST_CAPACITY]`

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::StreamExt;
use tokio::sync::Mutex;
use warp::path::FullPath;
use warp::ws::{WebSocket, Ws};
use warp::Filter;
use yrs::sync::Awareness;
use yrs::Doc;
use yrs_warp::broadcast::BroadcastGroup;
use yrs_warp::ws::{WarpSink, WarpStream};

/// As in the example. A reader that falls this many updates behind loses its feed for good.
const BROADCAST_CAPACITY: usize = 32;

type Rooms = Arc<Mutex<HashMap<String, Arc<BroadcastGroup>>>>;

// One thread, as the other servers are measured; more only add switches on one core.
#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.peek().is_some_and(|argument| argument == "--version") {
        println!("{}, yrs 0.24", env!("CARGO_PKG_VERSION"));
        return;
    }
    let port = arguments.next().and_then(|port| port.parse().ok()).expect("a port");
    let capacity = arguments.next().map(|given| given.parse().expect("a count"));
    let capacity = capacity.unwrap_or(BROADCAST_CAPACITY);
    let rooms = Rooms::default();
    let routes = warp::path::full().and(warp::ws()).map(move |path: FullPath, ws: Ws| {
        let rooms = rooms.clone();
        ws.on_upgrade(move |socket| async move {
            let room = room(&rooms, path.as_str(), capacity).await;
            serve(socket, &room).await;
        })
    });
    warp::serve(routes).run(([127, 0, 0, 1], port)).await;
}

async fn room(rooms: &Rooms, name: &str, capacity: usize) -> Arc<BroadcastGroup> {
    let mut rooms = rooms.lock().await;
    if let Some(room) = rooms.get(name) {
        return room.clone();
    }
    let awareness = Arc::new(Awareness::new(Doc::new()));
    let room = Arc::new(BroadcastGroup::new(awareness, capacity).await);
    rooms.insert(name.to_owned(), room.clone());
    room
}

async fn serve(socket: WebSocket, room: &BroadcastGroup) {
    let (sink, stream) = socket.split();
    let sink = Arc::new(Mutex::new(WarpSink::from(sink)));
    let subscription = room.subscribe(sink, WarpStream::from(stream));
    // It ends when either side does; there is nothing to clean up.
    let _ = subscription.completed().await;
}
