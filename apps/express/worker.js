// A worker process: the API under test, on Express. One key of the store, served as it is stored.

import { createRequire } from "node:module";
import { setTimeout as sleep } from "node:timers/promises";
import express from "express";
import { log } from "./log.js";
import { openStore, StoreUnavailable } from "./store.js";

const { HOST = "127.0.0.1", PORT = "8000", STORE_HOST = "127.0.0.1", STORE_PORT = "6379" } = process.env;
const { KEY = "cached-value", WORKERS = "1" } = process.env;
const versionOf = (name) => createRequire(import.meta.url)(`${name}/package.json`).version;
const ABOUT = {
  component: "express",
  runtime: `Node.js ${process.versions.node}`,
  engine: `V8 ${process.versions.v8}`,
  framework: `Express ${versionOf("express")}`,
  server: `node:http ${process.versions.node}, node:cluster`,
  event_loop: `libuv ${process.versions.uv}`,
  http_parser: `llhttp ${process.versions.llhttp}`,
  store_client: `node-redis ${versionOf("redis")}`,
  workers: WORKERS,
};

const store = openStore(STORE_HOST, Number(STORE_PORT));
const app = express();
app.disable("x-powered-by");
app.disable("etag");
// One spelling a path: neither /About nor /about/ is /about.
app.enable("case sensitive routing");
app.enable("strict routing");

// Also answers HEAD, as Express does for every `get`.
const get = (path, handler) => app.route(path).get(handler).all(methodNotAllowed);

get("/cached-value", async (req, res) => {
  const value = await store.get(KEY);
  if (value === null) return sendJson(res, 404, { error: "not_found" });
  res.type("application/octet-stream").send(value);
});
get("/healthz", async (req, res) => {
  await store.ping();
  sendJson(res, 200, { status: "ok" });
});
get("/about", (req, res) => sendJson(res, 200, ABOUT));

app.use((req, res) => sendJson(res, 404, { error: "not_found" }));
app.use((err, req, res, next) => {
  if (res.headersSent) return next(err);
  if (err instanceof StoreUnavailable) return sendJson(res, 503, { error: "store_unavailable" });
  log("error", err.stack ?? err);
  sendJson(res, 500, { error: "internal" });
});

function methodNotAllowed(req, res) {
  res.setHeader("Allow", "GET, HEAD");
  sendJson(res, 405, { error: "method_not_allowed" });
}

// `res.json` adds a charset, which JSON does not have (RFC 8259, section 11).
function sendJson(res, status, value) {
  res.status(status).setHeader("Content-Type", "application/json");
  res.send(Buffer.from(JSON.stringify(value)));
}

// A healthy store answers before the first request; a dead one must not keep the API from starting.
await Promise.race([store.firstAttempt, sleep(1_000)]);
const server = app.listen({ host: HOST, port: Number(PORT), backlog: 2048 }, (error) => {
  if (!error) return;
  log("error", error.message);
  process.exit(1);
});
// Longer than any client's pause between two requests: the server is not the side that hangs up.
server.keepAliveTimeout = 75_000;

// Both the launcher, through the process group, and the primary send the signal: once is enough.
let stopping = false;
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, stop);
function stop() {
  if (stopping) return;
  stopping = true;
  // `close` hangs up on idle connections only once, and a busy one may be idle a moment later.
  setInterval(() => server.closeIdleConnections(), 50);
  server.close(() => {
    store.close();
    process.exit(0);
  });
}
