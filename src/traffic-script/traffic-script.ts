import { z } from "zod";
import { formatDuration } from "../core/duration.ts";
import { OpsError, UsageError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { schemaMistakes } from "../core/schema-mistake.ts";
import { suggestion } from "../core/suggestion.ts";
import { showCommand } from "../process/command-line.ts";
import { requireProgram } from "../process/find-program.ts";
import { namedEnvironment } from "../process/named-environment.ts";
import { runProgram } from "../process/run-program.ts";

/** A team's own program that reads and sets the weights of a route (docs/balancers.md). */
export interface TrafficScript {
  readonly route: string;
  /** The program and its arguments; no shell reads them. */
  readonly get: readonly string[];
  readonly set: readonly string[];
  /** Version → what the script calls it. */
  readonly versions: Readonly<Record<string, string>>;
  /** Where it runs. */
  readonly directory: string;
  /** Names of environment variables that it gets beside PATH, HOME, LANG and TZ. */
  readonly variables: readonly string[];
  /** Milliseconds that one call may take. */
  readonly timeout: number;
}

const answer = z.object({
  weights: z.record(z.string(), z.int("must be a whole number").min(0, "must be 0 or more")),
  health: z.record(z.string(), z.enum(["up", "failing", "down"])).default({}),
});

/** What the script says: a weight for each version, and the health of those that it knows it of. */
export type ScriptAnswer = z.output<typeof answer>;

/**
 * Calls `get`, with the route and its versions as JSON on standard input. Throws `E_TRAFFIC_SCRIPT` where it fails,
 * `E_TRAFFIC_SCRIPT_ANSWER` where what it prints is not a weight for each version.
 */
export async function getWeights(script: TrafficScript, signal?: AbortSignal): Promise<ScriptAnswer> {
  const output = await call(script, script.get, {}, signal);
  return parseAnswer(script, output);
}

/** Calls `set`, with the weights on standard input too; what it prints does not matter. Throws `E_TRAFFIC_SCRIPT`. */
export async function setWeights(
  script: TrafficScript,
  weights: Readonly<Record<string, number>>,
  signal?: AbortSignal,
): Promise<void> {
  await call(script, script.set, { weights }, signal);
}

/** Throws `E_PROGRAM_MISSING`, or `E_SHELL_ENV` where a variable is not set. */
export async function requireScript(script: TrafficScript): Promise<void> {
  namedEnvironment(script.variables);
  for (const [program = ""] of [script.get, script.set]) await requireProgram(program, script.directory);
}

async function call(
  script: TrafficScript,
  command: readonly string[],
  more: object,
  signal: AbortSignal | undefined,
): Promise<string> {
  const { route, versions, directory, timeout } = script;
  const [program = "", ...args] = command;
  const limit = AbortSignal.timeout(timeout);
  const shown = showCommand(command);
  try {
    const { exitCode, stdout, stderr } = await runProgram(await requireProgram(program, directory), args, {
      cwd: directory,
      env: namedEnvironment(script.variables),
      input: `${JSON.stringify({ route, versions, ...more })}\n`,
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
    if (exitCode === 0) return stdout;
    const said = stderr.trim() === "" ? stdout : stderr;
    const last = said.trim().split("\n").at(-1) ?? "";
    throw new OpsError(
      "E_TRAFFIC_SCRIPT",
      `${shown} of the route ${route} failed with exit code ${exitCode}${last === "" ? "" : `: ${clip(last)}`}`,
      {
        hint: "run it yourself to see what it says (docs/balancers.md tells what it gets)",
        details: { exitCode },
      },
    );
  } catch (error) {
    if (!limit.aborted || signal?.aborted === true) throw error;
    throw new OpsError(
      "E_TRAFFIC_SCRIPT",
      `${shown} of the route ${route} did not end within ${formatDuration(timeout)}`,
      { hint: 'see what it waits for, or give the route a longer "timeout" in .opsrc' },
    );
  }
}

function parseAnswer(script: TrafficScript, output: string): ScriptAnswer {
  const found = answer.safeParse(parseJson(script, output), { reportInput: true });
  if (!found.success) {
    const [{ path, message } = { path: [], message: "is not what is needed" }] = schemaMistakes(
      answer,
      found.error,
    );
    throw badAnswer(script, `${path.length === 0 ? "" : `at ${path.join(".")}: `}${message}`, output);
  }
  const { weights, health } = found.data;
  const known = Object.keys(script.versions);
  for (const version of known) {
    if (Object.hasOwn(weights, version)) continue;
    throw badAnswer(script, `it has no weight for the version "${version}"`, output);
  }
  for (const version of [...Object.keys(weights), ...Object.keys(health)]) {
    if (Object.hasOwn(script.versions, version)) continue;
    if ((weights[version] ?? 0) === 0) continue;
    throw new UsageError(
      "E_ROUTE_SERVER",
      `"${clip(version)}" takes traffic but is no version of the route ${script.route}`,
      { hint: `${suggestion(version, known)}, or add it under "versions:" of the route in .opsrc` },
    );
  }
  return found.data;
}

function parseJson(script: TrafficScript, output: string): unknown {
  try {
    return JSON.parse(output);
  } catch (error) {
    const why = error instanceof SyntaxError ? error.message : "it cannot be read";
    throw badAnswer(script, output.trim() === "" ? "it printed nothing" : why, output);
  }
}

function badAnswer(script: TrafficScript, why: string, output: string): OpsError {
  const example = Object.fromEntries(
    Object.keys(script.versions).map((version, index) => [version, index ? 0 : 100]),
  );
  return new OpsError(
    "E_TRAFFIC_SCRIPT_ANSWER",
    `What ${showCommand(script.get)} of the route ${script.route} printed is no answer: ${clip(why)}`,
    {
      hint: `it must print ${JSON.stringify({ weights: example })} and nothing else on standard output`,
      details: { printed: clip(output) },
      retryable: false,
    },
  );
}

/** Enough to know it by. */
const shownLength = 200;

function clip(text: string): string {
  const clean = redact(text);
  return clean.length <= shownLength ? clean : `${clean.slice(0, shownLength - 1)}…`;
}
