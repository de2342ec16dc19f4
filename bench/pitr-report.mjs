/* Medians, ratios and goals of the benchmark of point-in-time recovery, as Markdown. */

/** @import { Cost } from "./measured.mjs" */
/** @typedef {"base" | "restore" | "archive" | "replay"} Measure */
/** @typedef {Omit<Cost, "stdout"> & { measure: Measure, tool: string, bytes?: number }} Sample */
/**
 * @typedef {object} Head
 * @property {string} date @property {string} node @property {string} cpu @property {number} cores
 * @property {string} server @property {string} tool @property {number} size @property {number} sizeAtTheEnd
 * @property {number} segments @property {number} rounds @property {number} loadBefore @property {number} loadAfter
 */

const reference = "pgBackRest";
/** @type {Record<Measure, string>} */
const titles = {
  base: "base backup",
  restore: "restore, up to where a server can be started",
  archive: "archiving the segments",
  replay: "replay of the segments",
};

/** @param {Measure} measure @param {number} ratio */
const goal = (measure, ratio) => ({
  measure,
  ratio,
  /** @param {readonly Sample[]} samples */
  isMet: (samples) => median(ratiosOf(samples, measure, "ops")) <= ratio,
});

/** How much of pgBackRest's time ops may take. */
export const goals = [goal("base", 0.8), goal("restore", 0.8), goal("archive", 1), goal("replay", 1)];

/** @param {Head} head @param {readonly Sample[]} samples */
export function report(head, samples) {
  const { date, cores, cpu, node, server, tool, size, segments, rounds, loadBefore, loadAfter } = head;
  return [
    `${date.slice(0, 10)}, ${cores} cores (${cpu}), Node ${node}, PostgreSQL ${server}, ${tool}, database of ${size} MiB, ` +
      `${segments} segments, ${rounds} rounds; load ${loadBefore.toFixed(1)} before, ${loadAfter.toFixed(1)} after`,
    ...goals.flatMap(({ measure }) => ["", ...table(measure, samples)]),
    "",
    ...goals.map((each) => verdict(each, samples)),
  ].join("\n");
}

/** @param {Measure} measure @param {readonly Sample[]} samples */
function table(measure, samples) {
  const own = samples.filter((each) => each.measure === measure);
  const names = [...new Set(own.map((each) => each.tool))].sort((a, b) => order(a) - order(b));
  const longest = Math.max(...names.map((name) => median(ratiosOf(samples, measure, name))));
  return [
    `| ${titles[measure]} | wall, median (range) | of ${reference}'s, median (range) | | CPU of the machine | of it the tool | peak MiB | result MiB |`,
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ...names.map((name) => {
      const its = own.filter((each) => each.tool === name);
      const wall = its.map((each) => each.wall);
      const ratios = ratiosOf(samples, measure, name);
      const machine = median(its.map(({ busy, wall, cores }) => busy * wall * cores));
      const bytes = its.flatMap((each) => each.bytes ?? []);
      const columns = [
        name.replaceAll("|", "\\|"),
        `${median(wall).toFixed(2)} s (${Math.min(...wall).toFixed(2)}–${Math.max(...wall).toFixed(2)})`,
        `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`,
        "█".repeat(Math.max(1, Math.round((20 * median(ratios)) / longest))),
        `${machine.toFixed(1)} s`,
        // What a server calls, and what goes on behind its back, is nobody's child.
        measure === "base" || measure === "restore"
          ? `${median(its.map((each) => each.client)).toFixed(1)} s`
          : "",
        measure === "base" || measure === "restore" ? median(its.map((each) => each.peak)).toFixed(0) : "",
        bytes.length === 0 ? "" : (median(bytes) / 2 ** 20).toFixed(0),
      ];
      return `| ${columns.join(" | ")} |`;
    }),
  ];
}

/** @param {typeof goals[number]} goal @param {readonly Sample[]} samples */
function verdict({ measure, ratio, isMet }, samples) {
  const ratios = ratiosOf(samples, measure, "ops");
  const is = `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)}–${Math.max(...ratios).toFixed(2)})`;
  return `${isMet(samples) ? "met   " : "missed"} ${titles[measure]}: ops takes ${is} of ${reference}, goal ≤ ${ratio}`;
}

/** Of each round: what disturbs a round disturbs both. */
/** @param {readonly Sample[]} samples @param {Measure} measure @param {string} name */
function ratiosOf(samples, measure, name) {
  const walls = (/** @type {string} */ tool) =>
    samples.filter((each) => each.measure === measure && each.tool === tool).map((each) => each.wall);
  const theirs = walls(reference);
  return walls(name).map((wall, round) => wall / (theirs[round] ?? Number.NaN));
}

/** @param {string} name */
function order(name) {
  return name === reference ? 0 : name === "ops" ? 1 : 2;
}

/** @param {readonly number[]} values */
function median(values) {
  const sorted = values.toSorted((a, b) => a - b);
  const upper = sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
  const lower = sorted[Math.floor((sorted.length - 1) / 2)] ?? Number.NaN;
  return (lower + upper) / 2;
}
