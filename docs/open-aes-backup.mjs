// Opens an object that ops encrypted with AES-256-GCM (docs/formats/aes-256-gcm.md); Node 20 and no package:
//   set -o pipefail; node open-aes-backup.mjs KEY-FILE dump.zst.aes | zstd --decompress | pg_restore …
// KEY-FILE: 32 bytes in base64 or hexadecimal, as in encryption-key; with a third argument, the data key itself.
import { createDecipheriv, hkdfSync } from "node:crypto";
import { openSync, readFileSync, readSync } from "node:fs";

const [keyFile, object, isDataKey] = process.argv.slice(2);
const [text] = /^[^#\s]+/m.exec(readFileSync(keyFile, "utf8"));
const given = Buffer.from(text, text.length === 64 ? "hex" : "base64");
const descriptor = openSync(object);
function read(size, bytes = Buffer.alloc(size), filled = 0) {
  const count = filled < size ? readSync(descriptor, bytes, filled, size - filled) : 0;
  return count === 0 ? bytes.subarray(0, filled) : read(size, bytes, filled + count);
}
function open(key, nonce, sealed) {
  const opener = createDecipheriv("aes-256-gcm", key, nonce).setAuthTag(sealed.subarray(-16));
  return Buffer.concat([opener.update(sealed.subarray(0, -16)), opener.final()]);
}
let header = "";
while (!/\n--- .+\n$/.test(header) && header.length < 65_536)
  header += read(1).toString("latin1") || "\n--- end\n";
const wrapped = Buffer.from(/^key-file \S+ (.+)$/m.exec(header)?.[1] ?? "", "base64");
const dataKey = isDataKey ? given : open(given, wrapped.subarray(0, 12), wrapped.subarray(12));
const key = Buffer.from(hkdfSync("sha256", dataKey, read(32), "ops-aes-256-gcm/v1 payload", 32));
for (let [count, chunk] = [0, read(65_552)], next; next?.length !== 0; [count, chunk] = [count + 1, next]) {
  next = read(65_552);
  const nonce = Buffer.concat([Buffer.alloc(5), Buffer.alloc(7, next.length === 0 ? 1 : 0)]);
  nonce.writeUIntBE(count, 5, 6);
  process.stdout.write(open(key, nonce, chunk));
}
