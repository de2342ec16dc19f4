#!/usr/bin/env node
/*
 * Makes demo.png anew from a real run of the demo. Needs tmux and chromium (Debian's packages of these names); from the
 * root of the project, with the sandbox of the demo down:
 *
 *   npm run setup && node docs/demo/record.mjs
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { ansiToHtml } from "./ansi-to-html.mjs";

const columns = 100;
const lineHeight = 20;
const picture = fileURLToPath(new URL("demo.png", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "ops-demo-"));
const session = ["-S", join(folder, "tmux")];

/** What stands on the terminal, colours included, once the demo has ended. @returns {Promise<string>} */
async function recording() {
  const ended = join(folder, "ended");
  const quoted = [process.execPath, fileURLToPath(new URL("../../bin/demo.mjs", import.meta.url)), ended];
  const [node, demo, marker] = quoted.map((each) => `'${each}'`);
  // The pane outlives the demo, to be read.
  const program = `${node} ${demo}; echo $? > ${marker}; sleep 60`;
  execFileSync("tmux", [...session, "new-session", "-d", "-x", String(columns), "-y", "40", program]);
  try {
    for (let waited = 0; waited < 120; waited += 1) {
      await delay(1000);
      const exitCode = read(ended);
      if (exitCode === undefined) continue;
      const capture = [...session, "capture-pane", "-e", "-p", "-S", "-"];
      const text = execFileSync("tmux", capture, { encoding: "utf8" });
      if (exitCode.trim() !== "0") throw new Error(`the demo ended with ${exitCode.trim()}:\n${text}`);
      return text;
    }
    throw new Error("the demo did not end within two minutes");
  } finally {
    execFileSync("tmux", [...session, "kill-server"]);
  }
}

/** @param {string} path @returns {string | undefined} undefined while there is no such file */
function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return undefined;
    throw error;
  }
}

/** @param {string} text with the terminal's escape sequences */
function page(text) {
  return `<!doctype html><meta charset="utf-8"><style>
body { margin: 0; background: #0d1117; }
.bar { height: 36px; background: #161b22; border-bottom: 1px solid #30363d; display: flex; align-items: center; padding-left: 16px; gap: 8px; }
.bar i { width: 12px; height: 12px; border-radius: 6px; }
.bar b { font: 13px "DejaVu Sans", sans-serif; color: #8b949e; margin-left: 10px; }
pre { margin: 0; padding: 16px 22px; color: #d7dde4; font: 14px/${lineHeight}px "DejaVu Sans Mono", monospace; }
</style><div class="bar"><i style="background:#ff5f57"></i><i style="background:#febc2e"></i><i style="background:#28c840"></i><b>npm run demo</b></div><pre>${ansiToHtml(text)}</pre>`;
}

try {
  const text = (await recording()).trim();
  const html = join(folder, "demo.html");
  writeFileSync(html, page(text));
  const height = 37 + 32 + lineHeight * text.split("\n").length;
  const width = 44 + Math.ceil(columns * 8.43);
  execFileSync(
    "chromium",
    [
      "--headless",
      "--no-sandbox",
      "--hide-scrollbars",
      "--force-device-scale-factor=1.5",
      `--window-size=${width},${height}`,
      `--screenshot=${picture}`,
      `file://${html}`,
    ],
    { stdio: "ignore" },
  );
  process.stdout.write(`${picture}\n`);
} finally {
  rmSync(folder, { recursive: true, force: true });
}
