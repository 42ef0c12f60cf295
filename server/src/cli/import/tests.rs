//! The shape of its output.

use super::*;

#[test]
fn the_progress_line_has_a_template_that_can_be_read() {
    let _ = style();
}
