//! What the README and `--help` say of the rules is what `model::rules` says.

use perf_api::model::rules::{
    ALPHA, DEFAULT_MARGIN, Exit, Flag, MAX_FAILED_SHARE, MIN_SUSTAINED_SHARE,
};
use perf_api::units::percent;

use super::env::TestEnv;

const README: &str = include_str!("../../README.md");

/// The rows of the README's table with these titles, without their indentation.
fn table(titles: &str) -> Vec<String> {
    let lines = README.lines().map(str::trim);
    let mut rows = lines.skip_while(|line| *line != titles).skip(2);
    let rows: Vec<String> =
        rows.by_ref().take_while(|line| line.starts_with('|')).map(str::to_owned).collect();
    assert!(!rows.is_empty(), "the README has no table `{titles}`");
    rows
}

#[test]
fn the_tables_of_flags_and_exit_codes_are_those_of_the_program() {
    let flags = Flag::ALL.map(|flag| format!("| `{}` | {} |", flag.as_str(), flag.meaning()));
    assert_eq!(table("| flag | raised when |").join("\n"), flags.join("\n"));
    let codes = Exit::ALL.map(|exit| format!("| {} | {} |", exit.number(), exit.meaning()));
    assert_eq!(table("| exit code | meaning |").join("\n"), codes.join("\n"));
}

#[test]
fn defaults_and_shares_in_the_readme_are_those_of_the_program() {
    let env = TestEnv::new();
    let readme = README.split_whitespace().collect::<Vec<_>>().join(" ");
    let margin = percent(DEFAULT_MARGIN);
    let (sustained, failed) = (percent(MIN_SUSTAINED_SHARE), percent(MAX_FAILED_SHARE));
    for expected in [
        format!("larger than {margin} % (`--margin`)"),
        format!(
            "at least {sustained} % of the planned requests are answered in time, at most {failed} % fail"
        ),
    ] {
        assert!(readme.contains(&expected), "the README does not say: {expected}");
    }
    let help = env.good(&["report", "--help"]);
    assert!(help.contains(&format!("[default: {margin}%]")), "{help}");
    let in_twenty = readme.contains("at most one comparison in twenty");
    assert!(in_twenty && (1.0 / ALPHA - 20.0).abs() < 1e-9, "{ALPHA} is not one in twenty");
}

#[test]
fn the_long_help_lists_every_exit_code() {
    let env = TestEnv::new();
    let help = env.good(&["--help"]);
    for exit in Exit::ALL {
        let line = format!("  {:>3}  {}\n", exit.number(), exit.meaning());
        assert!(help.contains(&line), "{line}{help}");
    }
    // The argument parser ends so by itself.
    let usage = env.output(&["no-such-command"]).status.code();
    assert_eq!(usage, Some(i32::from(Exit::Usage.number())));
}

#[test]
fn a_renamed_option_keeps_its_old_spelling() {
    let env = TestEnv::new();
    let dataset = |seed: &str, option: &str| {
        let run = ["quick", "--fake", "--no-progress", "--stores", "redis", "--repetitions", "3"];
        env.good(&[&run[..], &["--fixed-clock", "--seed", seed, option]].concat())
    };
    // The option allows what is not needed here: the datasets are the same.
    dataset("1", "--allow-shared-cpus");
    dataset("1", "--fit");
    dataset("2", "--fit");
    let compare = ["report", "--compare", "latest~1", "latest", "--force", "--format", "json"];
    let with = |command: &[&str], option: &[&str]| env.transcript(&[command, option].concat());
    let metrics = with(&compare, &["--metrics", "p50,p95"]);
    assert!(metrics.starts_with("exit 0"), "{metrics}");
    assert_eq!(metrics, with(&compare, &["--only", "metric=p50,p95"]));
    assert_eq!(metrics, with(&compare, &["--only", "p50", "--only", "p95"]));
    let trend = ["trend", "p50", "--format", "json"];
    let baseline = with(&trend, &["--baseline", "latest~1"]);
    assert!(baseline.starts_with("exit 0"), "{baseline}");
    assert_eq!(baseline, with(&trend, &["--like", "latest~1"]));
    let ab = ["ab", "bundle.json", "bundle.json", "--fake", "--until-decided"];
    let short = with(&ab, &["--max-duration", "10s"]);
    assert!(short.contains("raise `--max-duration`"), "{short}");
    assert_eq!(short, with(&ab, &["--max", "10s"]));
    let help = ["run", "report", "trend", "ab"].map(|command| env.good(&[command, "--help"]));
    for old in ["--fit", "--only", "--like", "--max "] {
        assert!(help.iter().all(|page| !page.contains(old)), "{old} is shown");
    }
}
