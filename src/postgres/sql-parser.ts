import { setFlagsFromString } from "node:v8";

/**
 * Only the first compiler of V8 for WebAssembly. The second one takes 500 MiB and seconds of processor time for this
 * module, whatever is parsed, and a run is over before that pays. Both later flags follow from the first one only at
 * the start of the process.
 */
const flags = ["--liftoff-only", "--no-wasm-tier-up", "--no-wasm-dynamic-tiering"];

/** PostgreSQL's own parser (libpg-query). Its WebAssembly takes 30 ms to load, which only who needs it should pay. */
export async function loadSqlParser() {
  for (const flag of flags) setFlagsFromString(flag);
  const parser = await import("libpg-query");
  await parser.loadModule();
  return parser;
}
