//! The exported text: names, units, labels.

use super::*;

#[test]
fn every_metric_is_exported_from_the_start_with_help_and_prefix() {
    let text = Metrics::new().text();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        assert!(line.starts_with("sheaf_"), "{line}");
    }
    for name in [
        "sheaf_build_info{version=",
        "sheaf_sessions 0",
        "sheaf_sessions_opened_total 0",
        "sheaf_refused_total{code=\"malformed\"} 0",
        "sheaf_messages_total{direction=\"in\",type=\"update\"} 0",
        "sheaf_socket_bytes_total{direction=\"out\"} 0",
        "sheaf_documents_loaded 0",
        "sheaf_document_bytes 0",
        "sheaf_journal_written_position_bytes 0",
        "sheaf_journal_durable_position_bytes 0",
        "sheaf_journal_folded_position_bytes 0",
        "sheaf_fsyncs_total 0",
        "sheaf_fsync_seconds_count 0",
        "sheaf_update_apply_seconds_bucket{le=\"0.00001\"} 0",
        "sheaf_updates_total{outcome=\"nothing_new\"} 0",
        "sheaf_task_panics_total 0",
    ] {
        assert!(text.contains(name), "{name} is not in\n{text}");
    }
}

#[test]
fn a_label_table_is_in_the_order_of_its_enum() {
    for (at, (kind, _)) in MessageKind::ALL.iter().enumerate() {
        assert_eq!(*kind as usize, at);
    }
    for (at, (outcome, _)) in Outcome::ALL.iter().enumerate() {
        assert_eq!(*outcome as usize, at);
    }
}

#[test]
fn what_is_counted_is_exported() {
    let metrics = Metrics::new();
    metrics.relay.refuse(Code::TooLarge);
    metrics.relay.messages(Direction::Out, MessageKind::Echo).inc();
    metrics.document.updates(Outcome::Changed).inc_by(3);
    metrics.answer(404);
    let text = metrics.text();
    for line in [
        "sheaf_refused_total{code=\"too_large\"} 1",
        "sheaf_messages_total{direction=\"out\",type=\"echo\"} 1",
        "sheaf_updates_total{outcome=\"changed\"} 3",
        "sheaf_http_requests_total{status=\"404\"} 1",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
}
