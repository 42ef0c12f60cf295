//! A callback that answers, hangs, lies and counts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const LOCAL: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// Answers every request with `answer`, an empty one never; counts them.
async fn server(answer: &'static str) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("bound");
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    #[expect(clippy::disallowed_methods, reason = "a test's own task, ended with its runtime")]
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            count.fetch_add(1, Ordering::SeqCst);
            let mut request = vec![0; 4096];
            let _ = stream.read(&mut request).await;
            if answer.is_empty() {
                std::future::pending::<()>().await;
            }
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, asked)
}

const ADA: &str = "HTTP/1.1 200 OK\r\ncontent-length: 29\r\nconnection: close\r\n\r\n\
                   {\"user\":\"ada\",\"role\":\"write\"}";

fn callback(address: SocketAddr, clock: &Clock) -> Callback {
    let url = format!("http://{address}/check");
    let config = CallbackConfig { url, timeout_ms: 300, ..CallbackConfig::default() };
    Callback::new(&config, clock).expect("right")
}

async fn ask(callback: &Callback, token: &str, path: Option<&str>) -> Answer {
    callback.ask(&Secret::new(token), &VaultName::default(), path, LOCAL).await
}

#[tokio::test]
async fn an_answer_is_kept_for_its_question() {
    let (address, asked) = server(ADA).await;
    let (clock, hand) = Clock::test(0);
    let callback = callback(address, &clock);
    let said = ask(&callback, "one", None).await.expect("let in");
    assert_eq!((&*said.user, said.role, said.expires_ms), ("ada", Role::Write, None));
    assert_eq!(ask(&callback, "one", None).await, Ok(said));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    assert!(ask(&callback, "two", None).await.is_ok());
    assert!(ask(&callback, "one", Some("path")).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 3, "other questions");
    hand.advance(Duration::from_secs(31));
    assert!(ask(&callback, "one", None).await.is_ok());
    assert_eq!(asked.load(Ordering::SeqCst), 4, "the answer was old");
}

#[tokio::test]
async fn a_crowd_with_one_question_asks_once() {
    let (address, asked) = server(ADA).await;
    let callback = callback(address, &Clock::system());
    let crowd = (0..100).map(|_| ask(&callback, "one", None));
    assert!(futures::future::join_all(crowd).await.iter().all(Result::is_ok));
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn no_answer_lets_nobody_in() {
    let clock = Clock::system();
    for answer in [
        "",
        "HTTP/1.1 500 Oh\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No\r\n\r\n",
        "HTTP/1.1 302 Go\r\nlocation: /\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        "HTTP/1.1 200 OK\r\ncontent-length: 26\r\n\r\n{\"user\":\"\",\"role\":\"write\"}",
        "HTTP/1.1 200 OK\r\ncontent-length: 27\r\n\r\n{\"user\":\"ada\",\"role\":\"god\"}",
        "HTTP/1.1 200 OK\r\ncontent-length: 99\r\nconnection: close\r\n\r\n{\"user\":",
        "nonsense",
    ] {
        let (address, _) = server(answer).await;
        let refusal = ask(&callback(address, &clock), "one", None).await.expect_err(answer);
        assert_eq!(refusal.code, Code::Unavailable, "{answer}");
    }
    let nobody = SocketAddr::from(([127, 0, 0, 1], 1));
    let refusal = ask(&callback(nobody, &clock), "one", None).await.expect_err("nobody is there");
    assert_eq!(refusal.code, Code::Unavailable);
}

#[tokio::test]
async fn a_no_is_a_no_and_kept_for_a_shorter_time() {
    for (answer, code) in [
        ("HTTP/1.1 401 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", Code::Unauthorised),
        ("HTTP/1.1 403 No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n", Code::Forbidden),
    ] {
        let (address, asked) = server(answer).await;
        let (clock, hand) = Clock::test(0);
        let callback = callback(address, &clock);
        for _ in 0..3 {
            assert_eq!(ask(&callback, "one", None).await.expect_err("no").code, code);
        }
        assert_eq!(asked.load(Ordering::SeqCst), 1);
        hand.advance(Duration::from_secs(6));
        assert_eq!(ask(&callback, "one", None).await.expect_err("no").code, code);
        assert_eq!(asked.load(Ordering::SeqCst), 2);
    }
}

#[tokio::test]
async fn the_answers_that_are_kept_are_bounded() {
    let (address, _) = server(ADA).await;
    let url = format!("http://{address}/");
    let config = CallbackConfig { url, cache_entries_max: 3, ..CallbackConfig::default() };
    let callback = Callback::new(&config, &Clock::system()).expect("right");
    for token in 0..10 {
        assert!(ask(&callback, &token.to_string(), None).await.is_ok());
        assert!(callback.known.lock().len() <= 3);
    }
}

#[test]
fn tokens_are_sent_in_the_clear_to_nobody_but_this_machine() {
    let check = |url: &str| {
        let config = CallbackConfig { url: url.to_owned(), ..CallbackConfig::default() };
        config.check().is_ok()
    };
    for good in
        ["https://id.example/check", "http://127.0.0.1:1/", "http://localhost/", "http://[::1]/"]
    {
        assert!(check(good), "{good}");
    }
    for bad in ["", "http://id.example/", "ftp://localhost/", "https://a:b@id.example/", "/check"] {
        assert!(!check(bad), "{bad}");
    }
}
