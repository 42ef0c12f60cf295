use super::*;

#[test]
fn a_command_is_cut_into_words() {
    let spec = Spec::command("a", "/opt/bin/a --port {port} 'b c'", Dialect::Hocuspocus).unwrap();
    let Origin::Command(words) = &spec.origin else { panic!("{spec:?}") };
    assert_eq!(words, &["/opt/bin/a", "--port", "{port}", "b c"]);
    assert_eq!(spec.shown(), "a --port {port} b c");
    assert!(Spec::command("a", "b 'c", Dialect::YSweet).is_err());
    assert!(Spec::command("a", " ", Dialect::YSweet).is_err());
}

#[test]
fn a_name_stands_before_its_command() {
    let expected = ("peer".to_owned(), "env A=b node x.mjs".to_owned());
    assert_eq!(named("peer=env A=b node x.mjs").unwrap(), expected);
    assert!(named("node x.mjs").is_err());
    assert!(named("env A=b").is_err());
    assert!(named("=b").is_err());
}
