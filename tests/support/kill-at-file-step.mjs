// Loaded with `node --import`: ends the process with SIGKILL at one of the steps in which it changes files of a folder.
//   KILL_FOLDER=/a     files and folders below it count
//   KILL_AT_STEP=7     the step, counted from 1: an open for writing, half of a write, the whole of it, a sync, a rename
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";

const at = Number(process.env.KILL_AT_STEP);
const folder = process.env.KILL_FOLDER ?? "";
let steps = 0;

function step() {
  steps += 1;
  if (steps === at) process.kill(process.pid, "SIGKILL");
}

/** @param {unknown} path */
const counts = (path) => String(path).startsWith(`${folder}/`);

const { open, rename } = files;
files.open = async (path, flags, mode) => {
  if (!counts(path) || flags === "r") return open(path, flags, mode);
  step();
  const handle = await open(path, flags, mode);
  step();
  for (const name of /** @type {const} */ (["writeFile", "appendFile"])) {
    const original = handle[name];
    Object.assign(handle, {
      [name]: async (/** @type {string} */ text) => {
        const half = Math.floor(text.length / 2);
        await Reflect.apply(original, handle, [text.slice(0, half)]);
        step();
        await Reflect.apply(original, handle, [text.slice(half)]);
        step();
      },
    });
  }
  for (const name of /** @type {const} */ (["sync", "datasync"])) {
    const original = handle[name];
    Object.assign(handle, {
      [name]: async () => {
        await Reflect.apply(original, handle, []);
        step();
      },
    });
  }
  return handle;
};
files.rename = async (from, to) => {
  if (counts(to)) step();
  await rename(from, to);
  if (counts(to)) step();
};
syncBuiltinESMExports();
process.on("exit", () => process.stderr.write(`${steps} steps\n`));
