//! The shape of the command line.

use clap::CommandFactory;

use super::*;

#[test]
fn the_arguments_are_consistent() {
    Arguments::command().debug_assert();
}

#[test]
fn help_tells_the_exit_codes() {
    assert!(Arguments::command().render_help().to_string().contains("found damage"));
}
