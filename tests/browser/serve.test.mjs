// `perf-api serve` as somebody with a mouse uses it: datasets, a comparison, SQL, a run as it goes on.

import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { setTimeout as sleep } from "node:timers/promises";
import { openChromium } from "./chromium.mjs";
import { perfApi, ROOT } from "./pages.mjs";

const AXE = createRequire(import.meta.url).resolve("axe-core");
const RUN = ["quick", "--fake", "--fixed-clock", "--allow-missing", "--allow-shared-cpus", "--no-progress", "--stores", "redis", "--repetitions", "5"];

const close = [];
let context;
let server;
let address;
let results;

const run = (args) => {
  const done = spawnSync(perfApi(), [...args, "--results", results], { cwd: ROOT, encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  return /dataset ([0-9a-f]{64})/.exec(done.stdout)[1];
};
const ids = {};
before(async () => {
  results = mkdtempSync(join(tmpdir(), "perf-api-serve-"));
  close.push(() => rmSync(results, { recursive: true }));
  ids.before = run(RUN);
  ids.after = run([...RUN, "--seed", "2", "--fake-slowdown", "1.5"]);
  server = spawn(perfApi(), ["serve", "--listen", "127.0.0.1:0", "--results", results], { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
  close.push(() => new Promise((then) => {
    server.on("exit", then);
    server.kill("SIGINT");
  }));
  address = await new Promise((then, otherwise) => {
    server.on("exit", () => otherwise(new Error("the server ended")));
    let said = "";
    server.stdout.on("data", (text) => {
      said += text;
      const found = /http:\/\/\S+/.exec(said);
      if (found) then(found[0]);
    });
  });
  context = await openChromium({}, close);
});
after(async () => {
  for (const one of close.reverse()) await one();
});

// `refused` are the answers that a test provokes: the browser tells its console of each.
async function withServed(path, use, { refused = [], width = 1440, media = {} } = {}) {
  const page = await context.newPage();
  const complaints = [];
  page.on("console", (message) => {
    if (!refused.some((code) => message.text().includes(`status of ${code}`))) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.stack));
  page.on("request", (request) => {
    if (!request.url().startsWith(address) && !/^(data|blob):/.test(request.url())) complaints.push(request.url());
  });
  try {
    await page.setViewportSize({ width, height: 900 });
    await page.emulateMedia(media);
    await page.goto(new URL(path, address).href);
    await use(page);
    assert.deepEqual(complaints, []);
  } finally {
    await page.close();
  }
}
const ask = async (page, query) => {
  await page.locator("#query").fill(query);
  await page.locator("#run").click();
  await page.locator("#error:visible, #answer:visible").first().waitFor();
};

// Lines of the journal of the run that goes on: those of an ended run are gone.
const journalled = () => {
  const journals = join(results, "journal");
  const files = readdirSync(journals).map((run) => join(journals, run, "journal.jsonl"));
  return files.filter(existsSync).reduce((lines, file) => lines + readFileSync(file, "utf8").split("\n").length - 1, 0);
};
const until = async (holds) => {
  for (const latest = Date.now() + 60_000; !holds(); await sleep(5)) assert.ok(Date.now() < latest, `never: ${holds}`);
};

test("two datasets are compared by clicking", () =>
  withServed("/", async (page) => {
    for (const side of ["before", "after"]) await page.locator(`input[name=${side}][value="${ids[side]}"]`).check();
    await page.getByRole("button", { name: "Compare" }).click();
    await page.locator(".chart .main-svg").first().waitFor({ state: "attached" });
    assert.match(await page.locator("h1").textContent(), /regressed by/);
    assert.ok((await page.locator("td.regressed").count()) > 0);
  }));

test("a dataset is shown with its charts", () =>
  withServed("/", async (page) => {
    await page.getByRole("link", { name: ids.before.slice(0, 12) }).click();
    await page.locator('.card[data-chart="latency"] .main-svg').first().waitFor({ state: "attached" });
    assert.ok((await page.locator(`text=${ids.before}`).count()) > 0);
  }));

test("SQL is answered, and what writes or reads files is refused", () =>
  withServed("/sql", async (page) => {
    await ask(page, "SELECT app, count(*) AS trials FROM trials GROUP BY app ORDER BY app");
    assert.deepEqual(await page.locator("#rows tr").allInnerTexts(), ["express\t10", "fastapi\t10"]);
    for (const query of [
      "CREATE TABLE mine AS SELECT 1",
      "COPY trials TO '/tmp/perf-api-copied.csv'",
      "INSERT INTO trials SELECT * FROM trials",
      "CREATE EXTERNAL TABLE passwords STORED AS CSV LOCATION '/etc/passwd'",
      "SELECT * FROM '/etc/passwd'",
      "SELECT * FROM read_csv('/etc/passwd')",
      "SET datafusion.execution.batch_size = 1",
    ]) {
      await ask(page, query);
      assert.equal(await page.locator("#answer:visible").count(), 0, query);
      assert.doesNotMatch(await page.locator("#error").innerText(), /root:/, query);
    }
  }, { refused: [400] }));

test("a run is seen as it goes on, and then its dataset", () =>
  withServed("/live", async (page) => {
    await page.locator("#summary", { hasText: /no run/i }).waitFor();
    // Its trials are computed and done in no time, so it is halted in the middle, until the page has shown it.
    const running = spawn(perfApi(), ["full", "--fake", "--allow-missing", "--allow-shared-cpus", "--no-progress", "--results", results], { cwd: ROOT, stdio: ["ignore", "ignore", "inherit"] });
    const ended = new Promise((then) => running.on("exit", then));
    try {
      await until(() => journalled() > 10);
      running.kill("SIGSTOP");
      await page.locator("#trials tr").first().waitFor();
      const progress = page.locator("#progress");
      const done = Number(await progress.getAttribute("value"));
      assert.ok(done > 0 && done < Number(await progress.getAttribute("max")), `the run was halted after trial ${done}`);
      running.kill("SIGCONT");
      await page.waitForFunction((then) => Number(document.getElementById("progress").value) > then, done);
    } finally {
      // A halted run never ends by itself.
      running.kill("SIGCONT");
    }
    assert.equal(await ended, 0);
    await page.locator("#sealed").waitFor();
    await page.locator("#dataset").click();
    await page.locator('.card[data-chart="latency"] .main-svg').first().waitFor({ state: "attached" });
  }));

test("another host's name, and a page of another, are refused", async () => {
  const status = async (headers, init = {}) => {
    const answer = spawnSync("curl", ["-s", "-o", "/dev/null", "-w", "%{http_code}", ...headers.flatMap((one) => ["-H", one]), ...(init.data ? ["--data", init.data] : []), new URL(init.path ?? "/", address).href], { encoding: "utf8" });
    return answer.stdout;
  };
  assert.equal(await status([]), "200");
  assert.equal(await status(["Host: evil.example"]), "403");
  assert.equal(await status(["Origin: http://evil.example"]), "403");
  const query = { path: "/sql", data: '{"query":"SELECT 1","dataset":null}' };
  assert.equal(await status(["Content-Type: application/json"], query), "200");
  assert.equal(await status(["Content-Type: application/json", "Origin: http://evil.example"], query), "403");
  assert.equal(await status(["Content-Type: text/plain"], query), "415");
});

for (const path of ["/", "/sql", "/live", "/dataset/nothing-like-it"]) {
  for (const [width, colorScheme] of [[1440, "light"], [390, "dark"]]) {
    test(`axe finds no serious barrier at ${path}, ${width} px, ${colorScheme}`, () =>
      withServed(path, async (page) => {
        // The page's policy lets no script in, so the test comes from outside it.
        const session = await page.context().newCDPSession(page);
        await session.send("Page.setBypassCSP", { enabled: true });
        await page.reload();
        await page.addScriptTag({ path: AXE });
        const { violations } = await page.evaluate(() => window.axe.run({ runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"] }));
        const serious = violations.filter((one) => ["serious", "critical"].includes(one.impact));
        assert.deepEqual(serious.map((one) => `${one.id}: ${one.nodes.map((node) => node.html.slice(0, 90)).join(" | ")}`), []);
        assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page scrolls sideways");
      }, { width, media: { colorScheme }, refused: [404] }));
  }
}
