// One line a message on stderr, traces included, so that the log can be read line by line.

const LEVELS = ["debug", "info", "warning", "error", "critical"];
const threshold = LEVELS.indexOf((process.env.LOG_LEVEL ?? "warning").toLowerCase());

export function log(level, message) {
  if (LEVELS.indexOf(level) < threshold) return;
  const line = String(message).trimEnd().replaceAll("\n", " | ");
  process.stderr.write(`${new Date().toISOString()} ${process.pid} ${level.toUpperCase()} ${line}\n`);
}
