// What bin/ops is on Node: plain JavaScript for any one, so that an old one gets a clear answer and not a syntax error.
import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import module from "node:module";
import { homedir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

const needed = 24;
const root = new URL("../", import.meta.url);
/** A recovering server takes any other failure of its restore_command for "there is no such file", and goes on without it. */
const restoring = process.argv[2] === "wal" && process.argv[3] === "fetch";
const refused = restoring ? 255 : 2;
if (restoring) {
  process.on("uncaughtException", (error) => {
    process.stderr.write(`ops wal fetch: ${error.message}\n`);
    process.exit(refused);
  });
  process.on("exit", (code) => {
    if (code > 1) process.exitCode = refused;
  });
}

if (Number(process.versions.node.split(".")[0]) < needed) {
  const newer = packagedNode();
  if (process.env.OPS_REEXECUTED === undefined && newer !== undefined) {
    const { spawn } = await import("node:child_process");
    const child = spawn(newer, [fileURLToPath(new URL("bin/ops", root)), ...process.argv.slice(2)], {
      stdio: "inherit",
      env: { ...process.env, OPS_REEXECUTED: "1" },
    });
    // A Ctrl-C reaches both from the terminal, and this one must outlive the other; SIGTERM comes to this one alone.
    process.on("SIGINT", () => undefined);
    for (const signal of /** @type {const} */ (["SIGTERM", "SIGHUP"]))
      process.on(signal, () => child.kill(signal));
    /** @type {{ code: number | null, signal: NodeJS.Signals | null }} */
    const { code, signal } = await new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve({ code, signal }));
    });
    if (signal === null) process.exit(code);
    process.removeAllListeners(signal);
    process.kill(process.pid, signal);
    await new Promise(() => undefined);
  }
  // In a checkout it is a development dependency, which who installs the package does not get.
  const install = existsSync(new URL("src", root)) ? "npm install" : `npm install node@${needed}`;
  process.stderr.write(
    `ops needs Node ${needed} or later; this is ${process.version}\n  = ${install} puts one beside it\n`,
  );
  process.exit(refused);
}

const args = process.argv.slice(2);
if (args.length === 1 && (args[0] === "--version" || args[0] === "-V")) {
  process.stdout.write(`${JSON.parse(readFileSync(new URL("package.json", root), "utf8")).version}\n`);
} else {
  // What a PostgreSQL server calls for every 16 MiB of its log has a way in of its own.
  const main = new URL(args[0] === "wal" ? "dist/cli/wal.js" : "dist/cli/main.js", root);
  if (!existsSync(main)) {
    process.stderr.write("ops is not built yet\n  = run: npm run setup\n");
    process.exit(refused);
  }
  // Traces name the sources; without --debug there are none, and the maps need not be read.
  if (args.includes("--debug")) process.setSourceMapsEnabled(true);
  module.enableCompileCache(compileCache());
  // Most wait for disks: of Node's own four, those that compress would have to wait for them.
  process.env.UV_THREADPOOL_SIZE ??= "8";
  await import(main.href);
}

/** The program of the npm package `node`, in our own folder of packages or in one above, beside ops; undefined without one. */
function packagedNode() {
  for (const folder of module.createRequire(import.meta.url).resolve.paths("node") ?? []) {
    const program = join(folder, "node", "bin", "node");
    if (existsSync(program)) return program;
  }
  return undefined;
}

/**
 * Where compiled code is kept: in the installation, where this user may write to it, else among the user's caches.
 * Never in a folder for all users (Node's own choice), where somebody else could put code for us to run.
 */
function compileCache() {
  if (process.env.NODE_COMPILE_CACHE !== undefined) return process.env.NODE_COMPILE_CACHE;
  const dist = fileURLToPath(new URL("dist", root));
  try {
    accessSync(dist, constants.W_OK);
    return join(dist, ".compile-cache");
  } catch {
    return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "ops", "compile-cache");
  }
}
