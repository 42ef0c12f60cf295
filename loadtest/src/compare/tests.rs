use super::*;
use crate::outcome::Dialect;

#[test]
fn every_second_round_is_reversed() {
    let servers =
        ["a", "b", "c"].map(|name| Spec::command(name, "run", Dialect::YWebsocket).unwrap());
    let names = |round| -> String {
        in_order(&servers, round).into_iter().map(|spec| spec.name.as_str()).collect()
    };
    assert_eq!([names(1), names(2), names(3)], ["abc", "cba", "abc"]);
}
