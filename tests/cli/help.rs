//! `--help`, completions and manual pages.

use super::env::TestEnv;

#[test]
fn the_help_groups_commands_and_each_command_has_examples() {
    let env = TestEnv::new();
    let help = env.good(&["--help"]);
    for group in ["Measure:\n", "Compare:\n", "Data:\n", "Host:\n", "Options:\n"] {
        assert_eq!(help.matches(group).count(), 1, "{group}{help}");
    }
    assert!(!help.contains("supervise"), "a hidden command is shown: {help}");
    let ab = env.good(&["ab", "--help"]);
    assert!(ab.contains("Examples:\n  perf-api ab apps/express "), "{ab}");
}

#[test]
fn a_shell_completes_commands_and_options() {
    let env = TestEnv::new();
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = env.good(&["completions", shell]);
        assert!(script.contains("capacity") && script.contains("allow-shared-cpus"), "{shell}");
    }
    let bash = env.good(&["completions", "bash"]);
    assert!(!bash.contains("supervise"), "a hidden command is completed");
    env.write("perf-api.bash", &bash);
    let completed = |words: &str, current: u32| {
        let last = words.rsplit(' ').next().unwrap();
        env.shell(&format!(
            "source perf-api.bash; COMP_WORDS=({words}); COMP_CWORD={current}; \
             function=$(complete -p perf-api | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
             $function perf-api '{last}' x; echo \"${{COMPREPLY[@]}}\""
        ))
    };
    assert_eq!(completed("perf-api capa", 1), "exit 0\n--- stdout\ncapacity\n--- stderr\n");
    let option = completed("perf-api ab a b --max-d", 4);
    assert_eq!(option, "exit 0\n--- stdout\n--max-duration\n--- stderr\n");
}

#[test]
fn every_command_has_a_manual_page() {
    let env = TestEnv::new();
    let main = env.good(&["man"]);
    assert!(main.contains(".TH perf-api 1") && main.contains("interrupted by a signal"), "{main}");
    env.good(&["man", "pages/man1"]);
    let page = |name: &str| String::from_utf8(env.read(&format!("pages/man1/{name}.1"))).unwrap();
    assert_eq!(page("perf-api").lines().next(), main.lines().next());
    for (name, content) in [
        ("perf-api-capacity", "errors<0.1%"),
        ("perf-api-results-verify", "Check every dataset"),
        ("perf-api-ab", "max\\-duration"),
    ] {
        assert!(page(name).contains(content), "{name}: {}", page(name));
    }
    assert!(!env.path("pages/man1/perf-api-supervise.1").exists(), "a hidden command has a page");
    env.write("file", "");
    let refused = env.transcript(&["man", "file/man1"]);
    assert!(refused.starts_with("exit 1\n"), "{refused}");
    assert!(refused.contains("cannot write manual pages to file/man1: "), "{refused}");
}
