//! Leashes: what reaches a live session, and what does not.

use std::sync::atomic::AtomicUsize;

use futures::task::{ArcWake, waker};
use hyper::Request;

use super::*;
use crate::auth::users::UserConfig;
use crate::auth::{Auth, Config, Holder, TicketAsk};
use sheaf_ground::time::Hand;

const ADA: &str = "ada's token of some length";
const BOB: &str = "bob's token of some length";

/// Counts how often a session was woken.
#[derive(Default)]
struct Woken(AtomicUsize);

impl ArcWake for Woken {
    fn wake_by_ref(woken: &Arc<Self>) {
        woken.0.fetch_add(1, Ordering::SeqCst);
    }
}

fn config(users: Vec<UserConfig>) -> Config {
    Config { users, ..Config::default() }
}

fn both() -> Config {
    let (ada, bob) = (("ada", ADA), ("bob", BOB));
    config([ada, bob].map(|(name, token)| UserConfig::new(name, token, Role::Write)).to_vec())
}

fn start(config: &Config) -> (Auth, Clock, Hand) {
    let (clock, hand) = Clock::test(1_000_000);
    (Auth::new(config, &clock).expect("right"), clock, hand)
}

fn caller(auth: &Auth, token: &str) -> Caller {
    let request = Request::get("/").header("authorization", format!("Bearer {token}"));
    let request = request.header("host", "localhost").body(()).expect("legal");
    auth.admit(&request.into_parts().0, IpAddr::from([192, 0, 2, 1])).expect("admitted")
}

async fn enter(auth: &Auth, token: &str, document: &str) -> Result<Leash, Refusal> {
    let (caller, vault) = (caller(auth, token), VaultName::default());
    let grant = caller.grant(&vault, Some(document), Role::Read).await?;
    caller.enter(&vault, document, "y-websocket", grant)
}

struct Watched {
    leash: Leash,
    woken: Arc<Woken>,
}

impl Watched {
    async fn enter(auth: &Auth, token: &str) -> Watched {
        let leash = enter(auth, token, "a/b").await.expect("let in");
        let mut watched = Watched { leash, woken: Arc::default() };
        assert_eq!(watched.poll(), None);
        watched
    }

    fn poll(&mut self) -> Option<Result<Grant, Refusal>> {
        let waker = waker(Arc::clone(&self.woken));
        match self.leash.poll_change(&mut Context::from_waker(&waker)) {
            Poll::Ready(change) => Some(change),
            Poll::Pending => None,
        }
    }

    fn woken(&self) -> usize {
        self.woken.0.load(Ordering::SeqCst)
    }

    fn code(&mut self) -> Option<Code> {
        self.poll().and_then(Result::err).map(|refusal| refusal.code)
    }
}

#[tokio::test]
async fn a_reload_reaches_those_it_is_about_and_wakes_nobody_else() {
    let (auth, _clock, _hand) = start(&both());
    let mut ada = Watched::enter(&auth, ADA).await;
    let mut bob = Watched::enter(&auth, BOB).await;
    let mut changed = both();
    changed.users[1].role = Some(Role::Read);
    auth.replace(&changed).expect("right");
    let grant = bob.poll().expect("told").expect("still here");
    assert_eq!((grant.role, auth.sessions()[1].role), (Role::Read, Role::Read));
    assert_eq!((ada.woken(), bob.woken()), (0, 1));
    assert_eq!((ada.poll(), bob.poll()), (None, None), "told once");
    auth.replace(&both()).expect("right");
    assert_eq!(bob.poll().expect("told").expect("here").role, Role::Write);
    changed.users.pop();
    auth.replace(&changed).expect("right");
    assert_eq!(bob.code(), Some(Code::Unauthorised));
    assert_eq!((ada.poll(), ada.woken()), (None, 0));
}

#[tokio::test]
async fn a_user_keeps_the_session_while_one_token_replaces_another() {
    let (auth, _clock, _hand) = start(&both());
    let mut ada = Watched::enter(&auth, ADA).await;
    let mut rotated = both();
    let tokens = [ADA, "another token of ada's"].map(crate::auth::token::Token::new);
    rotated.users[0].token = crate::auth::users::Secrets::Many(tokens.to_vec());
    auth.replace(&rotated).expect("right");
    assert_eq!(ada.poll(), None);
    rotated.users[0].token = tokens[1].clone().into();
    auth.replace(&rotated).expect("right");
    assert_eq!(ada.code(), Some(Code::Unauthorised), "its own token is gone");
}

#[tokio::test]
async fn a_user_whose_vaults_or_paths_shrink_is_forbidden() {
    let (auth, _clock, _hand) = start(&both());
    let mut ada = Watched::enter(&auth, ADA).await;
    let mut bob = Watched::enter(&auth, BOB).await;
    let mut changed = both();
    changed.users[0].vaults = serde_json::from_str(r#"["other"]"#).expect("vaults");
    changed.users[1].paths = serde_json::from_str(r#"["a/"]"#).expect("paths");
    auth.replace(&changed).expect("right");
    assert_eq!(ada.code(), Some(Code::Forbidden));
    assert_eq!(bob.poll(), None, "what it has open is still allowed");
}

#[tokio::test]
async fn a_wrong_configuration_changes_nothing() {
    let (auth, _clock, _hand) = start(&both());
    let mut ada = Watched::enter(&auth, ADA).await;
    let wrong = config(vec![UserConfig::new("ada", "short", Role::Read)]);
    assert!(auth.replace(&wrong).is_err());
    assert_eq!((ada.poll(), ada.woken()), (None, 0));
    assert!(enter(&auth, BOB, "x").await.is_ok());
}

#[tokio::test]
async fn an_open_server_that_gets_users_closes_who_has_no_token() {
    let (auth, _clock, _hand) = start(&config(Vec::new()));
    let mut anyone = Watched::enter(&auth, "whatever").await;
    auth.replace(&both()).expect("right");
    assert_eq!(anyone.code(), Some(Code::Unauthorised));
}

#[tokio::test]
async fn a_ticket_ends_by_the_clock() {
    let (auth, clock, hand) = start(&both());
    let ask = TicketAsk {
        vault: VaultName::default(),
        path: Some("a/b".to_owned()),
        role: Role::Read,
        valid_s: 60,
        holder: Holder::Maker,
    };
    let ticket = auth.ticket(&caller(&auth, ADA), ask).await.expect("made");
    assert_eq!(ticket.expires_ms, clock.now_ms() + 60_000);
    let mut session = Watched::enter(&auth, &ticket.token).await;
    assert_eq!(session.leash.grant().principal, Principal::Named("ada".into()));
    assert_eq!(
        enter(&auth, &ticket.token, "a/c").await.expect_err("another").code,
        Code::Forbidden
    );
    hand.advance(Duration::from_secs(59));
    assert_eq!(session.poll(), None);
    hand.advance(Duration::from_secs(2));
    assert_eq!(session.code(), Some(Code::Unauthorised));
    let late = enter(&auth, &ticket.token, "a/b").await.expect_err("over");
    assert_eq!(late.code, Code::Unauthorised);
}

#[tokio::test]
async fn a_ticket_is_worth_no_more_than_its_maker() {
    let (auth, _clock, _hand) = start(&both());
    let ask = |role, user: Option<&str>| TicketAsk {
        vault: VaultName::default(),
        path: None,
        role,
        valid_s: 60,
        holder: user.map_or(Holder::Maker, |user| Holder::User(user.to_owned())),
    };
    let ada = caller(&auth, ADA);
    let refused =
        |answer: Result<crate::auth::Ticket, Refusal>| answer.map(drop).expect_err("no").code;
    assert_eq!(refused(auth.ticket(&ada, ask(Role::Admin, None)).await), Code::Forbidden);
    assert_eq!(refused(auth.ticket(&ada, ask(Role::Read, Some("bob"))).await), Code::Forbidden);
    let nobodys = TicketAsk { holder: Holder::Nobody, ..ask(Role::Read, None) };
    assert_eq!(refused(auth.ticket(&ada, nobodys).await), Code::Forbidden, "sheds her name");
    let whose = ask(Role::Read, Some("a\nb"));
    assert_eq!(refused(auth.ticket(&ada, whose).await), Code::Malformed);
    let eternal = TicketAsk { valid_s: 86_401, ..ask(Role::Read, None) };
    assert_eq!(refused(auth.ticket(&ada, eternal).await), Code::Malformed);
    let ticket = auth.ticket(&ada, ask(Role::Write, None)).await.expect("made").token;
    let again = auth.ticket(&caller(&auth, &ticket), ask(Role::Read, None)).await;
    assert_eq!(refused(again), Code::Forbidden, "a ticket makes no tickets");

    let mut session = Watched::enter(&auth, &ticket).await;
    let mut weaker = both();
    weaker.users[0].role = Some(Role::Read);
    auth.replace(&weaker).expect("right");
    assert_eq!(session.code(), Some(Code::Unauthorised), "its maker may no longer write");
    auth.replace(&both()).expect("right");
    assert!(enter(&auth, &ticket, "x").await.is_ok(), "and may again");
    let mut rotated = both();
    rotated.users[0].token = crate::auth::token::Token::new("another token of ada's").into();
    auth.replace(&rotated).expect("right");
    assert!(enter(&auth, &ticket, "x").await.is_err(), "the token it was made with is gone");
}

#[tokio::test]
async fn an_administrator_makes_tickets_for_others() {
    let mut config = both();
    config.users[0].role = Some(Role::Admin);
    let (auth, _clock, _hand) = start(&config);
    let ask = TicketAsk {
        vault: VaultName::default(),
        path: None,
        role: Role::Write,
        valid_s: 60,
        holder: Holder::User("visitor".to_owned()),
    };
    let nobodys = TicketAsk { holder: Holder::Nobody, ..ask.clone() };
    let nobodys = auth.ticket(&caller(&auth, ADA), nobodys).await.expect("made").token;
    let session = Watched::enter(&auth, &nobodys).await;
    assert_eq!(session.leash.grant().principal, Principal::Anonymous);
    let (nobody, elsewhere) = (caller(&auth, &nobodys), "b".parse().expect("a name"));
    let grant = nobody.grant(&elsewhere, None, Role::Read).await;
    assert_eq!(grant.expect_err("a token was shown").code, Code::Forbidden);
    let ticket = auth.ticket(&caller(&auth, ADA), ask).await.expect("made").token;
    let session = Watched::enter(&auth, &ticket).await;
    assert_eq!(session.leash.grant().principal, Principal::Named("visitor".into()));
    let (visitor, other) = (caller(&auth, &ticket), "other".parse().expect("a name"));
    let grant = visitor.grant(&other, None, Role::Read).await;
    assert_eq!(grant.expect_err("another vault").code, Code::Forbidden);
    assert!(visitor.server_admin().await.is_err());
    let other = Auth::new(&config, &Clock::system()).expect("right");
    assert!(enter(&other, &ticket, "x").await.is_err(), "another server's key");
}

#[tokio::test]
async fn a_kick_ends_one_session() {
    let (auth, _clock, _hand) = start(&both());
    let mut events = auth.events();
    let mut ada = Watched::enter(&auth, ADA).await;
    let mut bob = Watched::enter(&auth, BOB).await;
    assert!(auth.kick(ada.leash.id()) && !auth.kick(77));
    assert_eq!((ada.code(), bob.poll()), (Some(Code::Forbidden), None));
    drop(ada);
    assert_eq!(auth.sessions().len(), 1);
    let mut seen = Vec::new();
    while let Ok(event) = events.try_recv() {
        seen.push(match event {
            SessionEvent::Joined(session) => (true, session.principal),
            SessionEvent::Left(session) => (false, session.principal),
        });
    }
    let named = |name: &str| Principal::Named(name.into());
    assert_eq!(seen, [(true, named("ada")), (true, named("bob")), (false, named("ada"))]);
}

#[tokio::test]
async fn sessions_are_capped_by_user_vault_and_address() {
    let caps = |per_principal_max, per_vault_max, per_address_max| Config {
        caps: Caps { per_principal_max, per_vault_max, per_address_max },
        ..both()
    };
    for caps in [caps(2, 9, 9), caps(9, 2, 9), caps(9, 9, 2)] {
        let (auth, _clock, _hand) = start(&caps);
        let first = enter(&auth, ADA, "a").await.expect("one");
        let _second = enter(&auth, ADA, "b").await.expect("two");
        assert_eq!(enter(&auth, ADA, "c").await.expect_err("three").code, Code::TooMany);
        drop(first);
        assert!(enter(&auth, ADA, "c").await.is_ok());
    }
}

#[tokio::test]
async fn a_session_that_was_told_to_end_ends_whatever_is_said_after() {
    let (auth, _clock, _hand) = start(&both());
    let mut ada = Watched::enter(&auth, ADA).await;
    let mut bob = Watched::enter(&auth, BOB).await;
    assert!(auth.kick(ada.leash.id()));
    let mut weaker = both();
    for user in &mut weaker.users {
        user.role = Some(Role::Read);
    }
    auth.replace(&weaker).expect("right");
    assert_eq!(ada.code(), Some(Code::Forbidden), "not merely a reader");
    assert_eq!(bob.poll().expect("told").expect("here").role, Role::Read);
    auth.replace(&both()).expect("right");
    assert_eq!(ada.poll(), None, "told once");
}

#[tokio::test]
async fn sessions_of_one_ipv6_network_are_counted_together() {
    let caps = Caps { per_principal_max: 9, per_vault_max: 9, per_address_max: 1 };
    let (auth, _clock, _hand) = start(&Config { caps, ..both() });
    let enter = async |address: &str| {
        let request = Request::get("/").header("authorization", format!("Bearer {ADA}"));
        let request = request.header("host", "localhost").body(()).expect("legal");
        let address = address.parse().expect("an address");
        let caller = auth.admit(&request.into_parts().0, address).expect("admitted");
        let vault = VaultName::default();
        let grant = caller.grant(&vault, Some("a"), Role::Read).await?;
        caller.enter(&vault, "a", "y-websocket", grant)
    };
    let _first = enter("2001:db8::1").await.expect("one");
    assert_eq!(enter("2001:db8::2").await.expect_err("the same").code, Code::TooMany);
    assert!(enter("2001:db8:0:1::1").await.is_ok(), "another /64");
}

/// With the two counts of its `Arc` an entry has a size class of 224 bytes of the allocator.
#[test]
fn an_entry_of_the_list_of_sessions_stays_small() {
    assert!(size_of::<Entry>() <= 208, "{}", size_of::<Entry>());
}
