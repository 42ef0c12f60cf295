//! The shape of the command line.

use clap::CommandFactory;

use super::*;

#[test]
fn the_arguments_are_consistent() {
    command().debug_assert();
}

#[test]
fn help_tells_the_exit_codes() {
    assert!(command().render_help().to_string().contains("found damage"));
}

#[test]
fn every_command_stands_in_one_group_of_the_help() {
    let grouped: Vec<&str> = GROUPS.iter().flat_map(|(_, names)| *names).copied().collect();
    let arguments = Arguments::command();
    for command in arguments.get_subcommands().map(clap::Command::get_name) {
        assert_eq!(grouped.iter().filter(|name| **name == command).count(), 1, "{command}");
    }
    assert_eq!(grouped.len(), arguments.get_subcommands().count());
}

#[test]
fn every_command_and_flag_says_what_it_is_for() {
    fn check(command: &clap::Command) {
        let name = command.get_name();
        assert!(command.get_about().is_some(), "{name}");
        for argument in command.get_arguments() {
            assert!(argument.get_help().is_some(), "{name} {}", argument.get_id());
        }
        command.get_subcommands().for_each(check);
    }
    check(&Arguments::command());
}
