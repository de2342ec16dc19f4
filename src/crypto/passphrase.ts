import { randomBytes, scrypt } from "node:crypto";
import { type Identity, type Recipient, Stanza } from "age-encryption";
import { decodeBase64, encodeBase64, unwrapKey, wrapKey } from "./stanza.ts";

/**
 * age's passphrase stanza (https://age-encryption.org/v1, "scrypt recipient stanza") on node:crypto, whose scrypt is
 * faster than one in JavaScript and does not stop the process. One derivation takes 256 MiB of memory, so there is
 * never more than one at a time.
 */
const label = "age-encryption.org/v1/scrypt";
const saltSize = 16;
/** Stock age's own: about a second. */
const workFactor = 18;
/** 1 GiB of memory. */
const highestWorkFactor = 20;

export class PassphraseRecipient implements Recipient {
  private readonly passphrase: string;

  constructor(passphrase: string) {
    this.passphrase = passphrase;
  }

  async wrapFileKey(fileKey: Uint8Array): Promise<Stanza[]> {
    const salt = randomBytes(saltSize);
    const key = await derive(this.passphrase, salt, workFactor);
    return [new Stanza(["scrypt", encodeBase64(salt), String(workFactor)], wrapKey(key, fileKey))];
  }
}

export class PassphraseIdentity implements Identity {
  private readonly passphrase: string;

  constructor(passphrase: string) {
    this.passphrase = passphrase;
  }

  async unwrapFileKey(stanzas: Stanza[]): Promise<Uint8Array | null> {
    const own = stanzas.filter((each) => each.args[0] === "scrypt");
    const [stanza] = own;
    if (stanza === undefined) return null;
    if (stanzas.length !== 1) throw new Error("a passphrase stanza is not alone in the header");
    const [, salt = "", exponent = ""] = stanza.args;
    if (stanza.args.length !== 3 || !/^[1-9]\d*$/.test(exponent))
      throw new Error("a passphrase stanza is malformed");
    if (Number(exponent) > highestWorkFactor) throw new Error("the work factor of a passphrase is too high");
    const saltBytes = decodeBase64(salt, saltSize);
    return unwrapKey(await derive(this.passphrase, saltBytes, Number(exponent)), stanza.body);
  }
}

let queue: Promise<unknown> = Promise.resolve();

function derive(passphrase: string, salt: Buffer, exponent: number): Promise<Buffer> {
  const N = 2 ** exponent;
  const options = { N, r: 8, p: 1, maxmem: 128 * 8 * N + 1024 * 1024 };
  const work = () =>
    new Promise<Buffer>((resolve, reject) => {
      scrypt(passphrase, Buffer.concat([Buffer.from(label), salt]), 32, options, (error, key) => {
        if (error === null) resolve(key);
        else reject(error);
      });
    });
  const result = queue.then(work);
  queue = result.catch(() => undefined);
  return result;
}
