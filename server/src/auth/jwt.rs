//! `[jwt]`: tokens that somebody else signs.
//!
//! `auth` builds its keys from the configuration and shows them every token that looks like one.
//! An algorithm belongs to a key, never to a token: what the token's header says only selects among
//! the keys. Never fetches a key from where a token says.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use sheaf_protocol::ids::Principal;

use super::caller::is_good_name;
use super::credential::Standing;
use super::reach::{Prefix, Rule, Vaults};
use super::role::Role;
use super::token::Token;

/// Seconds by which clocks may differ, at most.
const LEEWAY_S_MAX: u64 = 60;
/// Keys that one token may have to be tried with.
const KEYS_MAX: usize = 64;
/// A file of keys; a JWKS of the largest providers has some 10 KiB.
const FILE_BYTES_MAX: u64 = 1 << 20;
/// HS256 wants as many bytes as its hash has (RFC 7518 §3.2).
const SECRET_BYTES_MIN: usize = 32;

/// Tokens that somebody else signs.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct JwtConfig {
    /// Keys, each for one algorithm. With none here and no `jwks_file` no JWT is taken.
    pub keys: Vec<KeyConfig>,
    /// A file with a JSON web key set; keys of kinds that are not taken here are left out.
    pub jwks_file: Option<PathBuf>,
    /// What `iss` must be. Absent: it is not looked at.
    pub issuer: Option<String>,
    /// What `aud` must be or contain. Absent: it is not looked at.
    pub audience: Option<String>,
    /// Seconds by which the issuer's clock may differ, at most 60.
    pub leeway_s: u64,
    /// Which claims say what.
    pub claims: ClaimsConfig,
    /// The vaults of a token without that claim. Absent: such a token is refused.
    pub default_vaults: Option<Vaults>,
    /// The role of a token without that claim. Absent: such a token is refused.
    pub default_role: Option<Role>,
}

/// One key, with the one algorithm it is used with.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct KeyConfig {
    /// `HS256`, `ES256` or `EdDSA` (Ed25519).
    pub algorithm: Signature,
    /// Its name in the `kid` of a token. Absent: tried with every token.
    #[serde(default)]
    pub kid: Option<String>,
    /// The shared secret of HS256, 32 bytes or more.
    #[serde(default)]
    pub secret: Option<Token>,
    /// A file with the shared secret of HS256; a newline at its end is left out.
    #[serde(default)]
    pub secret_file: Option<PathBuf>,
    /// A file with the public key of ES256 or EdDSA, PEM (`BEGIN PUBLIC KEY`).
    #[serde(default)]
    pub public_key_file: Option<PathBuf>,
}

/// Which claims say what.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct ClaimsConfig {
    /// The user's name.
    pub user: String,
    /// The vaults: `"*"`, a name, a list of names, or `{"except": [names]}`.
    pub vaults: String,
    /// `read`, `write` or `admin`.
    pub role: String,
    /// The beginning of document paths, or a list of them. A token without it may go everywhere in
    /// its vaults.
    pub paths: String,
}

impl Default for ClaimsConfig {
    fn default() -> ClaimsConfig {
        let [user, vaults, role, paths] = ["sub", "vaults", "role", "paths"].map(str::to_owned);
        ClaimsConfig { user, vaults, role, paths }
    }
}

/// The algorithms that are taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(clippy::upper_case_acronyms)]
pub enum Signature {
    /// HMAC with SHA-256.
    HS256,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// Ed25519.
    EdDSA,
}

impl Signature {
    const fn algorithm(self) -> Algorithm {
        match self {
            Signature::HS256 => Algorithm::HS256,
            Signature::ES256 => Algorithm::ES256,
            Signature::EdDSA => Algorithm::EdDSA,
        }
    }
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; check [jwt]")]
    Unreadable {
        /// Which.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It can, but it holds no key of the kind.
    #[error("{path} holds no {wanted}")]
    NoKey {
        /// Which.
        path: PathBuf,
        /// What was looked for.
        wanted: &'static str,
    },
    /// A key says too little or too much.
    #[error("a key of [jwt] needs {0}")]
    Incomplete(&'static str),
    /// A number out of range.
    #[error("jwt.leeway_s is {0}; it must be at most 60")]
    Leeway(u64),
    /// More keys than a token should be tried with.
    #[error("[jwt] has more than 64 keys")]
    TooMany,
}

/// The keys, and what a token must say.
pub(super) struct Keys {
    keys: Vec<Key>,
    /// Of what decides what a proved token is worth.
    judging: [u8; 32],
    config: JwtConfig,
}

struct Key {
    kid: Option<String>,
    algorithm: Algorithm,
    decoding: DecodingKey,
    /// Tells keys apart over reloads, without the key.
    print: [u8; 32],
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// A token whose signature is right.
pub(super) struct Proved {
    /// Of the key.
    pub(super) print: [u8; 32],
    claims: Map<String, Value>,
}

impl fmt::Debug for Proved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Proved")
    }
}

impl JwtConfig {
    /// Whether the configuration shows a secret to whoever can read it.
    #[must_use]
    pub fn is_plain(&self) -> bool {
        self.keys.iter().any(|key| key.secret.is_some())
    }

    /// A hash of all that decides what a proved token is worth, besides its times.
    fn judging(&self) -> [u8; 32] {
        let JwtConfig { issuer, audience, claims, default_vaults, default_role, .. } = self;
        let all = (issuer, audience, claims, default_vaults, default_role);
        Sha256::digest(serde_json::to_vec(&all).expect("plain data")).into()
    }

    /// The files that are read, to be watched.
    pub fn files(&self) -> impl Iterator<Item = &PathBuf> {
        let keys = self.keys.iter().flat_map(|key| [&key.secret_file, &key.public_key_file]);
        keys.chain([&self.jwks_file]).flatten()
    }
}

impl Keys {
    /// None if no JWT is taken. Reads files.
    pub(super) fn new(config: &JwtConfig) -> Result<Option<Keys>, Error> {
        if config.leeway_s > LEEWAY_S_MAX {
            return Err(Error::Leeway(config.leeway_s));
        }
        let mut keys = config.keys.iter().map(Key::new).collect::<Result<Vec<_>, _>>()?;
        if let Some(path) = &config.jwks_file {
            keys.extend(key_set(path)?);
        }
        if keys.len() > KEYS_MAX {
            return Err(Error::TooMany);
        }
        let judging = config.judging();
        Ok((!keys.is_empty()).then(|| Keys { keys, judging, config: config.clone() }))
    }

    /// The claims of a token that one of the keys has signed. What they say is not looked at yet.
    pub(super) fn prove(&self, token: &str) -> Option<Proved> {
        // Three parts and a header that names an algorithm: everything else is no JWT.
        let header = jsonwebtoken::decode_header(token).ok()?;
        let fits = |key: &&Key| {
            let is_named = match (&key.kid, &header.kid) {
                (Some(own), Some(named)) => own == named,
                _ => true,
            };
            is_named && key.algorithm == header.alg
        };
        self.keys.iter().filter(fits).find_map(|key| {
            let mut validation = Validation::new(key.algorithm);
            // Times are told by our own clock, in `standing`.
            validation.validate_exp = false;
            validation.validate_aud = false;
            validation.required_spec_claims.clear();
            let decoded =
                jsonwebtoken::decode::<Map<String, Value>>(token, &key.decoding, &validation);
            decoded.ok().map(|data| Proved { print: key.print, claims: data.claims })
        })
    }

    /// What a ticket remembers of the key that its maker's token was signed with, and of how that
    /// token was judged. In hex.
    pub(super) fn backing(&self, print: &[u8; 32]) -> String {
        let hash = Sha256::new_with_prefix(print).chain_update(self.judging).finalize();
        hash.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether such a token would still be judged so.
    pub(super) fn backs(&self, backing: &str) -> bool {
        self.keys.iter().any(|key| self.backing(&key.print) == backing)
    }

    /// Whether a key is still taken.
    fn has(&self, is: impl Fn(&[u8; 32]) -> bool) -> bool {
        self.keys.iter().any(|key| is(&key.print))
    }

    /// What a proved token is worth at a time; the error is for people.
    pub(super) fn standing(&self, proved: &Proved, now_ms: u64) -> Result<Standing, &'static str> {
        if !self.has(|print| *print == proved.print) {
            return Err("this token is not valid here");
        }
        let claims = &proved.claims;
        let expires_ms = self.check_times(claims, now_ms)?;
        self.check_ends(claims)?;
        let names = &self.config.claims;
        let user = claims.get(&names.user).and_then(Value::as_str);
        let user = user.filter(|user| is_good_name(user)).ok_or("the token names no user")?;
        let vaults = match claims.get(&names.vaults) {
            None => self.config.default_vaults.clone().ok_or("the token names no vaults")?,
            Some(value) => parsed(value).ok_or("the token's vaults are no list of names")?,
        };
        let role = match claims.get(&names.role) {
            None => self.config.default_role.ok_or("the token names no role")?,
            Some(value) => parsed(value).ok_or("the token's role is no role")?,
        };
        let paths = claims.get(&names.paths).map(|paths| paths_of(paths).ok_or(BAD_PATHS));
        let rule = Rule { vaults, paths: paths.transpose()?, role };
        Ok(Standing {
            principal: Principal::Named(user.into()),
            rules: Arc::from([rule]),
            expires_ms: Some(expires_ms),
        })
    }

    fn check_times(&self, claims: &Map<String, Value>, now_ms: u64) -> Result<u64, &'static str> {
        let leeway_ms = self.config.leeway_s * 1000;
        let expires_ms = claims.get("exp").and_then(milliseconds).ok_or("the token has no exp")?;
        let expires_ms = expires_ms.saturating_add(leeway_ms);
        if now_ms >= expires_ms {
            return Err("this token has expired");
        }
        if let Some(begins) = claims.get("nbf") {
            let begins_ms = milliseconds(begins).ok_or("the token's nbf is no time")?;
            if now_ms.saturating_add(leeway_ms) < begins_ms {
                return Err("this token is not valid yet");
            }
        }
        Ok(expires_ms)
    }

    /// Who made it, and for whom.
    fn check_ends(&self, claims: &Map<String, Value>) -> Result<(), &'static str> {
        let is = |value: &Value, wanted: &String| value.as_str() == Some(wanted);
        if let Some(issuer) = &self.config.issuer {
            let is_theirs = claims.get("iss").is_some_and(|value| is(value, issuer));
            is_theirs.then_some(()).ok_or("the token is of another issuer")?;
        }
        if let Some(audience) = &self.config.audience {
            let is_ours = claims.get("aud").is_some_and(|value| match value {
                Value::Array(all) => all.iter().any(|value| is(value, audience)),
                one => is(one, audience),
            });
            is_ours.then_some(()).ok_or("the token is for another audience")?;
        }
        Ok(())
    }
}

const BAD_PATHS: &str = "the token's paths are no list of paths";

fn parsed<T: for<'de> Deserialize<'de>>(value: &Value) -> Option<T> {
    T::deserialize(value).ok()
}

fn paths_of(value: &Value) -> Option<Arc<[Prefix]>> {
    let list: Vec<Prefix> = match value {
        Value::String(_) => vec![parsed(value)?],
        _ => parsed(value)?,
    };
    (!list.is_empty()).then(|| list.into())
}

/// A NumericDate (RFC 7519 §2), which may have a fraction.
fn milliseconds(value: &Value) -> Option<u64> {
    let seconds = value.as_f64().filter(|seconds| (0.0..=1e15).contains(seconds))?;
    Some((seconds * 1000.0) as u64)
}

impl Key {
    fn new(config: &KeyConfig) -> Result<Key, Error> {
        let KeyConfig { algorithm, kid, secret, secret_file, public_key_file } = config;
        let (decoding, material) = match (algorithm, secret, secret_file, public_key_file) {
            (Signature::HS256, Some(secret), None, None) => {
                shared_secret(secret.reveal().as_bytes().to_vec())?
            }
            (Signature::HS256, None, Some(path), None) => {
                let mut secret = read(path)?;
                while secret.last().is_some_and(u8::is_ascii_whitespace) {
                    secret.pop();
                }
                shared_secret(secret)?
            }
            (Signature::HS256, ..) => return Err(Error::Incomplete("secret or secret_file")),
            (Signature::ES256, None, None, Some(path)) => {
                let (pem, wanted) = (read(path)?, "public key on P-256 in PEM");
                let decoding = DecodingKey::from_ec_pem(&pem);
                (decoding.map_err(|_| Error::NoKey { path: path.clone(), wanted })?, pem)
            }
            (Signature::EdDSA, None, None, Some(path)) => {
                let (pem, wanted) = (read(path)?, "public Ed25519 key in PEM");
                let decoding = DecodingKey::from_ed_pem(&pem);
                (decoding.map_err(|_| Error::NoKey { path: path.clone(), wanted })?, pem)
            }
            _ => return Err(Error::Incomplete("public_key_file, and no secret")),
        };
        Ok(Key::of(kid.clone(), algorithm.algorithm(), decoding, &material))
    }

    fn of(kid: Option<String>, algorithm: Algorithm, decoding: DecodingKey, of: &[u8]) -> Key {
        let mut hash = Sha256::new_with_prefix(format!("{algorithm:?}\0"));
        hash.update(kid.as_deref().unwrap_or_default());
        hash.update([0]);
        hash.update(of);
        Key { kid, algorithm, decoding, print: hash.finalize().into() }
    }
}

fn shared_secret(secret: Vec<u8>) -> Result<(DecodingKey, Vec<u8>), Error> {
    if secret.len() < SECRET_BYTES_MIN {
        return Err(Error::Incomplete("a secret of 32 bytes or more: sheaf token new"));
    }
    Ok((DecodingKey::from_secret(&secret), secret))
}

fn read(path: &PathBuf) -> Result<Vec<u8>, Error> {
    use std::io::Read;
    let unreadable = |source| Error::Unreadable { path: path.clone(), source };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(unreadable)?;
    file.take(FILE_BYTES_MAX).read_to_end(&mut bytes).map_err(unreadable)?;
    Ok(bytes)
}

/// The keys of a JWKS that are of our kinds. A provider may list others beside them.
fn key_set(path: &PathBuf) -> Result<Vec<Key>, Error> {
    #[derive(Deserialize)]
    struct Set {
        keys: Vec<Value>,
    }
    let no_key = |wanted| Error::NoKey { path: path.clone(), wanted };
    let set: Set = serde_json::from_slice(&read(path)?).map_err(|_| no_key("JSON web key set"))?;
    let all = set.keys.len();
    let keys: Vec<_> = set.keys.into_iter().filter_map(|key| web_key(&key)).collect();
    if keys.is_empty() {
        return Err(no_key("key for HS256, ES256 or EdDSA"));
    }
    if keys.len() < all {
        tracing::warn!(left_out = all - keys.len(), "keys of other kinds stand in jwt.jwks_file");
    }
    Ok(keys)
}

fn web_key(value: &Value) -> Option<Key> {
    let jwk: Jwk = parsed(value)?;
    if matches!(jwk.common.public_key_use, Some(PublicKeyUse::Encryption)) {
        return None;
    }
    let (algorithm, name) = match &jwk.algorithm {
        AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => {
            (Algorithm::ES256, "ES256")
        }
        AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
            (Algorithm::EdDSA, "EdDSA")
        }
        AlgorithmParameters::OctetKey(_) => (Algorithm::HS256, "HS256"),
        _ => return None,
    };
    // A key that says what it is for is for nothing else.
    let is_for = value.get("alg").is_none_or(|alg| alg == name);
    let is_shared = algorithm == Algorithm::HS256;
    let decoding = DecodingKey::from_jwk(&jwk).ok().filter(|key| {
        !is_shared || key.try_get_as_bytes().is_ok_and(|key| key.len() >= SECRET_BYTES_MIN)
    })?;
    // What else stands there (`use`, `x5t`, `key_ops`) may come and go without another key.
    let material = ["kty", "crv", "x", "y", "k"].map(|name| value.get(name));
    let material = serde_json::to_string(&material).expect("plain data");
    is_for.then(|| Key::of(jwk.common.key_id, algorithm, decoding, material.as_bytes()))
}

#[cfg(test)]
mod tests;
