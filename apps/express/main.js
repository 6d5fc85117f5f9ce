// The primary process: starts one worker.js a worker, replaces the ones that die, stops them all.

import cluster from "node:cluster";
import { fileURLToPath } from "node:url";
import { log } from "./log.js";

const GRACE_MS = 10_000;
// Past this many deaths in this time it is a crash loop, which new workers do not end.
const DEATHS_ALLOWED = 5;
const DEATHS_WINDOW_MS = 60_000;

const deaths = [];
let stopping = false;

cluster.setupPrimary({ exec: fileURLToPath(new URL("worker.js", import.meta.url)) });
cluster.on("exit", (worker, code, signal) => {
  if (stopping) return exitWhenAlone();
  log("error", `worker ${worker.process.pid} died (${signal ?? `exit code ${code}`})`);
  const now = Date.now();
  deaths.push(now);
  while (deaths[0] < now - DEATHS_WINDOW_MS) deaths.shift();
  if (deaths.length <= DEATHS_ALLOWED) return cluster.fork();
  log("error", `${deaths.length} workers died within ${DEATHS_WINDOW_MS / 1000} s, giving up`);
  process.exitCode = 1;
  stop();
});
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, stop);
for (let n = 0; n < Number(process.env.WORKERS ?? 1); n++) cluster.fork();

function stop() {
  if (stopping) return;
  stopping = true;
  signalWorkers("SIGTERM");
  setTimeout(() => {
    log("error", `workers still busy after ${GRACE_MS / 1000} s, killing them`);
    process.exitCode = 1;
    signalWorkers("SIGKILL");
  }, GRACE_MS).unref();
  exitWhenAlone();
}

function signalWorkers(signal) {
  for (const worker of Object.values(cluster.workers)) worker.process.kill(signal);
}

function exitWhenAlone() {
  if (Object.keys(cluster.workers).length === 0) process.exit();
}
