use super::*;

fn named(name: &str) -> Principal {
    Principal::Named(Arc::from(name))
}

fn check(
    owners: &Owners,
    from: u32,
    source: Source,
    who: &Principal,
    live: Option<(bool, Live)>,
) -> Verdict {
    let span = Span { client: 1, from, end: from + 1 };
    let (has_asked, live) = live.unwrap_or((false, Live::Gone));
    let asked = if has_asked { vec![named("alice")] } else { Vec::new() };
    let by = Submitter { author: Author::of(who), asked: Some(&asked) };
    owners.check(&span, source, by, |_| live)
}

fn of(owner: &Principal) -> Owners {
    let mut owners = Owners::default();
    owners.bind(1, owner.clone());
    owners
}

#[test]
fn a_new_id_is_bound_by_a_live_edit_and_not_by_an_answer() {
    let alice = named("alice");
    let none = Owners::default();
    assert_eq!(check(&none, 0, Source::Update, &alice, None), Verdict::Bound);
    assert_eq!(check(&none, 0, Source::Step2, &alice, None), Verdict::Allowed);
    assert_eq!(check(&none, 5, Source::Update, &alice, None), Verdict::Allowed);
}

#[test]
fn what_awareness_bound_is_written_down_with_the_first_blocks() {
    let alice = named("alice");
    let owners = of(&alice);
    assert_eq!(check(&owners, 0, Source::Step2, &alice, None), Verdict::Bound);
    assert_eq!(check(&owners, 5, Source::Update, &alice, None), Verdict::Allowed);
}

#[test]
fn ids_of_the_anonymous_principal_are_anyone_s() {
    let owners = of(&Principal::Anonymous);
    assert_eq!(check(&owners, 5, Source::Update, &named("bob"), None), Verdict::Allowed);
}

#[test]
fn another_s_id_is_refused_live_and_asked_for_in_an_answer() {
    let (alice, bob) = (named("alice"), named("bob"));
    let owners = of(&alice);
    let by_bob = |source, live| check(&owners, 5, source, &bob, Some(live));
    assert_eq!(by_bob(Source::Update, (false, Live::Gone)), Verdict::Refused);
    let via = Verdict::Via(Arc::from("alice"));
    assert_eq!(by_bob(Source::Step2, (false, Live::Gone)), via);
    assert_eq!(by_bob(Source::Step2, (false, Live::Here)), Verdict::Ask(alice.clone()));
    assert_eq!(by_bob(Source::Step2, (false, Live::Using)), Verdict::Ask(alice));
    assert_eq!(by_bob(Source::Step2, (true, Live::Here)), via);
    assert_eq!(by_bob(Source::Step2, (true, Live::Using)), Verdict::Refused);
}
