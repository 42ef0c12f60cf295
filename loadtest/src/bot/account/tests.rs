use super::*;

fn take(account: &mut Account, numbers: &[u32]) -> Vec<u32> {
    let text: Vec<u8> =
        numbers.iter().flat_map(|number| Token { number: *number, due_us: 0 }.bytes()).collect();
    let mut new = Vec::new();
    account.take(&text, |token| new.push(token.number));
    new
}

#[test]
fn what_is_missing_late_or_repeated_shows() {
    let mut account = Account::new(true);
    assert_eq!(take(&mut account, &[0, 1]), [0, 1]);
    assert_eq!(take(&mut account, &[3]), [3]);
    assert_eq!((account.seen.received(), account.seen.late, account.seen.repeated), (3, 0, 0));
    assert_eq!(take(&mut account, &[3, 1, 2]), [2]);
    assert_eq!((account.seen.received(), account.seen.late, account.seen.repeated), (4, 1, 2));
    assert_eq!(account.frames, 3);
    assert_eq!(account.updates.map(|updates| updates.len()), Some(3));
}

#[test]
fn the_order_within_a_frame_is_nobodys_fault() {
    let mut account = Account::default();
    assert_eq!(take(&mut account, &[2, 0, 1]), [0, 1, 2]);
    assert_eq!((account.seen.received(), account.seen.late), (3, 0));
}
