//! Bodies that are late, long or cut off.

use futures::{StreamExt, stream};
use hyper::http::HeaderValue;

use super::*;

fn announcing(length: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static(length))])
}

async fn read_parts(parts: &[&'static [u8]], max: usize) -> Result<Bytes, Error> {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part))).collect();
    read(&HeaderMap::new(), stream::iter(parts).boxed(), max, &Clock::system()).await
}

#[tokio::test]
async fn a_body_may_have_its_bound_and_no_byte_more() {
    let body: [&[u8]; 2] = [b"1234", b"56"];
    assert_eq!(read_parts(&body, 6).await.as_deref(), Ok(&b"123456"[..]));
    assert_eq!(read_parts(&body, 5).await, Err(too_large(5)));
    assert_eq!(read_parts(&[], 0).await.as_deref(), Ok(&b""[..]));
}

#[tokio::test]
async fn an_announced_length_is_refused_before_anything_is_read() {
    let never = stream::poll_fn(|_| panic!("nothing may be read")).boxed();
    let read = read(&announcing("7"), never, 6, &Clock::system()).await;
    assert_eq!(read, Err(too_large(6)));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_given_up() {
    let (clock, hand) = Clock::test(0);
    let headers = announcing("655360");
    let mut read = std::pin::pin!(read(&headers, stream::pending().boxed(), 1 << 20, &clock));
    assert!(futures::poll!(read.as_mut()).is_pending());
    hand.advance(Duration::from_secs(19));
    assert!(futures::poll!(read.as_mut()).is_pending(), "ten seconds and ten for its size");
    hand.advance(Duration::from_secs(1));
    let what = "the request's body did not come in time";
    assert_eq!(read.await, Err(Refusal { code: Code::Timeout, at: 0, what }.into()));
}
