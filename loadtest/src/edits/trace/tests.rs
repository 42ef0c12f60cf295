use std::io::Write;

use super::*;
use crate::bot::replica::rebuild;

const JSON: &str = r#"{"startContent":"ab","endContent":"a\u0000🌾c","txns":[
    {"time":"t","patches":[[1,1,"\u0000"],[2,0,"🌾"]]},{"patches":[[3,0,"c"]]}]}"#;

#[test]
fn a_trace_is_read_gzipped_or_not_and_ends_as_it_says() {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(JSON.as_bytes()).unwrap();
    for bytes in [JSON.as_bytes(), &gzip.finish().unwrap()] {
        let trace = Trace::parse(bytes).unwrap();
        assert_eq!(trace.txns.len(), 3);
        let text = rebuild([trace.state(9).unwrap()]).unwrap();
        assert_eq!(text, format!("\n{}\n", trace.end));
    }
}

#[test]
fn a_trace_of_several_authors_is_refused() {
    let json = r#"{"kind":"concurrent","endContent":"","txns":[]}"#;
    assert!(Trace::parse(json.as_bytes()).unwrap_err().to_string().contains("several authors"));
}

#[test]
fn a_made_up_trace_ends_as_it_says() {
    let trace = Trace::made_up(4, 3_000);
    assert_eq!(trace.txns.len(), 3_000);
    assert!(trace.end.len() > 1_000);
    assert_eq!(rebuild([trace.state(1).unwrap()]).unwrap(), format!("\n{}\n", trace.end));
}
