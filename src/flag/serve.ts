import { once } from "node:events";
import { z } from "zod";
import { counted } from "../core/counted.ts";
import { UsageError } from "../core/errors.ts";
import { visible } from "../core/visible.ts";
import { openFlagSource } from "../flag-source/open-source.ts";
import { defineOperation } from "../run/operation.ts";
import { source } from "./source.ts";

/** Milliseconds that the database may take to answer; then it is asked again on another connection. */
const patience = 5000;
/** Milliseconds between two lines of progress. */
const tellEvery = 1000;

export const serve = defineOperation({
  name: "flag.serve",
  summary: "Answer OpenFeature clients over HTTP (OFREP), until it is stopped",
  example: "flag serve --listen 127.0.0.1:8016",
  effect: "read",
  // It changes nothing, and runs for as long as its clients do.
  journaled: false,
  runsUntilStopped: true,
  input: z.strictObject({
    source,
    listen: z
      .string()
      .regex(/^(\[[0-9a-fA-F:]+\]|[\w.-]+):\d{1,5}$/, "must be an address and a port: 127.0.0.1:8016")
      .default("127.0.0.1:8016")
      .describe("Where to listen; another address than this machine's own needs a token of the flag source"),
  }),
  output: z.object({
    source: z.string(),
    listen: z.string(),
    evaluations: z.number().describe("Flags that were evaluated for clients"),
  }),
  observe: async () => null,
  plan: () => [],

  async apply(context, { source: name, listen }, _before, report) {
    const target = context.environment.flagSource(name);
    const [host, port] = addressOf(listen);
    const [{ OfrepServer, isLoopback }, { ServedFlags }, { shownMistake }] = await Promise.all([
      import("./ofrep-server.ts"),
      import("./served-flags.ts"),
      import("./servable.ts"),
    ]);
    if (target.token === undefined && !isLoopback(host)) {
      throw new UsageError("E_FLAG_TOKEN", `Who reaches ${listen} could read every flag of ${target.name}`, {
        hint: "give the flag source a token in .opsrc (token: env:OPS_FLAG_TOKEN), or listen on 127.0.0.1",
      });
    }
    const token = await target.token?.reveal();
    const { clock, stateDirectory, signal } = context;
    const now = () => clock.now();
    const watched = openFlagSource(target, { stateDirectory, now, signal });
    const flags = await ServedFlags.load(
      {
        read: async () => {
          const opened = openFlagSource(target, { stateDirectory, now, signal, queryTimeout: patience });
          try {
            return await opened.read();
          } finally {
            await opened.close();
          }
        },
        watch: (changed, until) => watched.watch(changed, until),
      },
      now,
    );
    const server = await OfrepServer.start(flags, { host, port, token });
    const place = `http://${listen.replace(/:\d+$/, "")}:${server.port}`;
    report.log(`serving ${counted(flags.names.length, "flag")} of ${watched.place} on ${place}`);
    const ended = AbortSignal.any([context.stop, signal]);
    flags.onChange(() => report.log(`the flags have changed: ${counted(flags.names.length, "flag")}`));
    let problem: string | undefined;
    let mistakes = "";
    const tellMistakes = (): void => {
      const found = flags.mistakes.map(shownMistake).join("\n");
      if (found === mistakes) return;
      mistakes = found;
      report.log(found === "" ? "what was wrong with the flags is mended" : visible(found));
    };
    tellMistakes();
    const timer = setInterval(() => {
      if (flags.problem !== problem) {
        problem = flags.problem;
        report.log(
          problem === undefined ? "the source is back" : `the flags of before are served on: ${problem}`,
        );
      }
      tellMistakes();
      report.progress({ message: `${place}: ${counted(server.evaluations, "evaluation")}` });
    }, tellEvery);
    try {
      const following = flags.follow(ended);
      if (!ended.aborted) await once(ended, "abort");
      await server.stop();
      await following;
    } finally {
      clearInterval(timer);
      await watched.close();
    }
    signal.throwIfAborted();
    return { source: watched.place, listen: place, evaluations: server.evaluations };
  },

  render: ({ source: place, listen, evaluations }) =>
    `Stopped; ${counted(evaluations, "evaluation")} of ${place} on ${listen}`,
});

/** Checked to have both. */
function addressOf(listen: string): [host: string, port: number] {
  const split = listen.lastIndexOf(":");
  const port = Number(listen.slice(split + 1));
  if (port > 65_535) {
    throw new UsageError("E_INPUT", `"${listen}" has no port that there can be`, {
      hint: "name one from 1 to 65535: --listen 127.0.0.1:8016",
    });
  }
  return [listen.slice(0, split).replace(/^\[|\]$/g, ""), port];
}
