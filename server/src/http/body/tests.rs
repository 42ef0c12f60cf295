//! Bodies that are late, long or cut off.

use futures::{StreamExt, stream};
use hyper::http::HeaderValue;

use super::*;

fn announcing(length: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::CONTENT_LENGTH, HeaderValue::from_static(length))])
}

async fn read_parts(parts: &[&'static [u8]], max: usize) -> Result<Bytes, Error> {
    let parts: Vec<_> = parts.iter().map(|part| Ok(Bytes::from_static(part))).collect();
    let mut chunks = stream::iter(parts).boxed();
    let memory = Budget::new(1 << 20);
    let read = read(&HeaderMap::new(), &mut chunks, max, &Clock::system(), &memory).await;
    read.map(|read| read.bytes)
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
    let mut never = stream::poll_fn(|_| panic!("nothing may be read")).boxed();
    let memory = Budget::new(1 << 20);
    let read = read(&announcing("7"), &mut never, 6, &Clock::system(), &memory).await;
    assert_eq!(read.map(|read| read.bytes), Err(too_large(6)));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_given_up() {
    let (clock, hand) = Clock::test(0);
    let headers = announcing("655360");
    let memory = Budget::new(1 << 20);
    let mut never = stream::pending().boxed();
    let mut read = std::pin::pin!(read(&headers, &mut never, 1 << 20, &clock, &memory));
    assert!(futures::poll!(read.as_mut()).is_pending());
    hand.advance(Duration::from_secs(19));
    assert!(futures::poll!(read.as_mut()).is_pending(), "ten seconds and ten for its size");
    hand.advance(Duration::from_secs(1));
    let what = "the request's body did not come in time";
    let read = read.await.map(|read| read.bytes);
    assert_eq!(read, Err(Refusal { code: Code::Timeout, at: 0, what }.into()));
}

#[tokio::test]
async fn large_bodies_are_paid_for_from_the_budget_and_refused_over_it() {
    let memory = Budget::new(300_000);
    let (clock, headers) = (Clock::system(), HeaderMap::new());
    let chunks = |bytes| stream::iter([Ok(Bytes::from(vec![0; bytes]))]).boxed();
    let small = read(&headers, &mut chunks(PERMIT_FREE_BYTES), 1 << 20, &clock, &memory).await;
    assert!(small.is_ok_and(|small| small.permit.is_none()));
    let first = read(&headers, &mut chunks(100_000), 1 << 20, &clock, &memory).await;
    assert_eq!(memory.used(), 100_000);
    let answer = sent(&memory, vec![0; 150_000]).expect("there is room for it");
    let later = |code: Error| code.into_event().contains("try_later");
    let second = read(&headers, &mut chunks(100_000), 1 << 20, &clock, &memory).await;
    assert!(second.is_err_and(later));
    assert!(sent(&memory, vec![0; 100_000]).is_err_and(later));
    let rest = answer.slice(149_000..);
    drop(answer);
    assert_eq!(memory.used(), 250_000, "it is being sent");
    drop((rest, first));
    assert_eq!(memory.used(), 0, "and given back");
}
