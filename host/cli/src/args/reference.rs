//! The reference of the command line, generated from the help texts.
//!
//! `HOLYSTONE_BLESS=1 cargo test -p holystone --bins` regenerates the page; read the diff.

use std::fmt::Write as _;
use std::path::Path;

use clap::{Arg, ArgAction, Command, CommandFactory as _};

use super::{Arguments, KubectlArguments};

#[test]
fn the_reference_is_what_the_help_says() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/cli.md");
    let page = page();
    if std::env::var_os("HOLYSTONE_BLESS").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let written = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(written == page, "docs/cli.md is not what host/cli/src/args.rs says; it should read:\n{page}");
}

fn page() -> String {
    let mut page =
        "# Command line\n\nMade from the help texts of the binary; `holystone help COMMAND` prints the same.\n"
            .to_owned();
    for mut command in [Arguments::command(), KubectlArguments::command()] {
        command.build();
        section(&mut page, &command);
        for command in command.get_subcommands().filter(|command| command.get_name() != "help") {
            section(&mut page, command);
        }
    }
    page
}

fn section(page: &mut String, command: &Command) {
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let about = command.get_long_about().or(command.get_about()).map(ToString::to_string).unwrap_or_default();
    let usage = command.clone().render_usage().to_string();
    let usage = usage.trim_start_matches("Usage: ").split_whitespace().collect::<Vec<_>>().join(" ");
    let _ = write!(page, "\n## {name}\n\n{}\n\n```\n{usage}\n```\n", sentence(&lines(&about, "\n")));
    let is_root = command.get_subcommands().next().is_some();
    let is_shown = |argument: &&Arg| {
        !argument.is_hide_set()
            && !["help", "version"].contains(&argument.get_id().as_str())
            && (is_root || !argument.is_global_set())
    };
    let arguments: Vec<&Arg> = command.get_arguments().filter(is_shown).collect();
    if !arguments.is_empty() {
        page.push_str("\n| Option | Meaning |\n|---|---|\n");
    }
    for argument in arguments {
        let _ = writeln!(
            page,
            "| `{}` | {} |",
            spelling(argument).replace('|', "\\|"),
            meaning(argument).replace('|', "\\|")
        );
    }
}

fn spelling(argument: &Arg) -> String {
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    let names: Vec<String> = argument.get_value_names().unwrap_or_default().iter().map(ToString::to_string).collect();
    let value = if takes_value { format!(" {}", names.join(" ")) } else { String::new() };
    let short = argument.get_short().map(|short| format!("-{short}, ")).unwrap_or_default();
    match argument.get_long() {
        Some(long) => format!("{short}--{long}{value}"),
        None => names.join(" "),
    }
}

fn meaning(argument: &Arg) -> String {
    let help = argument.get_long_help().or(argument.get_help()).map(ToString::to_string).unwrap_or_default();
    let mut parts = vec![sentence(&lines(&help, " "))];
    let words: Vec<String> = argument
        .get_possible_values()
        .iter()
        .filter(|word| !word.is_hide_set())
        .map(|word| format!("`{}`", word.get_name()))
        .collect();
    let takes_value = matches!(argument.get_action(), ArgAction::Set | ArgAction::Append);
    if takes_value && !words.is_empty() {
        parts.push(format!("One of {}.", words.join(", ")));
    }
    let defaults: Vec<String> =
        argument.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    if takes_value && !defaults.is_empty() {
        parts.push(format!("Default: {}.", defaults.join(", ")));
    }
    if let Some(variable) = argument.get_env() {
        parts.push(format!("Variable: `{}`.", variable.to_string_lossy()));
    }
    parts.retain(|part| !part.is_empty());
    parts.join(" ")
}

/// Restores the full stop that clap removes from a sentence.
fn sentence(text: &str) -> String {
    if text.is_empty() || text.ends_with(['.', ':']) { text.to_owned() } else { format!("{text}.") }
}

/// Joins the lines of a text, trimmed and without empty ones.
fn lines(text: &str, by: &str) -> String {
    text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join(by)
}
