// What is tested: pages and the program that made them, told by the environment.

import { existsSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const told = (name, what) => {
  const path = process.env[name];
  if (!path) throw new Error(`${name} is not set: ${what}`);
  if (!existsSync(path)) throw new Error(`${name}: there is no ${path}: ${what}`);
  return resolve(path);
};

export const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const perfApi = () => told("PERF_API", "the program, for its numbers");
export const examplePage = () => told("PERF_API_PAGE", "`perf-api report example -o PAGE`");
export const fullPage = () => told("PERF_API_FULL_PAGE", "`perf-api report -o PAGE` of a dataset of 960 trials, with several numbers of connections");
export const hostilePage = () => told("PERF_API_HOSTILE_PAGE", "`perf-api report ID -o PAGE` of what hostile.py made");
export const comparisonPage = () => told("PERF_API_COMPARISON", "`perf-api report --compare A B -o PAGE`");
export const hostileComparisonPage = () => told("PERF_API_HOSTILE_COMPARISON", "`perf-api report --compare --force A B -o PAGE` of both that hostile.py leaves");
