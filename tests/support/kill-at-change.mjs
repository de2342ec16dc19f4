// Loaded with `node --import` into the real command: counts its changes of stores, and ends it with SIGKILL at one of them.
//   KILL_FOLDERS=/a:/b        what is opened, written, renamed and removed below these folders counts
//   KILL_AT_CHANGE=7          the change, counted from 1; requests to S3 that are no reads count too
//   KILL_WHEN=before|sent     before it is made; or, of a request, when it is on its way and not yet answered
//   KILL_COUNT=/path          where the number of changes is written at a good end
import fs from "node:fs";
import files from "node:fs/promises";
import http from "node:http";
import { syncBuiltinESMExports } from "node:module";

const at = Number(process.env.KILL_AT_CHANGE);
const whenSent = process.env.KILL_WHEN === "sent";
const folders = (process.env.KILL_FOLDERS ?? "").split(":").filter((each) => each !== "");
let changes = 0;

const die = () => process.kill(process.pid, "SIGKILL");

/** @param {unknown} path */
const counts = (path) => folders.some((each) => String(path).startsWith(`${each}/`));

function change() {
  changes += 1;
  return changes === at;
}

for (const name of /** @type {const} */ (["rename", "link", "rm", "mkdir", "rmdir"])) {
  const original = files[name];
  Object.assign(files, {
    [name]: (/** @type {[string]} */ ...args) => {
      if (counts(args[0]) && change()) die();
      return Reflect.apply(original, files, args);
    },
  });
}

const { open } = files;
files.open = async (path, flags, mode) => {
  if (!counts(path)) return open(path, flags, mode);
  if (change()) die();
  const handle = await open(path, flags, mode);
  for (const name of /** @type {const} */ (["write", "sync"])) {
    const original = handle[name];
    Object.assign(handle, {
      [name]: (/** @type {unknown[]} */ ...args) => {
        if (change()) die();
        return Reflect.apply(original, handle, args);
      },
    });
  }
  return handle;
};

const { request } = http;
Object.assign(http, {
  request: (/** @type {[http.RequestOptions]} */ ...args) => {
    const here = ["PUT", "POST", "DELETE"].includes(args[0].method ?? "") && change();
    if (here && !whenSent) die();
    const sent = Reflect.apply(request, http, args);
    if (here) sent.once("finish", die);
    return sent;
  },
});
syncBuiltinESMExports();

const { KILL_COUNT } = process.env;
if (KILL_COUNT !== undefined) process.on("exit", () => fs.writeFileSync(KILL_COUNT, String(changes)));
