import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { OpsError } from "../core/errors.ts";
import { redact } from "../core/redaction.ts";
import { childEnvironment, killGroup } from "../process/run-program.ts";
import { type LoadFigures, type LoadInterval, type LoadPlan, messageSchema } from "./plan.ts";

/** The generator, built or not: a program of its own. */
const generator = fileURLToPath(
  new URL(`../load-engine/generator.${import.meta.url.endsWith(".ts") ? "ts" : "js"}`, import.meta.url),
);

/** What the generator needs of our environment beside the small base: authorities of one's own, a proxyless k6. */
const passedOn = ["NODE_EXTRA_CA_CERTS", "SSL_CERT_FILE", "SSL_CERT_DIR", "NODE_COMPILE_CACHE"];

export interface MakeLoadOptions {
  /** Ends the load early; what was measured until then is the result. */
  readonly stop: AbortSignal;
  /** Ends it at once, without a result. */
  readonly signal: AbortSignal;
  readonly onInterval: (interval: LoadInterval) => void;
}

/**
 * Makes a load in a process of its own and says what it met. The process ends with this one, whatever ends that. Throws
 * `E_LOAD_TARGET` where the target cannot be reached, `E_LOAD_GENERATOR` where the generator fails, and the reason of `signal`.
 */
export async function makeLoad(plan: LoadPlan, options: MakeLoadOptions): Promise<LoadFigures> {
  const { stop, signal, onInterval } = options;
  signal.throwIfAborted();
  const named = passedOn.flatMap((name) => {
    const value = process.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const child = spawn(process.execPath, [generator], {
    env: childEnvironment(Object.fromEntries(named)),
    stdio: ["pipe", "pipe", "pipe"],
    // A process group of its own: the terminal's Ctrl-C is for ops, which asks for the end and for the result.
    detached: true,
  });
  const exited = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve(code));
  });
  // Awaited below; a failure before that is no unhandled one.
  exited.catch(() => undefined);
  let said = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    said = (said + text).slice(-2000);
  });
  // It may end without reading on.
  child.stdin.on("error", () => undefined);
  child.stdin.write(`${JSON.stringify(plan)}\n`);
  const askForEnd = () => child.stdin.write("stop\n");
  // With what it started: k6 is in its group.
  const kill = () => {
    if (child.pid !== undefined) killGroup(child.pid, "SIGKILL");
  };
  if (stop.aborted) askForEnd();
  stop.addEventListener("abort", askForEnd);
  signal.addEventListener("abort", kill);
  try {
    let figures: LoadFigures | undefined;
    for await (const line of createInterface({ input: child.stdout })) {
      const message = messageSchema.parse(JSON.parse(line));
      if (message.type === "interval") onInterval(message.interval);
      else if (message.type === "done") figures = message.figures;
      else throw failure(message.code, redact(message.message));
    }
    const code = await exited;
    signal.throwIfAborted();
    if (figures !== undefined) return figures;
    throw failure(
      "E_LOAD_GENERATOR",
      `it ended with ${code === null ? "a signal" : `exit code ${code}`}`,
      said,
    );
  } finally {
    stop.removeEventListener("abort", askForEnd);
    signal.removeEventListener("abort", kill);
    child.stdin.end();
    kill();
  }
}

function failure(code: "E_LOAD_TARGET" | "E_LOAD_GENERATOR", message: string, said = ""): OpsError {
  const isTarget = code === "E_LOAD_TARGET";
  return new OpsError(
    code,
    isTarget ? `No load was made: ${message}` : `The load generator failed: ${message}`,
    {
      ...(said === "" ? {} : { cause: redact(said.trim()) }),
      hint: isTarget
        ? "see that the target runs, that its name resolves, and that its certificate is known (NODE_EXTRA_CA_CERTS)"
        : "try it with fewer users; see what is missing with: ops doctor",
    },
  );
}
