import { createHmac, hkdfSync, timingSafeEqual } from "node:crypto";
import { type Decrypter, Encrypter } from "age-encryption";
import { UsageError } from "../core/errors.ts";
import { damaged } from "./chunks.ts";
import { payloadNonceSize } from "./payload.ts";
import { type AgeRecipients, addRecipients } from "./recipient.ts";

/** The first line of every age file. */
export const ageMagic = "age-encryption.org/v1\n";
const tagSize = 16;

/**
 * The textual header that wraps this file key for every recipient. Throws `E_RECIPIENT`.
 *
 * The library makes a file key of its own and hands the one buffer to every recipient in turn; a recipient without a
 * stanza, the first of them, writes ours over it. The MAC of the finished header shows that this worked.
 */
export async function wrapFileKey(fileKey: Uint8Array, recipients: AgeRecipients): Promise<Buffer> {
  const encrypter = new Encrypter();
  encrypter.addRecipient({
    wrapFileKey: (key) => {
      key.set(fileKey);
      return [];
    },
  });
  addRecipients(encrypter, recipients);
  // As a stream: for bytes the library loads Node's whole HTTP client, which takes longer than all of this command.
  const parts: Uint8Array[] = [];
  for await (const part of await encrypter.encrypt(nothing())) parts.push(part);
  const emptyFile = Buffer.concat(parts);
  const header = Buffer.from(emptyFile.subarray(0, emptyFile.length - payloadNonceSize - tagSize));
  if (!isAuthentic(header, fileKey)) throw new Error("age-encryption wrapped another key than the given one");
  return header;
}

function nothing(): ReadableStream<Uint8Array> {
  return new ReadableStream({ start: (controller) => controller.close() });
}

/**
 * The file key of a header. Throws `E_IDENTITY` where none of the identities opens it and `E_DECRYPT` where it is
 * damaged; a damaged stanza looks like a wrong key.
 */
export async function unwrapFileKey(decrypter: Decrypter, header: Buffer): Promise<Uint8Array> {
  try {
    return await decrypter.decryptHeader(header);
  } catch (error) {
    if (error instanceof Error && error.message.startsWith("no identity matched")) {
      throw new UsageError("E_IDENTITY", "The identity does not open this: it was encrypted to other keys", {
        hint: "use the private key of one of its recipients",
      });
    }
    throw damaged("its header is not authentic", error);
  }
}

/** Whether the MAC on the header's last line is the file key's. */
function isAuthentic(header: Buffer, fileKey: Uint8Array): boolean {
  const footer = header.lastIndexOf("\n--- ") + "\n---".length;
  const macKey = Buffer.from(hkdfSync("sha256", fileKey, Buffer.alloc(0), "header", 32));
  const wanted = createHmac("sha256", macKey).update(header.subarray(0, footer)).digest();
  const found = Buffer.from(header.toString("latin1", footer + 1, header.length - 1), "base64");
  return found.length === wanted.length && timingSafeEqual(found, wanted);
}
