//! Signatures, algorithms and claims, right and wrong.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;
use sheaf_protocol::ids::VaultName;
use tempfile::TempDir;

use super::*;
use crate::auth::reach::{What, role_in};

const SECRET: &str = "0123456789abcdef0123456789abcdef";
const EC_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgIDikGoi2F9NaGmIp
QOgMMbLGlQ7j6s3K6Oy18XCUXGChRANCAAQEQST3dSoRSWMaSa667/5fvfCL069r
a2vgYxeXcmOv+JW8Vj9GMTNAtP832V/bPbRpNG+iAuxzwugS+Uc9d/Vt
-----END PRIVATE KEY-----
";
const EC_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcDQgAEBEEk93UqEUljGkmuuu/+X73wi9Ov
a2tr4GMXl3Jjr/iVvFY/RjEzQLT/N9lf2z20aTRvogLsc8LoEvlHPXf1bQ==
-----END PUBLIC KEY-----
";
const ED_PRIVATE: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIPl3oJ6P2HW4iG9otdvzJKsrvzklZqTgreGP3X1790ND
-----END PRIVATE KEY-----
";
const ED_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAIFyrIwBeKVhEHrMBTixNRYVpWnP5liOY6CZnpsxiN5o=
-----END PUBLIC KEY-----
";
/// The x of the public Ed25519 key above, as a JWKS has it.
const ED_X: &str = "IFyrIwBeKVhEHrMBTixNRYVpWnP5liOY6CZnpsxiN5o";
const NOW_MS: u64 = 1_700_000_000_000;

fn shared() -> KeyConfig {
    KeyConfig {
        algorithm: Signature::HS256,
        kid: None,
        secret: Some(Token::new(SECRET)),
        secret_file: None,
        public_key_file: None,
    }
}

fn public(dir: &TempDir, algorithm: Signature, pem: &str) -> KeyConfig {
    let path = dir.path().join(format!("{algorithm:?}.pem"));
    std::fs::write(&path, pem).expect("written");
    let public_key_file = Some(path);
    KeyConfig { algorithm, kid: None, secret: None, secret_file: None, public_key_file }
}

fn keys(config: &JwtConfig) -> Keys {
    Keys::new(config).expect("right").expect("some")
}

fn with(keys: Vec<KeyConfig>) -> JwtConfig {
    JwtConfig { keys, ..JwtConfig::default() }
}

fn claims() -> Value {
    json!({ "sub": "ada", "exp": NOW_MS / 1000 + 60, "vaults": ["a"], "role": "write" })
}

fn changed(key: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[key] = value;
    claims
}

fn sign(header: &Header, claims: &Value, key: &EncodingKey) -> String {
    jsonwebtoken::encode(header, claims, key).expect("signed")
}

fn signed(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    sign(&Header::new(Algorithm::HS256), claims, &key)
}

fn worth(keys: &Keys, token: &str) -> Result<Standing, &'static str> {
    let proved = keys.prove(token).ok_or("not proved")?;
    keys.standing(&proved, NOW_MS)
}

fn role(standing: &Standing, vault: &str, path: Option<&str>) -> Option<Role> {
    let vault: VaultName = vault.parse().expect("a name");
    role_in(&standing.rules, &vault, &What::of(path))
}

#[test]
fn a_token_is_worth_what_its_claims_say() {
    let keys = keys(&with(vec![shared()]));
    let standing = worth(&keys, &signed(&claims())).expect("right");
    assert_eq!(standing.principal, Principal::Named("ada".into()));
    assert_eq!(standing.expires_ms, Some(NOW_MS + 60_000));
    assert_eq!(role(&standing, "a", None), Some(Role::Write));
    assert_eq!(role(&standing, "b", None), None);
    let limited = worth(&keys, &signed(&changed("paths", json!("notes/")))).expect("right");
    assert_eq!(role(&limited, "a", None), None);
    assert_eq!(role(&limited, "a", Some("notes/x")), Some(Role::Write));
    assert_eq!(role(&limited, "a", Some("other")), None);
    let all = worth(&keys, &signed(&changed("vaults", json!({ "except": ["b"] })))).expect("right");
    assert_eq!(role(&all, "c", None), Some(Role::Write));
}

#[test]
fn every_algorithm_that_is_configured_is_taken() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = keys(&with(vec![
        shared(),
        public(&dir, Signature::ES256, EC_PUBLIC),
        public(&dir, Signature::EdDSA, ED_PUBLIC),
    ]));
    let ec = EncodingKey::from_ec_pem(EC_PRIVATE.as_bytes()).expect("a key");
    let ed = EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).expect("a key");
    for token in [
        signed(&claims()),
        sign(&Header::new(Algorithm::ES256), &claims(), &ec),
        sign(&Header::new(Algorithm::EdDSA), &claims(), &ed),
    ] {
        assert!(worth(&keys, &token).is_ok());
    }
    let other = EncodingKey::from_secret(b"another secret of thirty-two byte");
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        assert!(worth(&keys, &sign(&Header::new(algorithm), &claims(), &other)).is_err());
        let own = EncodingKey::from_secret(SECRET.as_bytes());
        let token = sign(&Header::new(algorithm), &claims(), &own);
        assert_eq!(worth(&keys, &token).is_ok(), algorithm == Algorithm::HS256);
    }
}

#[test]
fn an_algorithm_belongs_to_a_key_and_never_to_a_token() {
    let dir = tempfile::tempdir().expect("a directory");
    let keys = keys(&with(vec![public(&dir, Signature::ES256, EC_PUBLIC)]));
    // The public key, which everybody has, as if it were a shared secret.
    for secret in [EC_PUBLIC.as_bytes(), EC_PUBLIC.trim().as_bytes()] {
        let key = EncodingKey::from_secret(secret);
        let token = sign(&Header::new(Algorithm::HS256), &claims(), &key);
        assert!(keys.prove(&token).is_none());
    }
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    for alg in ["none", "None", "NONE", "", "HS256", "ES256", "RS256"] {
        let unsigned = format!("{}.{}.", part(json!({ "alg": alg })), part(claims()));
        assert!(keys.prove(&unsigned).is_none(), "{alg}");
    }
    for token in ["", ".", "..", "a.b.c", "....", &"a.".repeat(100)] {
        assert!(keys.prove(token).is_none(), "{token}");
    }
}

#[test]
fn what_a_header_says_of_keys_is_only_a_name() {
    let named = KeyConfig { kid: Some("one".to_owned()), ..shared() };
    let keys = keys(&with(vec![named]));
    let own = EncodingKey::from_secret(SECRET.as_bytes());
    for (kid, is_taken) in [
        (Some("one"), true),
        (None, true),
        (Some("two"), false),
        (Some("../../../dev/null"), false),
        (Some("/dev/null"), false),
        (Some("one' OR '1'='1"), false),
    ] {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::HS256) };
        assert_eq!(worth(&keys, &sign(&header, &claims(), &own)).is_ok(), is_taken, "{kid:?}");
    }
    // A key that the token brings along, and one that it says where to fetch.
    let other = EncodingKey::from_secret(b"another secret of thirty-two byte");
    let header = Header { jku: Some("http://127.0.0.1:9/".to_owned()), ..Header::default() };
    assert!(keys.prove(&sign(&header, &claims(), &other)).is_none());
}

#[test]
fn a_token_has_its_time() {
    let strict = keys(&with(vec![shared()]));
    let lenient = keys(&JwtConfig { leeway_s: 30, ..with(vec![shared()]) });
    let now_s = NOW_MS / 1000;
    for (key, value, is_good, is_good_with_leeway) in [
        ("exp", json!(now_s), false, true),
        ("exp", json!(now_s - 29), false, true),
        ("exp", json!(now_s - 30), false, false),
        ("exp", json!(now_s + 1), true, true),
        ("exp", json!(now_s as f64 + 0.5), true, true),
        ("nbf", json!(now_s), true, true),
        ("nbf", json!(now_s + 30), false, true),
        ("nbf", json!(now_s + 31), false, false),
    ] {
        let token = signed(&changed(key, value.clone()));
        assert_eq!(worth(&strict, &token).is_ok(), is_good, "{key} {value}");
        assert_eq!(worth(&lenient, &token).is_ok(), is_good_with_leeway, "{key} {value}");
    }
    assert!(matches!(
        Keys::new(&JwtConfig { leeway_s: 61, ..with(vec![]) }),
        Err(Error::Leeway(61))
    ));
}

#[test]
fn claims_of_the_wrong_type_are_worth_nothing() {
    let keys = keys(&with(vec![shared()]));
    for (key, values) in [
        ("sub", vec![json!(1), json!(null), json!(""), json!(["ada"]), json!("a\nb"), json!(" a")]),
        ("sub", vec![json!("a\u{202e}b"), json!("x".repeat(129))]),
        ("exp", vec![json!("9999999999"), json!(null), json!(-1), json!([1]), json!(1e300)]),
        ("nbf", vec![json!("1"), json!(null), json!({})]),
        ("vaults", vec![json!(1), json!(null), json!([1]), json!({}), json!(["a/b"]), json!(true)]),
        ("role", vec![json!("root"), json!("Write"), json!(1), json!(null), json!(["write"])]),
        ("paths", vec![json!(1), json!([]), json!(""), json!(null), json!([1]), json!("../a")]),
    ] {
        for value in values {
            let token = signed(&changed(key, value.clone()));
            assert!(worth(&keys, &token).is_err(), "{key} {value}");
        }
    }
    for missing in ["sub", "exp", "vaults", "role"] {
        let mut claims = claims();
        claims.as_object_mut().expect("an object").remove(missing);
        assert!(worth(&keys, &signed(&claims)).is_err(), "{missing}");
    }
    assert!(worth(&keys, &signed(&json!([1]))).is_err());
    let defaults = JwtConfig {
        default_vaults: Some(Vaults::All),
        default_role: Some(Role::Read),
        ..with(vec![shared()])
    };
    let bare = signed(&json!({ "sub": "ada", "exp": NOW_MS / 1000 + 60 }));
    let standing = worth(&self::keys(&defaults), &bare).expect("by default");
    assert_eq!(role(&standing, "any", None), Some(Role::Read));
}

#[test]
fn issuer_and_audience_are_held_to() {
    let config = JwtConfig {
        issuer: Some("https://id.example".to_owned()),
        audience: Some("sheaf".to_owned()),
        ..with(vec![shared()])
    };
    let keys = keys(&config);
    for (iss, aud, is_good) in [
        (json!("https://id.example"), json!("sheaf"), true),
        (json!("https://id.example"), json!(["x", "sheaf"]), true),
        (json!("https://id.example"), json!("sheaf2"), false),
        (json!("https://id.example"), json!(null), false),
        (json!("https://evil.example"), json!("sheaf"), false),
        (json!(["https://id.example"]), json!("sheaf"), false),
    ] {
        let mut claims = changed("iss", iss.clone());
        claims["aud"] = aud.clone();
        assert_eq!(worth(&keys, &signed(&claims)).is_ok(), is_good, "{iss} {aud}");
    }
    assert!(worth(&keys, &signed(&claims())).is_err(), "neither");
}

#[test]
fn a_key_set_gives_the_keys_of_our_kinds() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("jwks.json");
    let set = |keys: Value| {
        std::fs::write(&path, json!({ "keys": keys }).to_string()).expect("written");
        Keys::new(&JwtConfig { jwks_file: Some(path.clone()), ..JwtConfig::default() })
    };
    let ed = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X, "kid": "ed", "use": "sig" });
    let rsa = json!({ "kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "rsa", "alg": "RS256" });
    let short = json!({ "kty": "oct", "k": "YWJj", "kid": "short" });
    let for_else = json!({ "kty": "OKP", "crv": "Ed25519", "x": ED_X, "use": "enc" });
    let odd = json!({ "kty": "post-quantum", "kid": 1 });
    let keys = set(json!([rsa, ed, short, for_else, odd])).expect("one is of ours").expect("some");
    assert_eq!(keys.keys.len(), 1);
    let key = EncodingKey::from_ed_pem(ED_PRIVATE.as_bytes()).expect("a key");
    let header = |kid: &str| Header { kid: Some(kid.to_owned()), ..Header::new(Algorithm::EdDSA) };
    assert!(worth(&keys, &sign(&header("ed"), &claims(), &key)).is_ok());
    assert!(worth(&keys, &sign(&header("rsa"), &claims(), &key)).is_err());
    assert!(matches!(set(json!([])), Err(Error::NoKey { .. })));
    std::fs::write(&path, "no JSON").expect("written");
    let config = JwtConfig { jwks_file: Some(path.clone()), ..JwtConfig::default() };
    assert!(matches!(Keys::new(&config), Err(Error::NoKey { .. })));
}

#[test]
fn keys_that_cannot_be_used_are_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let short = KeyConfig { secret: Some(Token::new("0123456789abcdef")), ..shared() };
    let none = KeyConfig { secret: None, ..shared() };
    let both = KeyConfig { secret: Some(Token::new(SECRET)), ..public(&dir, Signature::ES256, "") };
    for wrong in [short, none, both] {
        assert!(matches!(Keys::new(&with(vec![wrong])), Err(Error::Incomplete(_))));
    }
    let swapped = public(&dir, Signature::EdDSA, "-----BEGIN PUBLIC KEY-----\n-----END");
    assert!(matches!(Keys::new(&with(vec![swapped])), Err(Error::NoKey { .. })));
    let mut gone = public(&dir, Signature::ES256, EC_PUBLIC);
    gone.public_key_file = Some("/nowhere/key.pem".into());
    assert!(matches!(Keys::new(&with(vec![gone])), Err(Error::Unreadable { .. })));
    assert!(Keys::new(&with(Vec::new())).expect("nothing wrong").is_none());
    let shown = format!("{:?} {:?}", with(vec![shared()]), keys(&with(vec![shared()])));
    assert!(!shown.contains(SECRET), "{shown}");
}
