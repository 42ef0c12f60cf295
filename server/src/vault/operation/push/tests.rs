//! Which operations may be under way at once.

use sheaf_protocol::control::OperationKind;

use super::*;

fn about(paths: &[(&str, Option<&str>)]) -> Vec<Operation> {
    let operation = |(at, (path, to)): (usize, &(&str, Option<&str>))| Operation {
        id: Re::Number(at as i64),
        r#type: OperationKind::MoveFile,
        path: (*path).to_owned(),
        to: to.map(str::to_owned),
        content: None,
        encoding: None,
        blob: None,
        diff: None,
        unit: None,
        base_version: None,
        stamp: None,
        timestamp: None,
    };
    paths.iter().enumerate().map(operation).collect()
}

#[test]
fn what_may_meet_on_a_disk_keeps_its_order() {
    let apart: [&[(&str, Option<&str>)]; 4] = [
        &[],
        &[("a.md", None), ("b.md", None)],
        &[("d/a.md", None), ("d/b.md", Some("e/b.md"))],
        &[("a", None), ("ab/c", None), ("b/a", None)],
    ];
    for paths in apart {
        assert!(are_apart(&about(paths)), "{paths:?}");
    }
    let together: [&[(&str, Option<&str>)]; 6] = [
        &[("a.md", None), ("a.md", None)],
        &[("A.md", None), ("a.md", None)],
        &[("a.md", Some("b.md")), ("c.md", Some("B.md"))],
        &[("a", None), ("a/b/c", None)],
        &[("D/a", None), ("x", Some("d"))],
        &[("d/", None), ("x", None)],
    ];
    for paths in together {
        assert!(!are_apart(&about(paths)), "{paths:?}");
    }
}
