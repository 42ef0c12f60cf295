//! Every session is woken once in a tick, and all of them at the end.

use std::task::{Context, Poll};

use futures::FutureExt;
use futures::task::noop_waker;
use tokio::net::UnixStream;

use super::*;
use crate::relay::dialect::ywebsocket::YWebsocket;
use crate::relay::stream::Stream;

static DIALECT: YWebsocket = YWebsocket;

fn outbound() -> Arc<Outbound> {
    let (near, _) = UnixStream::pair().expect("a pair");
    Arc::new(Outbound::new(Stream::Unix(near), &DIALECT, Arc::default()))
}

#[tokio::test]
async fn every_session_has_one_beat_in_a_tick_and_they_are_spread() {
    let (clock, hand) = Clock::test(0);
    let pulse = Arc::new(Pulse::default());
    let all: Vec<_> = (0..100).map(|_| outbound()).collect();
    let places: Vec<_> = all.iter().map(|out| pulse.enter(Arc::clone(out))).collect();
    let stop = CancellationToken::new();
    let mut beating = Arc::clone(&pulse).run(clock, stop.clone()).boxed();
    let waker = noop_waker();
    let mut cx = Context::from_waker(&waker);
    assert!(beating.poll_unpin(&mut cx).is_pending());
    let mut beats = vec![0; all.len()];
    for _ in 0..PARTS {
        hand.advance(TICK / PARTS as u32);
        assert!(beating.poll_unpin(&mut cx).is_pending());
        let due: Vec<_> = (0..all.len()).filter(|at| all[*at].take_beat()).collect();
        assert!(due.len() <= all.len() / PARTS + 1, "{} at once", due.len());
        due.iter().for_each(|at| beats[*at] += 1);
    }
    assert!(beats.iter().all(|beats| *beats == 1));

    places.into_iter().for_each(|place| pulse.leave(place));
    assert!(pulse.sessions.lock().capacity() < all.len(), "the memory is given back");
    stop.cancel();
    assert_eq!(beating.poll_unpin(&mut cx), Poll::Ready(()));
    assert!(pulse.is_stopping());
}
