//! The network path of the load to a container: its own address, or a published port if the host cannot
//! reach that address.

use std::os::unix::process::CommandExt;
use std::process::Stdio;

use crate::engine::{Engine, answer};
use crate::system::{command, perf_api};

/// A group with only the run whose packets are dropped.
const GROUP: u32 = 12_345;

/// Drops packets from processes of a group to Docker's networks, until it is dropped. Docker's own proxy is
/// not in that group.
struct FirewallRule;

impl FirewallRule {
    fn change(order: &str) -> bool {
        let rule = format!(
            "{order} OUTPUT -m owner --gid-owner {GROUP} -d 172.16.0.0/12,192.168.0.0/16 -j DROP"
        );
        command("iptables").args(rule.split(' ')).status().is_ok_and(|status| status.success())
    }

    fn insert() -> Self {
        assert!(Self::change("-I"), "iptables failed");
        Self
    }
}

impl Drop for FirewallRule {
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
    let _rule = FirewallRule::insert();
    assert_eq!(quick(Some(GROUP), &[]), "published,served\ntrue,true\n");
}
