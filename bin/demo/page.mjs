import { stripVTControlCharacters } from "node:util";

/* How the demo writes: plain text in a pipe, colours on a terminal, at most 96 columns. */

const colored =
  process.stdout.isTTY === true && (process.env.NO_COLOR ?? "") === "" && process.env.TERM !== "dumb";

/** @param {number} on @param {number} off */
const style = (on, off) => (/** @type {string} */ text) =>
  colored ? `\u001b[${on}m${text}\u001b[${off}m` : text;

export const bold = style(1, 22);
export const dim = style(2, 22);
export const red = style(31, 39);
export const green = style(32, 39);
export const cyan = style(36, 39);

const width = Math.min(process.stdout.columns ?? 96, 96);

/** @param {string} [text] */
export function say(text = "") {
  process.stdout.write(`${text}\n`);
}

/** @param {string} title */
export function heading(title) {
  say();
  say(`${bold(cyan("━━"))} ${bold(title)} ${cyan("━".repeat(Math.max(3, width - title.length - 4)))}`);
}

/** A command as the reader would type it. @param {string} command */
export function command(command) {
  say(`${dim("$")} ${command}`);
}

/** A label and its text, which is broken into lines that stand below each other. @param {string} label @param {string} text */
export function row(label, text) {
  const indent = 15;
  const lines = wrap(text, width - indent);
  lines.forEach((line, index) => {
    say(`    ${dim((index === 0 ? label : "").padEnd(indent - 4))}${line}`);
  });
}

/** @param {string} text @param {number} columns @returns {string[]} */
function wrap(text, columns) {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines.length - 1;
    const joined = lines[last] === "" ? word : `${lines[last]} ${word}`;
    if (stripVTControlCharacters(joined).length <= columns || lines[last] === "") lines[last] = joined;
    else lines.push(word);
  }
  return lines;
}

/** @param {number} ms */
export function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

/** @param {number} count */
export function number(count) {
  return count.toLocaleString("en-US");
}

/** @param {import("./load.mjs").Counts} counts */
export function load({ requests, failed }) {
  const share = failed === 0 ? "" : ` (${((100 * failed) / Math.max(1, requests)).toFixed(1)}%)`;
  const failures = `${number(failed)} failed${share}`;
  return `${number(requests)} requests, ${failed === 0 ? green(failures) : red(failures)}`;
}
