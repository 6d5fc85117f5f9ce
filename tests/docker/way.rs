//! How the load reaches a container: by its own address, or through a published port where the host
//! cannot reach that.

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::engine::{Engine, answer};
use crate::system::{command, perf_api};

/// A group that nobody is in but the run whose packets are dropped.
const GROUP: u32 = 12_345;

/// The firewall keeps processes of a group away from where Docker puts networks, until it is dropped.
/// Docker's own proxy is not of that group.
struct Wall;

impl Wall {
    fn change(order: &str) -> bool {
        let rule = format!(
            "{order} OUTPUT -m owner --gid-owner {GROUP} -d 172.16.0.0/12,192.168.0.0/16 -j DROP"
        );
        command("iptables").args(rule.split(' ')).status().is_ok_and(|status| status.success())
    }

    fn raise() -> Self {
        assert!(Self::change("-I"), "iptables refused");
        Self
    }
}

impl Drop for Wall {
    fn drop(&mut self) {
        Self::change("-D");
    }
}

const PUBLISHED: &str =
    "select flags like '%path_published%' as published, completed > 0 as served from trials";

#[test]
fn where_containers_cannot_be_reached_a_port_is_published_and_trials_say_so() {
    let engine = Engine::new();
    let quick = |group: Option<u32>, more: &[&str]| {
        let results = tempfile::tempdir().unwrap();
        let mut run = perf_api(results.path(), &["quick", "--launcher", "docker"]);
        run.args(["--apps", "express", "--stores", "redis", "--duration", "2s"]).args(more);
        if let Some(group) = group {
            run.gid(group);
        }
        let output = run.stdout(Stdio::null()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let paths = answer(results.path(), PUBLISHED);
        assert!(engine.nothing_is_left());
        paths
    };
    assert_eq!(quick(None, &[]), "published,served\nfalse,true\n");
    assert_eq!(quick(None, &["--publish"]), "published,served\ntrue,true\n");
    let _wall = Wall::raise();
    assert_eq!(quick(Some(GROUP), &[]), "published,served\ntrue,true\n");
}
