//! Signatures and secrets, against the specification's own libraries' vector.

use super::*;

#[test]
fn a_signature_is_the_one_that_the_specifications_libraries_make() {
    // The vector of their test suites.
    let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().expect("a secret");
    let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
    let body = br#"{"test": 2432232314}"#;
    let signature = signatures(&[secret], id, 1_614_265_330, body);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn while_a_secret_is_changed_both_sign() {
    let secrets = ["b2xk", "bmV3"].map(|word| {
        let text = format!("whsec_{}", word.repeat(8));
        text.parse::<Secret>().expect("a secret")
    });
    let both = signatures(&secrets, "msg_1", 1, b"{}");
    let each: Vec<_> = secrets
        .iter()
        .map(|one| signatures(std::slice::from_ref(one), "msg_1", 1, b"{}"))
        .collect();
    assert_eq!(both, each.join(" "));
    assert_ne!(each[0], each[1]);
}

#[test]
fn a_secret_is_as_long_as_the_specification_says_and_never_shown() {
    for wrong in ["", "whsec_", "plain text that is long enough for a secret", "whsec_AAAA"] {
        assert_eq!(wrong.parse::<Secret>().map(|_| ()), Err(BadSecret), "{wrong}");
    }
    let of_bytes = |count: usize| format!("whsec_{}", STANDARD.encode(vec![7; count]));
    for (count, holds) in [(23, false), (24, true), (64, true), (65, false)] {
        assert_eq!(of_bytes(count).parse::<Secret>().is_ok(), holds, "{count} bytes");
    }
    let secret: Secret = of_bytes(24).parse().expect("a secret");
    assert_eq!(format!("{secret:?}"), "Secret(…)");
}
