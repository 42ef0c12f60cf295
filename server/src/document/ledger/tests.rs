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
fn names_that_were_only_asked_for_do_not_keep_others_out() {
    let (ledger, account) = ledger();
    let ask = |number: usize| ledger.get_or_new(&format!("asked{number}").parse().unwrap());
    let used: Vec<_> = (1..VAULTS_MAX).map(|number| ask(number).unwrap()).collect();
    assert!(ask(VAULTS_MAX).is_none(), "all are in use");
    let kept = Arc::clone(&used[0]);
    drop(used);
    let late = ask(VAULTS_MAX).unwrap();
    assert!(late.number() > kept.number());
    assert_eq!(ask(1).unwrap().number(), kept.number(), "it is in use still");
    assert_eq!(ledger.get(account.name()).unwrap().number(), account.number(), "it exists");
    assert!(ask(2).unwrap().number() > late.number(), "a number is given once");
}

#[test]
fn what_is_kept_of_a_deleted_document_stays_charged() {
    let quota = Quota { vault_bytes_max: 3_000, vault_documents_max: 0 };
    let ledger = Ledger::new(quota, Counter::default());
    let account = ledger.get_or_new(&VaultName::default()).unwrap();
    account.begin();
    let mut deleted = 0;
    while !account.is_over(100) {
        account.admit(doc(deleted), &"a".into(), false).unwrap();
        account.add(100);
        account.bury(doc(deleted), "a", 100);
        account.keep(doc(deleted), 100);
        deleted += 1;
        assert_eq!(account.bytes(), deleted * (100 + TOMBSTONE_BYTES));
    }
    assert_eq!(deleted, 3, "who writes and deletes comes to an end");
    let again = ledger.get_or_new(&"again".parse().unwrap()).unwrap();
    (0..deleted).for_each(|_| again.charge_buried(100));
    assert_eq!(again.bytes(), account.bytes(), "also after a start");
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

#[test]
fn many_names_change_as_one_or_not_at_all() {
    use super::arranging::Place;

    let (_, account) = ledger();
    for (number, path) in [(1, "a/1"), (2, "a/2"), (3, "b")] {
        account.admit(doc(number), &path.into(), true).unwrap();
        account.charge(doc(number), 10, 0);
    }
    let all = || account.page("", None, 10);
    let (before, path): (_, Arc<str>) = (all(), "A/2".into());
    let refused = account.rearrange(|names| {
        assert_eq!(names.under("a/").count(), 2);
        names.free(&"a/1".into());
        names.free(&"b".into());
        names.take(doc(1), &"b".into()).unwrap();
        Err::<((), Vec<_>), _>(names.take(doc(3), &path).unwrap_err())
    });
    assert_eq!((refused, all()), (Err("a/2".into()), before.clone()));
    assert!(account.try_out(|names| {
        names.free(&"b".into());
        names.take(doc(3), &"c".into()).is_ok()
    }));
    assert_eq!(all(), before);
    let done = account.rearrange(|names| {
        for path in ["a/1", "a/2", "b"] {
            names.free(&path.into());
        }
        names.take(doc(2), &path).unwrap();
        names.take(doc(3), &"a/2".into()).unwrap_err();
        let places = [(doc(1), Place::Buried(10)), (doc(2), Place::At(path.clone()))];
        names.take(doc(3), &"b".into()).unwrap();
        Ok::<_, ()>(((), places.to_vec()))
    });
    assert_eq!(done, Ok(()));
    assert_eq!(all(), [(path.clone(), doc(2)), ("b".into(), doc(3))]);
    assert_eq!(account.path_of(doc(2)), Some(path));
    assert_eq!((account.path_of(doc(1)), account.bytes()), (None, 30 + TOMBSTONE_BYTES));
}
