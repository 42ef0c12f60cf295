use super::*;

fn patch(at: u32, deleted: u32, inserted: &str) -> Patch {
    Patch { at, deleted, inserted: inserted.to_owned() }
}

#[test]
fn whole_hands_that_hear_of_each_other_read_the_same() {
    let mut hands = [Hand::whole(1), Hand::whole(2)];
    for number in 0..200_u32 {
        let (own, other) = (number as usize % 2, (number as usize + 1) % 2);
        let mut update = Vec::new();
        let deleted = u32::from(number % 5 == 0);
        let inserted = if number % 7 == 0 { "" } else { "ü" };
        let patches = [patch(number % 13, deleted, inserted)];
        let mark = hands[own].apply(&patches, &mut update);
        assert_eq!(mark.is_some(), !update.is_empty());
        assert_eq!(matches!(mark, Some(Mark::Inserts(_))), !inserted.is_empty());
        if mark.is_some() {
            hands[other].take(&update);
        }
    }
    let [one, two] = &hands;
    assert!(one.len() > 50);
    assert_eq!(one.read(), two.read());
}

#[test]
fn a_light_hand_reads_nothing() {
    let mut hand = Hand::light(1);
    assert!(hand.opening().is_some() && hand.read().is_none());
    assert!(hand.apply(&[patch(0, 0, "a")], &mut Vec::new()).is_some());
    assert_eq!(hand.len(), 1);
}
