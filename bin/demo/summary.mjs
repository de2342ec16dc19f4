import { bold, cyan, dim, green, heading, load, red, row, say, seconds } from "./page.mjs";

/** @typedef {import("./stories.mjs").Ending} Ending */

/**
 * What happened, in numbers that come from the load generator and from the journal.
 * @param {{ healthy: Ending, back: Ending, broken: Ending }} endings
 */
export function whatHappened({ healthy, back, broken }) {
  heading("What happened");
  say();
  title(healthy.exitCode === 0, `The healthy version went live in ${seconds(healthy.tookMs)}`);
  row("load", load(healthy.load));
  const backup = step(healthy, "backup")?.output;
  if (backup !== undefined) row("backup", `${backup.id}, encrypted and verified before anything changed`);
  for (const [index, figures] of (step(healthy, "canary")?.output?.steps ?? []).entries()) {
    row(index === 0 ? "canary" : "", canaryStep(figures));
  }
  row("after", state(healthy));
  row("taken back", `in ${seconds(back.tookMs)}; ${load(back.load)}`);
  say();
  const how = broken.exitCode === 4 ? "was stopped and taken back" : "was not taken back";
  title(
    broken.exitCode === 4,
    `The broken version ${how} in ${seconds(broken.tookMs)}, exit code ${broken.exitCode}`,
  );
  row("load", load(broken.load));
  const { error } = broken.run;
  if (error !== undefined) row("why", error.message);
  const figures = error?.details?.figures;
  if (figures !== undefined) row("canary", canaryStep(figures));
  row("after", state(broken));
}

/**
 * @param {{
 *   config: string,
 *   journal: string,
 *   launcher: string,
 *   runbook: string,
 *   runs: { healthy: string, broken: string },
 * }} where paths as the reader would type them
 */
export function whatNext({ config, journal, launcher, runbook, runs }) {
  say();
  say(`${bold("The journal")} of both runs is ${journal}. The sandbox is up: look around.`);
  say();
  const commands = [
    [`export OPS_CONFIG=${config}`, ""],
    [`${launcher} runs list`, "all runs"],
    [`${launcher} runs show ${runs.broken}`, "why it came back"],
    [`${launcher} runs show ${runs.healthy}`, "the one that went well"],
    [`${launcher} plan ${runbook}`, "what a deploy would change"],
    [`${launcher} flag set session-pooling --rollout 25% --yes`, "one change, journaled too"],
    [`${launcher} runs rollback last --yes`, "and taken back"],
    [`${launcher} sandbox down --yes`, "when you have seen enough"],
  ];
  const longest = Math.max(...commands.map(([text = ""]) => text.length));
  for (const [text = "", comment = ""] of commands) {
    say(
      `  ${cyan(text)}${comment === "" ? "" : `${" ".repeat(longest - text.length + 2)}${dim(`# ${comment}`)}`}`,
    );
  }
  say();
}

/** @param {readonly string[]} unmet */
export function whatWentWrong(unmet) {
  say();
  say(red(bold("The demo did not end as it should. Expected was:")));
  for (const each of unmet) say(`  ${red("✖")} ${each}`);
  say();
}

/** @param {boolean} good @param {string} text */
function title(good, text) {
  say(`  ${good ? green("✔") : red("✖")} ${bold(text)}`);
}

/** @param {Ending} ending @param {string} id */
function step({ run }, id) {
  return run.steps.find((/** @type {any} */ each) => each.id === id);
}

/** @param {any} figures as the canary keeps them in the journal */
function canaryStep({ share, requests, errors, errorRate, p95, bakedMs }) {
  const bad = `${errors} bad (${errorRate.toFixed(1)}%)`;
  const times = p95 === null ? "" : `, p95 ${Math.round(p95)} ms`;
  return `${`${share}%`.padEnd(4)} of the traffic for ${seconds(bakedMs)}: ${requests} requests, ${errors === 0 ? bad : red(bad)}${times}`;
}

/** @param {Ending} ending */
function state({ shares, schema, flag }) {
  const traffic = Object.entries(shares).map(([version, share]) => `${version} ${share}%`);
  const feature = flag === undefined ? "no flag" : `flag at ${flag.rollout}%`;
  return `${traffic.join(", ")} · schema ${schema} · ${feature}`;
}
