use super::*;

#[test]
fn vault_names_keep_to_their_alphabet() {
    for name in ["a", "default", "Team.1_x-Y", "...", "-", &"v".repeat(64)] {
        assert_eq!(name.parse::<VaultName>().map(String::from), Ok(name.to_owned()));
    }
    for name in ["", ".", "..", "a/b", "a b", "é", "a\0", "%2e", &"v".repeat(65)] {
        assert_eq!(name.parse::<VaultName>(), Err(BadName::Vault), "{name}");
    }
}

#[test]
fn a_vault_name_is_checked_when_it_is_deserialised() {
    assert!(serde_json::from_str::<VaultName>("\"ok\"").is_ok());
    assert!(serde_json::from_str::<VaultName>("\"../x\"").is_err());
}

#[test]
fn document_names_are_any_text_that_fits() {
    assert_eq!(check_document_name("a room / with anything?"), Ok(()));
    assert_eq!(check_document_name(&"é".repeat(512)), Ok(()));
    assert_eq!(check_document_name(&"é".repeat(513)), Err(BadName::Document));
    assert_eq!(check_document_name(""), Err(BadName::Document));
}

#[test]
fn a_name_for_urls_needs_no_escaping() {
    for name in ["a", "new", "-", "V1StGXR8_Z5jdHi6B-myT", &"x".repeat(1024)] {
        assert_eq!(check_url_name(name), Ok(()), "{name}");
    }
    for name in ["", "a/b", "a.b", "a b", "é", "a\0", "%2e", "..", &"x".repeat(1025)] {
        assert_eq!(check_url_name(name), Err(BadName::Url), "{name}");
    }
}

#[test]
fn a_document_key_reads_as_vault_and_ulid() {
    let doc = DocId(Stamp::new(1, 2, 3));
    let key = DocKey { vault: VaultNo(7), doc };
    assert_eq!(key.to_string(), format!("7/{doc}"));
    assert_eq!(doc.to_string().parse(), Ok(doc));
}
