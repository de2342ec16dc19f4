// Loaded with `node --import` into the real command: counts its changes of traffic, and ends it with SIGKILL at one of them.
// A change is a command to HAProxy that sets something, or a file that is put in its place or removed below a folder.
//   KILL_FOLDERS=/a:/b        the folders: the canary's own files, and the balancer's maps
//   KILL_AT_CHANGE=7          the change, counted from 1
//   KILL_WHEN=before|after    before it is made, or right after it
//   KILL_COUNT=/path          where the number of changes is written at a good end
import fs from "node:fs";
import files from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { Socket } from "node:net";

const at = Number(process.env.KILL_AT_CHANGE);
const when = process.env.KILL_WHEN;
const folders = (process.env.KILL_FOLDERS ?? "").split(":").filter((each) => each !== "");
let changes = 0;

const die = () => process.kill(process.pid, "SIGKILL");

function change() {
  changes += 1;
  return changes === at;
}

for (const name of /** @type {const} */ (["rename", "rm"])) {
  const original = files[name];
  Object.assign(files, {
    [name]: async (/** @type {[string, string]} */ ...args) => {
      const target = name === "rename" ? args[1] : args[0];
      const here = folders.some((each) => String(target).startsWith(`${each}/`)) && change();
      if (here && when === "before") die();
      await Reflect.apply(original, files, args);
      if (here) die();
    },
  });
}

const { write } = Socket.prototype;
Object.assign(Socket.prototype, {
  /** @this {Socket} */
  write(/** @type {[string]} */ ...args) {
    const here = /^(set weight|(set|add|del|prepare|commit) map) /.test(String(args[0])) && change();
    if (here && when === "before") die();
    // HAProxy has done it when it hangs up: nobody else hears of that before this does.
    if (here) this.prependOnceListener("end", die);
    return Reflect.apply(write, this, args);
  },
});
syncBuiltinESMExports();

const { KILL_COUNT } = process.env;
if (KILL_COUNT !== undefined) process.on("exit", () => fs.writeFileSync(KILL_COUNT, String(changes)));
