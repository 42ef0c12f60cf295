//! No token is ever shown: not in a log at its loudest, a metric, an error or a process title.

use std::io::Write;

use super::*;

const PLAIN: &str = "plain-secret-AAAAAAAAAAAA";
const HASHED: &str = "hashed-secret-BBBBBBBBBBB";
const WRONG: &str = "wrong-secret-CCCCCCCCCCCC";
const HUGE: &str = "huge-secret-DDDDDDDDDDDDD";
const SIGNING: &str = "signing-secret-EEEEEEEEEEEEEEEEEE";
/// A JWT for ada, expired; and one that nobody has signed.
const UNSIGNED: &str = "eyJhbGciOiJub25lIn0.eyJzdWIiOiJzZWNyZXQtRkZGRiJ9.";
const TICKET: &str = "sheaf-ticket-1.c2VjcmV0LUdHR0dHRw.c2VjcmV0LUhISEhISA";

fn configuration() -> String {
    let hash = sheaf_server::auth::token::TokenHash::of(HASHED).text();
    format!(
        "[[users]]\nname = \"ada\"\ntoken = \"{PLAIN}\"\nrole = \"admin\"\n\
         [[users]]\nname = \"bob\"\ntoken_hash = \"{hash}\"\nrole = \"read\"\n\
         [[jwt.keys]]\nalgorithm = \"HS256\"\nsecret = \"{SIGNING}\"\n\
         [auth_callback]\nurl = \"http://127.0.0.1:9/\"\nsecret = \"{SIGNING}\"\ntimeout_ms = 500\n"
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_token_is_ever_shown() {
    let running = Running::start(&configuration(), "trace");
    let huge = HUGE.repeat(500);
    let mut answers = String::new();
    for token in [PLAIN, HASHED, WRONG, UNSIGNED, TICKET, &huge] {
        let encoded = base64_url(token);
        let bearer = format!("Authorization: Bearer {token}\r\n");
        let ours = format!("Sec-WebSocket-Protocol: sheaf.token.{encoded}, sheaf\r\n");
        let y_redis = format!("Sec-WebSocket-Protocol: yauth-{token}, sheaf\r\n");
        let query = format!("/room?token={token}");
        let is_good = [PLAIN, HASHED].contains(&token);
        for (path, more) in
            [("/room", &bearer), (&*query, &String::new()), ("/room", &ours), ("/room", &y_redis)]
        {
            let answer = running.upgrade(path, more).await;
            assert_eq!(is_open(&answer), is_good, "{answer}");
            answers += &answer;
        }
        for path in ["/metrics", "/healthz", "/v1/vaults", "/v1/vaults/default/files", "/nothing"] {
            for method in ["GET", "POST", "PUT", "DELETE"] {
                let head = format!("{method} {path} HTTP/1.1\r\n{}", bearer.trim_end());
                answers += &running.ask(&head).await;
                answers += &running.ask(&format!("{method} {path}?token={token} HTTP/1.1")).await;
            }
        }
    }
    running.configure(&configuration().replace("role = \"read\"", "role = \"secret-IIII\""));
    running.hang_up();
    sheaf_tests::eventually::eventually("the mistake is told", SOON, || {
        running.log().contains("the old one stays")
    })
    .await;
    let metrics = running.ask("GET /metrics HTTP/1.1").await;
    let pid = running.child.id();
    let title = fs::read(format!("/proc/{pid}/cmdline")).expect("Linux");
    let title = String::from_utf8_lossy(&title).into_owned();
    let log = running.log();
    assert!(log.contains("User 'ada' authenticated for vault 'default'"), "{log}");
    assert!(log.contains("Authentication failed: Invalid token from 127.0.0.1"));
    let secrets = ["secret-", "c2VjcmV0", "eyJzdWIi", &base64_url("plain-secret")[..12]];
    for (place, text) in
        [("log", &log), ("answers", &answers), ("metrics", &metrics), ("title", &title)]
    {
        for secret in secrets {
            let line = text.lines().find(|line| line.contains(secret));
            assert_eq!(line, None, "{secret} in {place}");
        }
    }
}

#[test]
fn the_commands_about_tokens_take_none_as_an_argument() {
    let run = |arguments: &[&str], input: &str| {
        let mut child = Command::new(binary().expect("the binary"))
            .arg("token")
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("it starts");
        child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("written");
        child.wait_with_output().expect("it ends")
    };
    let hash = run(&["hash"], &format!("{PLAIN}\n"));
    let hash = String::from_utf8_lossy(&hash.stdout).into_owned();
    assert_eq!(hash.trim(), sheaf_server::auth::token::TokenHash::of(PLAIN).text());
    assert_eq!(run(&["hash"], "short\n").status.code(), Some(2));
    assert_eq!(run(&["hash", PLAIN], "").status.code(), Some(2));
    let fresh = run(&["new", "--name", "ada", "--role", "admin"], "");
    let fresh = String::from_utf8_lossy(&fresh.stdout).into_owned();
    let token = fresh.lines().next().expect("the token");
    let hash = sheaf_server::auth::token::TokenHash::of(token).text();
    assert!(fresh.contains(&hash) && fresh.matches(token).count() == 1, "{fresh}");
}

/// Base64 for URLs, without padding (RFC 4648 §5).
fn base64_url(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits = chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - chunk.len()));
        for digit in 0..=chunk.len() {
            out.push(char::from(DIGITS[(bits >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    out
}
