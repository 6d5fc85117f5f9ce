//! What `--help` says beside the arguments: groups of commands, examples and exit codes.

use clap::{Command, CommandFactory};

use super::commands::Args;
use crate::model::rules::Exit;

/// A command, and two examples of it without the name of the program.
type Entry = (&'static str, [&'static str; 2]);

/// Every command for users, by what it is for.
const GROUPS: [(&str, &[Entry]); 4] = [
    (
        "Measure",
        &[
            ("quick", ["quick", "quick --stores redis,valkey"]),
            ("full", ["full", "full --allow-missing --results full"]),
            ("run", ["run my.toml", "run my.toml --qps 500,1k --repetitions 3"]),
            ("plan", ["plan full", "plan my.toml --format json"]),
            ("resume", ["resume", "resume --force"]),
            (
                "capacity",
                [
                    "capacity --slo 'p99<50ms,errors<0.1%' --qps 500,4000",
                    "capacity --slo 'p50<5ms' --slo 'p99<50ms' --apps express",
                ],
            ),
            ("reproduce", ["reproduce", "reproduce example --fail-on regressed"]),
            ("bundle", ["bundle apps/express apps/redis", "bundle ~/mine --output mine.json"]),
        ],
    ),
    (
        "Compare",
        &[
            (
                "ab",
                [
                    "ab apps/express ~/express --repetitions 3",
                    "ab old.json new.json --until-decided --max-duration 2h",
                ],
            ),
            (
                "report",
                ["report example --open", "report --compare latest~1 latest --metrics p95,p99"],
            ),
            ("trend", ["trend p95", "trend p95 --where \"app = 'express'\" --baseline example"]),
        ],
    ),
    (
        "Data",
        &[
            ("results", ["results list", "results verify --all"]),
            ("serve", ["serve --open", "serve --listen 127.0.0.1:0"]),
            (
                "sql",
                [
                    "sql \"SELECT app, avg(achieved_rps) FROM trials GROUP BY ALL\"",
                    "sql --dataset example --file cases.sql --format csv",
                ],
            ),
            ("schema", ["schema", "schema --format json"]),
        ],
    ),
    (
        "Host",
        &[
            ("doctor", ["doctor", "doctor --remeasure"]),
            ("calibrate", ["calibrate", "calibrate --apps express --stores redis"]),
            (
                "completions",
                [
                    "completions bash > ~/.local/share/bash-completion/completions/perf-api",
                    "completions fish > ~/.config/fish/completions/perf-api.fish",
                ],
            ),
            ("man", ["man > perf-api.1", "man ~/.local/share/man/man1"]),
        ],
    ),
];

/// The whole command line, with its help.
pub(super) fn command() -> Command {
    let mut command = Args::command();
    for (name, own) in GROUPS.iter().flat_map(|(_, entries)| *entries) {
        command = command.mut_subcommand(name, |one| one.after_help(examples(own)));
    }
    let groups = groups(&command);
    let more = "Type `perf-api COMMAND --help` for the options and examples of a command.";
    command
        .help_template(format!(
            "{{about}}\n\n{{usage-heading}} {{usage}}\n\n{groups}Options:\n{{options}}{{after-help}}"
        ))
        .after_help(more)
        .after_long_help(format!("{}\n{more}", exit_codes()))
}

fn examples([first, second]: &[&str; 2]) -> String {
    format!("Examples:\n  perf-api {first}\n  perf-api {second}")
}

/// Each group with its commands, and what each does.
fn groups(command: &Command) -> String {
    let longest = GROUPS.iter().flat_map(|(_, own)| own.iter().map(|(name, _)| name.len())).max();
    let width = longest.unwrap_or_default();
    let line = |(name, _): &Entry| {
        let own = command.find_subcommand(name).and_then(Command::get_about);
        let about = own.map(ToString::to_string).unwrap_or_default();
        format!("  {name:width$}  {about}\n")
    };
    let group = |(title, entries): &(&str, &[Entry])| {
        format!("{title}:\n{}\n", entries.iter().map(line).collect::<String>())
    };
    GROUPS.iter().map(group).collect()
}

fn exit_codes() -> String {
    let lines = Exit::ALL.map(|exit| format!("  {:>3}  {}\n", exit.number(), exit.meaning()));
    format!("Exit codes:\n{}", lines.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The longest line of help, in characters.
    const MAX_HELP_CHARS: usize = 80;

    /// The words of a line of shell without redirections: quotes hold a word together.
    fn words(line: &str) -> Vec<String> {
        let line = line.split(" > ").next().unwrap();
        let (mut words, mut open) = (vec![String::new()], None);
        for c in line.chars() {
            match (c, open) {
                ('\'' | '"', None) => open = Some(c),
                (_, Some(quote)) if quote == c => open = None,
                (' ', None) => words.push(String::new()),
                _ => words.last_mut().unwrap().push(c),
            }
        }
        words
    }

    #[test]
    fn every_command_is_in_a_group_with_two_examples_that_are_understood() {
        let mut grouped: Vec<&str> = Vec::new();
        for (name, examples) in GROUPS.iter().flat_map(|(_, entries)| *entries) {
            grouped.push(name);
            assert_ne!(examples[0], examples[1]);
            for example in examples {
                let own = words(example);
                assert_eq!(own[0], *name);
                let args = std::iter::once("perf-api".to_owned()).chain(own);
                let parsed = command().try_get_matches_from(args);
                assert!(parsed.is_ok(), "{example}: {}", parsed.unwrap_err());
            }
        }
        grouped.sort_unstable();
        let command = Args::command();
        let visible = command.get_subcommands().filter(|one| !one.is_hide_set());
        let mut visible: Vec<&str> = visible.map(Command::get_name).collect();
        visible.sort_unstable();
        assert_eq!(grouped, visible);
    }

    /// Checks the help of a command, of its arguments and of their values; counts the lines.
    fn check_lines(command: &Command) -> usize {
        let mut lines = Vec::new();
        let mut add = |what: String, line: Option<String>| lines.push((what, line));
        let name = command.get_name();
        add(name.to_owned(), command.get_about().map(ToString::to_string));
        for arg in command.get_arguments().filter(|arg| !arg.is_hide_set()) {
            let what = format!("{name} {}", arg.get_id());
            assert!(arg.get_long_help().is_none(), "{what} has a second paragraph");
            add(what.clone(), arg.get_help().map(ToString::to_string));
            for value in arg.get_possible_values() {
                let help = value.get_help().map(ToString::to_string);
                // A value whose name says it all has none.
                add(format!("{what} {}", value.get_name()), help.or(Some(String::new())));
            }
        }
        for (what, line) in &lines {
            assert!(line.is_some(), "{what} has no help");
            let line = line.as_deref().unwrap_or_default();
            let chars = line.chars().count();
            assert!(chars <= MAX_HELP_CHARS, "{what}: {chars} characters: {line}");
            assert!(!line.contains('\n') && !line.ends_with('.'), "{what}: {line}");
        }
        let inner = command.get_subcommands().filter(|one| !one.is_hide_set());
        lines.len() + inner.map(check_lines).sum::<usize>()
    }

    #[test]
    fn every_line_of_help_is_short() {
        assert!(check_lines(&Args::command()) > 100);
    }
}
