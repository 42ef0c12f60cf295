//! Certificates as files: those that do, those that do not, and new ones.

use std::fs;

use rcgen::{CertificateParams, KeyPair, date_time_ymd};
use tempfile::TempDir;

use super::*;

/// Files with a certificate for `localhost`, valid until the end of that year.
fn files(dir: &TempDir, name: &str, until_year: i32) -> Config {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(["localhost".to_owned()]).expect("a name");
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(until_year, 12, 31);
    let certificate = params.self_signed(&key).expect("signed");
    let files = Config {
        cert_file: dir.path().join(format!("{name}.crt")),
        key_file: dir.path().join(format!("{name}.key")),
    };
    fs::write(&files.cert_file, certificate.pem()).expect("written");
    fs::write(&files.key_file, key.serialize_pem()).expect("written");
    files
}

fn load(files: &Config) -> Result<Tls, Error> {
    Tls::load(files, Clock::test(1_800_000_000_000).0, Arc::default())
}

fn mistake(files: &Config) -> String {
    load(files).expect_err("it cannot be used").to_string()
}

#[test]
fn a_mistake_in_the_files_is_told_with_what_to_do() {
    let dir = TempDir::new().expect("a directory");
    let (one, two) = (files(&dir, "one", 2030), files(&dir, "two", 2030));
    load(&one).expect("these fit");

    let mixed = Config { key_file: two.key_file.clone(), ..one.clone() };
    assert!(mistake(&mixed).contains("does not fit the certificate"), "{}", mistake(&mixed));
    let swapped = Config { cert_file: one.key_file.clone(), key_file: one.cert_file.clone() };
    assert!(mistake(&swapped).contains("holds no certificate"), "{}", mistake(&swapped));
    let no_key = Config { key_file: one.cert_file.clone(), ..one.clone() };
    assert!(mistake(&no_key).contains("tls.key_file"), "{}", mistake(&no_key));
    let missing = Config { cert_file: dir.path().join("none.crt"), ..one.clone() };
    let told = mistake(&missing);
    assert!(told.contains("tls.cert_file") && told.contains("none.crt"), "{told}");
    fs::write(&two.cert_file, "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .expect("written");
    assert!(mistake(&two).contains("cannot be used"), "{}", mistake(&two));
}

#[test]
fn an_expired_certificate_is_read_all_the_same() {
    let dir = TempDir::new().expect("a directory");
    let files = files(&dir, "old", 2021);
    let tls = load(&files).expect("a warning, no error");
    assert_eq!(tls.metrics.listen.certificate_expiry.get(), 1_640_908_800);
    let pem = fs::read(&files.cert_file).expect("there");
    let der = CertificateDer::from_pem_slice(&pem).expect("PEM");
    let validity = Validity::of(&der).expect("dates");
    assert_eq!(validity.from_ms, 1_577_836_800_000, "2020-01-01");
    assert_eq!(validity.until_ms, 1_640_908_800_000, "2021-12-31");
}

#[test]
fn a_reload_takes_what_works_and_keeps_what_worked() {
    let dir = TempDir::new().expect("a directory");
    let one = files(&dir, "one", 2030);
    let tls = load(&one).expect("it fits");
    let before = tls.current.load_full();
    fs::write(&one.key_file, "torn").expect("written");
    tls.reload(&one).expect_err("a torn file");
    assert!(Arc::ptr_eq(&before, &tls.current.load()), "nothing has changed");
    files(&dir, "one", 2031);
    tls.reload(&one).expect("both are new");
    assert!(!Arc::ptr_eq(&before, &tls.current.load()));
}
