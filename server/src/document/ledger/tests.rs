//! Numbers, names and bytes.

use sheaf_protocol::ids::DocId;
use sheaf_protocol::stamp::Stamp;

use super::*;

fn doc(number: u64) -> DocId {
    DocId(Stamp::new(number, 0, 7))
}

fn ledger() -> (Ledger, Arc<Account>) {
    let ledger = Ledger::default();
    let account = ledger.get_or_new(&VaultName::default()).unwrap();
    account.begin();
    (ledger, account)
}

#[test]
fn a_number_is_given_once() {
    let (ledger, account) = ledger();
    assert!(account.close() && !account.close());
    assert_eq!(account.admit(doc(1), &"a".into(), false), Err(Failure::ReadOnly));
    ledger.forget(&account);
    assert!(account.is_gone() && ledger.get(account.name()).is_none());
    let next = ledger.get_or_new(&VaultName::default()).unwrap();
    assert!(next.number() > account.number());
    assert!(ledger.all().is_empty(), "it was only asked for");
}

#[test]
fn bytes_of_documents_that_come_and_go_add_up() {
    let (_, account) = ledger();
    account.admit(doc(1), &"a".into(), false).unwrap();
    account.admit(doc(2), &"b".into(), false).unwrap();
    account.charge(doc(1), 100, 0);
    account.add(30);
    account.charge(doc(1), 50, 30);
    assert_eq!(account.bytes(), 50);
    account.add(7);
    account.keep(doc(1), 7);
    account.charge(doc(1), 57, 0);
    account.charge(doc(2), 10, 0);
    assert_eq!((account.bytes(), account.documents()), (67, 2));
    account.add(5);
    account.remove(doc(1), "a");
    account.keep(doc(1), 5);
    assert_eq!((account.bytes(), account.documents()), (10, 1));
}

#[test]
fn a_name_is_taken_once_and_an_alias_only_by_rooms() {
    let (_, account) = ledger();
    account.admit(doc(1), &"Äpfel/1".into(), true).unwrap();
    assert_eq!(account.admit(doc(2), &"Äpfel/1".into(), false), Err(Failure::Dropped));
    for alias in ["äpfel/1", "ÄPFEL", "A\u{308}pfel/1/x"] {
        assert_eq!(account.admit(doc(2), &alias.into(), true), Err(Failure::PathTaken), "{alias}");
    }
    account.admit(doc(2), &"äpfel/1".into(), false).unwrap();
    account.remove(doc(1), "Äpfel/1");
    assert_eq!(account.conflict("ÄPFEL/1"), Some("äpfel/1".into()));
    account.remove(doc(2), "äpfel/1");
    assert_eq!(account.conflict("ÄPFEL/1"), None);
}

#[test]
fn a_name_that_changes_fails_with_its_commit() {
    let (_, account) = ledger();
    account.admit(doc(1), &"a".into(), true).unwrap();
    account.admit(doc(2), &"b".into(), true).unwrap();
    let rename =
        |to: &str, commit: Result<(), ()>| account.rename((doc(1), "a", &to.into()), || commit);
    assert_eq!(rename("B", Ok(())), Err(Ok("b".into())));
    assert_eq!(rename("c", Err(())), Err(Err(())));
    assert_eq!(account.path_of(doc(1)), Some("a".into()));
    assert_eq!(rename("a/folder", Ok(())), Ok(()), "below its own old name");
    assert_eq!(account.path_of(doc(1)), Some("a/folder".into()));
    assert_eq!((account.find("a"), account.documents()), (None, 2));
}
