//! Peers that take nothing, little, and enough.

use std::future::poll_fn;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::*;
use sheaf_ground::time::Hand;

/// A stream whose peer has taken nothing yet, full to the brim.
async fn full() -> (Patient, UnixStream, Hand) {
    let (near, far) = UnixStream::pair().expect("a pair");
    let (clock, hand) = Clock::test(0);
    let mut patient = Patient::new(near.into(), Bytes::new(), clock);
    while write(&mut patient).await.is_ready() {}
    (patient, far, hand)
}

async fn write(patient: &mut Patient) -> Poll<io::Result<usize>> {
    poll_fn(|cx| Poll::Ready(Pin::new(&mut *patient).poll_write(cx, &[7; 4096]))).await
}

#[tokio::test]
async fn a_peer_that_takes_nothing_is_cut() {
    let (mut patient, _far, hand) = full().await;
    hand.advance(TIME - Duration::from_millis(1));
    assert!(write(&mut patient).await.is_pending());
    hand.advance(Duration::from_millis(1));
    let Poll::Ready(Err(error)) = write(&mut patient).await else { panic!("it is cut") };
    assert_eq!(error.kind(), ErrorKind::TimedOut);
}

#[tokio::test]
async fn a_peer_that_sips_is_cut_and_one_that_drinks_is_not() {
    for (bytes, is_cut) in [(BYTES / 4 - 1, true), (BYTES / 4, false)] {
        let (mut patient, _far, hand) = full().await;
        let mut watch = async |written: Poll<io::Result<usize>>| {
            let mut written = Some(written);
            let mut again = || written.take().unwrap_or(Poll::Pending);
            poll_fn(|cx| Poll::Ready(patient.watch(cx, again()))).await
        };
        for _ in 0..4 {
            hand.advance(TIME / 4);
            let _ = watch(Poll::Ready(Ok(bytes))).await;
        }
        assert_eq!(watch(Poll::Pending).await.is_ready(), is_cut, "{bytes} bytes a quarter");
    }
}

#[tokio::test]
async fn a_pause_between_two_responses_is_nobodys_fault() {
    let (mut patient, mut far, hand) = full().await;
    let mut chunk = vec![0; 65_536];
    while far.read(&mut chunk).await.is_ok_and(|got| got == chunk.len()) {}
    poll_fn(|cx| patient.stream.poll_write_ready(cx)).await.expect("open");
    patient.write_all(b"the end of a response").await.expect("room");
    patient.flush().await.expect("all of it is out");
    hand.advance(10 * TIME);
    assert!(patient.stuck.is_none());
    patient.write_all(b"the next one").await.expect("room");
}
