use std::borrow::Cow;

use futures::FutureExt;
use futures::future::poll_fn;
use tokio::io::AsyncReadExt;
use tokio::net::UnixStream;

use super::*;
use crate::relay::dialect::ywebsocket::YWebsocket;

struct Words(Bytes);

impl Piece for Words {
    fn framed(&self, _: &dyn Framing) -> Cow<'_, Bytes> {
        Cow::Borrowed(&self.0)
    }

    fn updates(&self) -> usize {
        1
    }
}

#[tokio::test]
async fn what_a_session_gathers_leaves_after_the_piece_that_its_way_out_is_reserved_for() {
    let (near, mut far) = UnixStream::pair().expect("a pair");
    let out = Outbound::new(near.into(), &YWebsocket, Arc::default());
    let drain = |words: &'static [u8]| {
        poll_fn(|cx| {
            out.register(cx);
            out.poll_drain(cx, |filling| filling.push(words))
        })
    };
    assert!(out.reserve());
    assert!(!out.reserve(), "one at a time");
    assert!(drain(b"second").now_or_never().is_none(), "the first has not left yet");
    out.send(&Words(Bytes::from_static(b"first ")));
    drain(b"second").await.expect("open");
    assert!(out.reserve(), "nothing waits any more");
    out.send(&Words(Bytes::from_static(b" third")));
    drop(out);
    let mut got = String::new();
    far.read_to_string(&mut got).await.expect("ends");
    assert_eq!(got, "first second third");
}
