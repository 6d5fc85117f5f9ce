// The store's client: one connection a process, on which node-redis pipelines every command.

import { createClient, RESP_TYPES } from "redis";
import { log } from "./log.js";

const DEADLINE_MS = 5_000;

/** The store did not answer, or answered with an error. */
export class StoreUnavailable extends Error {}

/** Starts to connect, and goes on trying for as long as it takes. */
export function openStore(host, port) {
  const client = createClient({
    socket: {
      host,
      port,
      connectTimeout: DEADLINE_MS,
      reconnectStrategy: (retries) => Math.min(50 * 2 ** retries, 1_000),
    },
    // Without a connection a command fails at once: the caller hears 503 instead of waiting.
    disableOfflineQueue: true,
    commandOptions: {
      // The client's own limit ends once a command is written, so it does not bound the answer,
      // and it costs an AbortSignal a command. `bounded` does both better.
      timeout: undefined,
      // Values are bytes.
      typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer },
    },
  });
  client.on("error", logUnavailable);
  client.on("ready", () => log("info", "store connected"));
  const firstAttempt = new Promise((done) => client.once("ready", done).once("error", done));
  // It rejects only when the client is closed while still trying, which is what stopping does.
  client.connect().catch(() => {});
  return {
    firstAttempt,
    get: (key) => bounded(client.get(key)),
    ping: () => bounded(client.ping()),
    close: () => client.destroy(),
  };
}

/** Every failure of the store, and no answer in time, becomes a StoreUnavailable. */
function bounded(command) {
  return new Promise((resolve, reject) => {
    const fail = (error) => {
      clearTimeout(timer);
      logUnavailable(error);
      reject(new StoreUnavailable(error.message, { cause: error }));
    };
    const timer = setTimeout(() => fail(new Error(`no answer in ${DEADLINE_MS / 1000} s`)), DEADLINE_MS);
    command.then((reply) => {
      clearTimeout(timer);
      resolve(reply);
    }, fail);
  });
}

// A dead store fails every request: one line a second says it as well as ten thousand.
let loggedAt = 0;
function logUnavailable(error) {
  if (Date.now() - loggedAt < 1_000) return;
  loggedAt = Date.now();
  log("warning", `store unavailable: ${error.message || error.code}`);
}
