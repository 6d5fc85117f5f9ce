//! The environment of child processes.

use super::system::{command, perf_api, take_turn};

#[test]
fn the_locale_of_the_caller_does_not_reach_a_program_that_reports_its_version() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("app");
    std::fs::create_dir(&folder).unwrap();
    let text = "name = 'app'\nkind = 'app'\ntitle = 'App'\nsummary = 'It prints its locale.'\n\
                [process]\nprogram = 'sh'\nargs = []\nmissing = 'get a shell'\n\
                version = ['-c', 'echo $LC_ALL $LANG $LANGUAGE.']\n\
                [http]\nready = '/'\nendpoint = '/'\n";
    std::fs::write(folder.join("component.toml"), text).unwrap();
    let bundle = dir.path().join("bundle.json");
    let mut make = command(env!("CARGO_BIN_EXE_perf-api"));
    make.arg("bundle").arg(&folder).arg("--output").arg(&bundle);
    make.env("LANG", "xx_YY.UTF-8").env("LANGUAGE", "xx").env("LC_ALL", "xx_YY.UTF-8");
    let made = make.output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let pinned = perf_api::bundle::read(&bundle).unwrap();
    assert_eq!(pinned.components[0].version.as_deref(), Some("C.UTF-8 ."));
}

#[test]
fn the_locale_of_the_caller_does_not_reach_the_stores() {
    let _turn = take_turn();
    let results = tempfile::tempdir().unwrap();
    let args = ["quick", "--launcher", "process", "--apps", "express", "--stores", "redis,valkey"];
    let mut run = perf_api(results.path(), &args);
    run.args(["--qps", "100", "--duration", "1s"]);
    // One that is installed nowhere: Redis and Valkey do not start in it.
    for name in ["LANG", "LC_ALL", "LC_COLLATE", "LANGUAGE"] {
        run.env(name, "xx_YY.UTF-8");
    }
    let run = run.output().unwrap();
    let stderr = String::from_utf8_lossy(&run.stderr);
    assert_eq!(run.status.code(), Some(0), "{stderr}");
    let mut ask = command(env!("CARGO_BIN_EXE_perf-api"));
    let measured = "select count(*) as trials from trials where failure_stage is null";
    ask.args(["sql", measured, "--format", "csv", "--results"]).arg(results.path());
    let answer = ask.output().unwrap().stdout;
    assert_eq!(String::from_utf8(answer).unwrap(), "trials\n2\n");
}
