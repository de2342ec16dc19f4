import { between } from "./load.mjs";
import { command, heading, say } from "./page.mjs";

/** @typedef {import("./load.mjs").Counts} Counts */

/** What is asked of ops after a story, and what the load saw during it. */
/** @typedef {{
 *   exitCode: number,
 *   tookMs: number,
 *   load: Counts,
 *   run: any,
 *   shares: Record<string, number>,
 *   schema: string | null,
 *   flag: { enabled: boolean, rollout: number } | undefined,
 * }} Ending */

/** Share of its requests that the broken version fails. */
export const failRate = 0.3;

const flagName = "session-pooling";

/**
 * The first story: the new version is healthy, and gets all of the traffic.
 * @param {Stage} stage @returns {Promise<Ending>}
 */
export async function healthyDeploy(stage) {
  heading("Story 1: the new version is healthy");
  return deploy(stage);
}

/**
 * Between the stories: the run that went well is taken back, under the same load.
 * @param {Stage} stage @returns {Promise<Ending>}
 */
export async function takenBack(stage) {
  heading("Back to the start: a deploy that is done can be taken back too");
  return act(stage, ["runs", "rollback", "last", "--yes"], "ops runs rollback last");
}

/**
 * The second story: the new version fails some of its requests, which its health check does not see.
 * @param {Stage} stage @returns {Promise<Ending>}
 */
export async function brokenDeploy(stage) {
  heading(`Story 2: the new version fails ${100 * failRate}% of its requests`);
  command(`curl -d '{"failRate": ${failRate}}' ${stage.urls.green}control`);
  const response = await fetch(`${stage.urls.green}control`, {
    method: "POST",
    body: JSON.stringify({ failRate }),
  });
  say((await response.text()).trim());
  say();
  return deploy(stage);
}

/** @typedef {{
 *   ops: import("./ops.mjs").Ops,
 *   load: import("./load.mjs").Load,
 *   urls: { application: string, green: string },
 *   runbook: { path: string, shown: string },
 *   bake: string,
 * }} Stage */

/** @param {Stage} stage */
function deploy(stage) {
  const { runbook, bake } = stage;
  const shown = `ops run ${runbook.shown} --input bake=${bake}`;
  return act(stage, ["run", runbook.path, "--input", `bake=${bake}`, "--yes"], shown);
}

/** @param {Stage} stage @param {string[]} args @param {string} shown @returns {Promise<Ending>} */
async function act({ ops, load }, args, shown) {
  command(shown);
  const before = load.counts();
  const started = performance.now();
  const exitCode = await ops.show(args);
  const tookMs = performance.now() - started;
  const counts = between(before, load.counts());
  const [run, traffic, migrations, { flags }] = await Promise.all([
    ops.ask(["runs", "show", "last"]),
    ops.ask(["traffic", "status"]),
    ops.ask(["migrate", "status"]),
    ops.ask(["flag", "list"]),
  ]);
  return {
    exitCode,
    tookMs,
    load: counts,
    run,
    shares: Object.fromEntries(traffic.versions.map((/** @type {any} */ each) => [each.version, each.share])),
    schema: migrations.current,
    flag: flags.find((/** @type {any} */ each) => each.flag === flagName),
  };
}

/**
 * What is not as it should be; empty where both stories ended well.
 * @param {Ending} healthy @param {Ending} back @param {Ending} broken @returns {string[]}
 */
export function unmetExpectations(healthy, back, broken) {
  /** @type {[boolean, string][]} */
  const expectations = [
    [healthy.exitCode === 0, `the healthy deploy exits with 0, not ${healthy.exitCode}`],
    [healthy.load.requests > 0, "the healthy deploy has traffic"],
    [healthy.load.failed === 0, `no request fails during the healthy deploy, ${healthy.load.failed} did`],
    [healthy.shares.green === 100, `green has 100% after it, not ${healthy.shares.green}%`],
    [healthy.schema === "0004", `the schema is at 0004 after it, not ${healthy.schema}`],
    [healthy.flag?.rollout === 10, `${flagName} is at 10% after it, not ${healthy.flag?.rollout}`],
    [back.exitCode === 0, `taking it back exits with 0, not ${back.exitCode}`],
    ...atTheStart("taking it back", back),
    [broken.exitCode === 4, `the broken deploy exits with 4, not ${broken.exitCode}`],
    [
      broken.run.error?.code === "E_CANARY_ABORTED",
      `the canary aborts the broken deploy, not ${broken.run.error?.code}`,
    ],
    ...atTheStart("the broken deploy", broken),
  ];
  return expectations.flatMap(([met, expectation]) => (met ? [] : [expectation]));
}

/** @param {string} what @param {Ending} ending @returns {[boolean, string][]} */
function atTheStart(what, { shares, schema, flag }) {
  return [
    [shares.blue === 100 && shares.green === 0, `blue has 100% after ${what}, not ${shares.blue}%`],
    [schema === "0001", `the schema is at 0001 after ${what}, not ${schema}`],
    [flag === undefined, `${flagName} is absent after ${what}`],
  ];
}
