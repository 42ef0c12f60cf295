//! Who may do what.
//!
//! `app` builds one [`Auth`] from the configuration and asks it to [`Auth::admit`] each request
//! before anything else looks at it. Never logs, prints or labels with a token.

pub mod base;
pub mod callback;
pub mod caller;
mod credential;
mod error;
pub mod forwarded;
pub mod jwt;
mod rate;
pub mod reach;
pub mod role;
pub mod roster;
pub mod site;
pub mod ticket;
pub mod token;
pub mod users;

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use arc_swap::ArcSwap;
use hyper::http::header;
use hyper::http::request::Parts;
use sheaf_protocol::error::{Code, Refusal};
use sheaf_protocol::ids::{Principal, VaultName, check_document_name};
use tokio::sync::broadcast;

use self::callback::{Callback, CallbackConfig};
pub use self::caller::Caller;
use self::credential::{Credential, Standing};
pub use self::error::Error;
use self::jwt::JwtConfig;
use self::rate::{Meter, Once, Rate};
pub use self::role::{Grant, Role};
use self::roster::Roster;
pub use self::roster::{Caps, Leash, Released, Session, SessionEvent, SessionFacts};
use self::site::Site;
pub use self::ticket::{Holder, Ticket, TicketAsk};
use self::token::{Carried, Digest};
use self::users::{User, UserConfig};
use sheaf_ground::time::Clock;

/// One wrong token counts once in this time for each network: `wrong` is a rate by the minute.
const GUESS_PERIOD: Duration = Duration::from_secs(60);
const TOO_WRONG: &str = "too many wrong tokens from this address";

/// What `auth` needs to know.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// Who has a token. With nobody here and no `allow_anonymous`, loopback alone is served.
    pub users: Vec<UserConfig>,
    /// Whether a request without a token may write, wherever it comes from.
    pub allow_anonymous: bool,
    /// Host names, besides loopback, by which a request without a token may address us: with
    /// users or `allow_anonymous`.
    pub hosts: Vec<String>,
    /// Origins, besides our own and loopback, whose pages may connect.
    pub origins: Vec<String>,
    /// Where the server listens.
    pub listen: Vec<SocketAddr>,
    /// Where metrics and administration are served to other machines.
    pub admin_elsewhere: Option<SocketAddr>,
    /// Whether a proxy is trusted, and so expected.
    pub has_proxies: bool,
    /// Tokens that somebody else signs.
    pub jwt: JwtConfig,
    /// A server that is asked about tokens that are not known here.
    pub callback: Option<CallbackConfig>,
    /// How many sessions there may be.
    pub caps: Caps,
    /// How often something may happen.
    pub rates: Rates,
}

/// How often something may happen; 0 is without limit. Ten seconds' worth may come at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rates {
    /// Requests from one address, not applied on loopback.
    pub requests_per_address_per_s: u64,
    /// Requests with tokens of one user.
    pub requests_per_user_per_s: u64,
    /// New sessions in one vault.
    pub sessions_per_vault_per_s: u64,
    /// Wrong tokens from one address, not applied on loopback.
    pub failures_per_address_per_min: u64,
}

/// The configuration as requests are held against it. Replaced as a whole.
#[derive(Debug)]
pub(crate) struct Rules {
    users: Vec<User>,
    allow_anonymous: bool,
    /// Open only because nobody but this machine can reach it.
    is_open_on_loopback: bool,
    site: Site,
    jwt: Option<jwt::Keys>,
    callback: Option<Arc<Callback>>,
    caps: Caps,
    limits: Limits,
}

/// The rates, as they are measured.
#[derive(Debug)]
struct Limits {
    address: Option<Rate>,
    user: Option<Rate>,
    vault: Option<Rate>,
    wrong: Option<Rate>,
}

impl Limits {
    fn new(rates: &Rates) -> Limits {
        let second = |count| Rate::new(count, Duration::from_secs(1));
        Limits {
            address: second(rates.requests_per_address_per_s),
            user: second(rates.requests_per_user_per_s),
            vault: second(rates.sessions_per_vault_per_s),
            wrong: Rate::new(rates.failures_per_address_per_min, Duration::from_secs(60)),
        }
    }
}

impl Rules {
    fn new(config: &Config, clock: &Clock) -> Result<Rules, Error> {
        let jwt = jwt::Keys::new(&config.jwt)?;
        let callback = config.callback.as_ref().map(|callback| Callback::new(callback, clock));
        let callback = callback.transpose()?.map(Arc::new);
        let has_tokens = !config.users.is_empty() || jwt.is_some() || callback.is_some();
        let is_closed = has_tokens || config.allow_anonymous;
        let has_hosts = !config.hosts.is_empty();
        let elsewhere = config.listen.iter().find(|address| !address.ip().is_loopback());
        if let (false, Some(address)) = (is_closed, elsewhere) {
            return Err(Error::OpenElsewhere(*address));
        }
        // A proxy may send neither a foreign `Host` nor a forwarding header: then everyone who
        // reaches it would look like this machine.
        let published = [("trusted_proxies", config.has_proxies), ("hosts", has_hosts)];
        if let (false, Some((key, _))) = (is_closed, published.iter().find(|(_, is)| *is)) {
            return Err(Error::OpenBehindProxy(key));
        }
        let mut users: Vec<User> = Vec::new();
        for user in &config.users {
            let user = user.user()?;
            let shares = |known: &User| known.tokens.iter().any(|it| user.tokens.contains(it));
            if users.iter().any(|known| known.name == user.name || shares(known)) {
                return Err(Error::Twice { name: user.name });
            }
            users.push(user);
        }
        Ok(Rules {
            users,
            allow_anonymous: config.allow_anonymous,
            is_open_on_loopback: !is_closed,
            site: Site::new(config)?,
            jwt,
            callback,
            caps: config.caps,
            limits: Limits::new(&config.rates),
        })
    }

    /// Whether anybody has a token that is good for something.
    fn takes_tokens(&self) -> bool {
        !self.users.is_empty() || self.jwt.is_some() || self.callback.is_some()
    }
}

/// A request that is not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Denied {
    /// Why.
    pub refusal: Refusal,
    /// Over a rate: when to come again.
    pub retry_after: Option<Duration>,
}

impl From<Refusal> for Denied {
    fn from(refusal: Refusal) -> Denied {
        Denied { refusal, retry_after: None }
    }
}

impl Denied {
    fn too_fast(what: &'static str) -> impl FnOnce(Duration) -> Denied {
        let refusal = Refusal { code: Code::TooMany, at: 0, what };
        move |wait| Denied { refusal, retry_after: Some(wait) }
    }
}

/// What was bound at the start, whatever the configuration says since.
#[derive(Debug)]
struct Doors {
    listen: Vec<SocketAddr>,
    admin_elsewhere: Option<SocketAddr>,
}

#[derive(Debug)]
struct Shared {
    rules: ArcSwap<Rules>,
    doors: Doors,
    roster: Arc<Roster>,
    /// What all who come without a token show.
    absent: Arc<Credential>,
    clock: Clock,
    ticket_key: OnceLock<ticket::Key>,
    by_address: Meter<IpAddr>,
    by_user: Meter<Arc<str>>,
    by_vault: Meter<VaultName>,
    wrong: Meter<IpAddr>,
    /// By network and the digest of the token.
    guesses: Once<(IpAddr, [u8; 32])>,
}

/// Knows the users, the rule for pages from elsewhere and every live session. Shared by all edges;
/// clones are the same.
#[derive(Clone, Debug)]
pub struct Auth(Arc<Shared>);

impl Auth {
    /// Checks a configuration without using it. Reads the files of keys.
    ///
    /// # Errors
    /// See [`Error`]; each says what to do.
    pub fn check(config: &Config, clock: &Clock) -> Result<(), Error> {
        Rules::new(config, clock).map(drop)
    }

    /// Takes its rules from a configuration.
    ///
    /// # Errors
    /// See [`Error`]; each says what to do.
    pub fn new(config: &Config, clock: &Clock) -> Result<Auth, Error> {
        let (listen, admin_elsewhere) = (config.listen.clone(), config.admin_elsewhere);
        Ok(Auth(Arc::new(Shared {
            rules: ArcSwap::from_pointee(Rules::new(config, clock)?),
            doors: Doors { listen, admin_elsewhere },
            roster: Arc::default(),
            absent: Arc::new(Credential::Absent),
            clock: clock.clone(),
            ticket_key: OnceLock::new(),
            by_address: Meter::new(clock),
            by_user: Meter::new(clock),
            by_vault: Meter::new(clock),
            wrong: Meter::new(clock),
            guesses: Once::new(clock),
        })))
    }

    /// Signs tickets with the key of a data directory, which is made if there is none. Without it,
    /// they are signed with a key that goes with the process.
    ///
    /// # Errors
    /// `TicketKey`.
    pub fn load_ticket_key(&self, data_dir: &Path) -> Result<(), Error> {
        let key = ticket::Key::load(data_dir).map_err(Error::TicketKey)?;
        // It is loaded once, before anybody comes.
        let _ = self.0.ticket_key.set(key);
        Ok(())
    }

    /// Takes other rules from now on, for live sessions too: those that may no longer be here end,
    /// those whose role is another one hear of it, and the others notice nothing.
    ///
    /// # Errors
    /// See [`Error`]; then everything stays as it was. `WouldOpen` for a configuration without
    /// users on a server that was closed: a file that was emptied must not open it, and whether it
    /// may be open depends on doors that only a start looks at.
    pub fn replace(&self, config: &Config) -> Result<(), Error> {
        let doors = &self.0.doors;
        let listen = config.listen.iter().chain(&doors.listen).copied().collect();
        let mut rules = Rules::new(&Config { listen, ..config.clone() }, &self.0.clock)?;
        let old = self.0.rules.load_full();
        if rules.is_open_on_loopback && !old.is_open_on_loopback {
            return Err(Error::WouldOpen);
        }
        if let (true, Some(address)) = (rules.allow_anonymous, doors.admin_elsewhere) {
            return Err(Error::AdminElsewhere(address));
        }
        let is_like = |(new, old): (&Arc<Callback>, &Arc<Callback>)| new.is_like(old);
        let is_same_callback =
            rules.callback.as_ref().zip(old.callback.as_ref()).is_some_and(is_like);
        let has_changed = old.callback.is_some() && !is_same_callback;
        if is_same_callback {
            // What it has said stays good.
            rules.callback.clone_from(&old.callback);
        }
        self.0.rules.store(Arc::new(rules));
        self.0.roster.review(has_changed);
        Ok(())
    }

    /// Whether anyone who can connect may write.
    #[must_use]
    pub fn is_open(&self) -> bool {
        let rules = self.rules();
        rules.is_open_on_loopback || rules.allow_anonymous
    }

    fn rules(&self) -> arc_swap::Guard<Arc<Rules>> {
        self.0.rules.load()
    }

    /// Lets a page's browser ask whether the page may call, or not.
    ///
    /// # Errors
    /// `Forbidden` where a request as announced would be.
    pub fn check_preflight(&self, request: &Parts) -> Result<(), Refusal> {
        self.rules().site.check_preflight(request)
    }

    fn now_ms(&self) -> u64 {
        self.0.clock.now_ms()
    }

    /// Lets a request in, or not. Every request of every method passes here first; what its token
    /// is worth is told by the [`Caller`] when a vault is named.
    ///
    /// # Errors
    /// `Forbidden` for a page from elsewhere, a host name that is not ours (DNS rebinding), and,
    /// where the server is open only because it is on loopback, a proxy that would publish it;
    /// `TooMany` over the rates.
    pub fn admit(&self, request: &Parts, address: IpAddr) -> Result<Caller, Denied> {
        let (rules, shared) = (self.rules(), &self.0);
        let network = rate::network(address);
        if let Some(network) = network {
            let too_fast = Denied::too_fast("too many requests from this address");
            shared.by_address.take(network, rules.limits.address).map_err(too_fast)?;
        }
        if rules.is_open_on_loopback {
            site::check_not_forwarded(&request.headers)?;
        }
        let carried = token::of_request(request);
        let key = shared.ticket_key.get_or_init(ticket::Key::fresh);
        let credential = rules.credential_of(&carried, key);
        let standing = match &credential {
            // Nobody knows yet whether it is good for anything.
            Credential::Asked(_) => None,
            credential => Some(rules.standing(credential, self.now_ms())),
        };
        let is_shown = match &credential {
            Credential::Absent | Credential::Unknown => false,
            // Good for nothing where nobody will ask about it.
            Credential::Asked(_) => asks_for_grant(request),
            _ => true,
        };
        match &standing {
            // A right one passes whatever others showed: an office has one address.
            Some(Err(_)) if carried != Carried::None => {
                self.failed(address, carried.digest()).map_err(Denied::too_fast(TOO_WRONG))?;
            }
            Some(_) => {}
            None => self.check_asking(&rules, &credential, network)?,
        }
        if is_shown && standing.as_ref().is_none_or(Result::is_ok) {
            rules.site.check_with_token(request)?;
        } else {
            rules.site.check(request)?;
        }
        if let Some(Ok(Standing { principal: Principal::Named(name), .. })) = standing {
            let too_fast = Denied::too_fast("too many requests of this user");
            shared.by_user.take(name, rules.limits.user).map_err(too_fast)?;
        }
        Ok(Caller::new(self.clone(), credential, address.to_canonical()))
    }

    /// After too many wrong tokens from an address, the callback is asked about those alone that it
    /// has called good: somebody else's tokens may be short enough to be guessed.
    fn check_asking(
        &self,
        rules: &Rules,
        credential: &Credential,
        network: Option<IpAddr>,
    ) -> Result<(), Denied> {
        let (Credential::Asked(token), Some(network)) = (credential, network) else {
            return Ok(());
        };
        let Err(wait) = self.0.wrong.check(&network, rules.limits.wrong) else { return Ok(()) };
        let is_known = rules.callback.as_ref().is_some_and(|callback| callback.has_let_in(token));
        if is_known { Ok(()) } else { Err(Denied::too_fast(TOO_WRONG)(wait)) }
    }

    /// Somebody has shown a token that is not good. Each counts once in a while for its network: a
    /// stale tab shows the same one for ever, and guesses nothing.
    fn failed(&self, address: IpAddr, digest: Digest) -> Result<(), Duration> {
        let address = address.to_canonical();
        tracing::warn!(%address, "Authentication failed: Invalid token from {address}");
        let Some(network) = rate::network(address) else { return Ok(()) };
        let guess = (network, digest.bytes());
        if self.0.guesses.is_counted(&guess) {
            return Ok(());
        }
        self.0.wrong.take(network, self.rules().limits.wrong)?;
        self.0.guesses.counted(guess, GUESS_PERIOD);
        Ok(())
    }

    /// Enters a session into the list of those that live, as long as its leash does.
    ///
    /// # Errors
    /// `TooMany` over the caps on sessions and the rate of new ones; what the rules say of a grant
    /// that was given by others a moment ago.
    pub fn enter(&self, caller: &Caller, facts: SessionFacts) -> Result<Leash, Refusal> {
        let (user, vault) = (facts.grant.principal.clone(), facts.vault.clone());
        let (caps, rate) = {
            let rules = self.rules();
            (rules.caps, rules.limits.vault)
        };
        let what = "too many new sessions in this vault";
        let too_fast = |_| Refusal { code: Code::TooMany, at: 0, what };
        self.0.by_vault.take(vault.clone(), rate).map_err(too_fast)?;
        let leash = self.0.roster.enter(caller, facts, caps, &self.0.clock)?;
        match user.name() {
            Some(user) => {
                tracing::info!(user, %vault, "User '{user}' authenticated for vault '{vault}'");
            }
            // Nobody was told from anybody, and a line costs a tenth of an opening.
            None => tracing::debug!(%vault, "a session without a user"),
        }
        Ok(leash)
    }

    /// Every live session, by number.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.0.roster.sessions()
    }

    /// Ends a session with `Forbidden`; false if there is none of that number.
    pub fn kick(&self, id: u64) -> bool {
        self.0.roster.kick(id)
    }

    /// Who comes and goes from now on. A listener that is 1,024 events behind misses some.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<SessionEvent> {
        self.0.roster.events()
    }

    /// Makes a short-lived token that is worth no more than the caller's own.
    ///
    /// # Errors
    /// As [`Caller::grant`] for what is asked; `Malformed` for a time or name that cannot be.
    pub async fn ticket(&self, caller: &Caller, ask: TicketAsk) -> Result<Ticket, Refusal> {
        let TicketAsk { vault, path, role, valid_s, holder } = ask;
        if !(1..=ticket::VALID_S_MAX).contains(&valid_s) {
            return Err(Refusal::malformed(0, "a ticket is valid for 1 to 86400 seconds"));
        }
        if path.as_deref().is_some_and(|path| check_document_name(path).is_err()) {
            return Err(Refusal::malformed(0, "a document name has 1 to 1024 bytes"));
        }
        if matches!(&holder, Holder::User(user) if !caller::is_good_name(user)) {
            return Err(Refusal::malformed(0, "this is no name for a user"));
        }
        let own = caller.grant_what(&vault, path.as_deref(), role).await?;
        let (maker, until_ms) = caller.maker()?;
        let own_name = own.principal.name().map(str::to_owned);
        let user = match holder {
            Holder::Maker => own_name.clone(),
            Holder::Nobody => None,
            Holder::User(user) => Some(user),
        };
        if user != own_name && own.role < Role::Admin {
            return Err(caller::FORBIDDEN);
        }
        let expires_ms = self.now_ms().saturating_add(valid_s * 1000).min(until_ms);
        let content = ticket::Content { vault, path, role, user, expires_ms, maker };
        let key = self.0.ticket_key.get_or_init(ticket::Key::fresh);
        Ok(Ticket { token: key.sign(&content), expires_ms })
    }
}

/// Whether a request gets nothing without a grant: an upgrade, and whatever is about a vault.
fn asks_for_grant(request: &Parts) -> bool {
    request.headers.contains_key(header::UPGRADE) || request.uri.path().starts_with("/v1/vaults/")
}

#[cfg(test)]
mod tests;
