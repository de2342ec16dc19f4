import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { openerFor, rewrap, sealerFor } from "../../src/crypto/encryption.ts";
import { recipientsOf } from "../../src/crypto/identity.ts";
import { collect, inPieces } from "../support/streams.ts";
import { storeWith } from "../unit/crypto/store-keys.ts";

/** Debian's age and ssh-keygen, both ways. X25519 is in tests/unit/crypto/age.test.ts. */
const folder = mkdtempSync(join(tmpdir(), "ops-stock-age-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface SshPair {
  readonly file: string;
  readonly identity: string;
  readonly recipient: string;
}

function sshPair(name: string, ...options: readonly string[]): SshPair {
  const file = join(folder, name);
  execFileSync("ssh-keygen", ["-q", "-N", "", "-C", "somebody@example.com", "-f", file, ...options]);
  return {
    file,
    identity: readFileSync(file, "utf8"),
    recipient: readFileSync(`${file}.pub`, "utf8").trim(),
  };
}

const pairs: Record<string, SshPair> = {
  "ssh-ed25519": sshPair("ed25519", "-t", "ed25519"),
  "ssh-rsa": sshPair("rsa", "-t", "rsa", "-b", "2048"),
  "ssh-rsa in PEM": sshPair("rsa-pem", "-t", "rsa", "-b", "3072", "-m", "PEM"),
  "ssh-rsa in PKCS#8": sshPair("rsa-pkcs8", "-t", "rsa", "-b", "2048", "-m", "PKCS8"),
};

describe.each(Object.keys(pairs))("stock age with %s", (name) => {
  const { file, identity, recipient } = pairs[name] as SshPair;
  const plain = randomBytes(200_000);

  it("opens what is encrypted here", async () => {
    const sealer = await sealerFor(storeWith({ recipients: [recipient] }));
    const sealed = await collect(sealer.encrypt(inPieces(plain, 50_000)));

    const opened = execFileSync("age", ["-d", "-i", file], { input: sealed, maxBuffer: 10_000_000 });

    expect(opened.equals(plain)).toBe(true);
  });

  it("is opened here", async () => {
    const sealed = execFileSync("age", ["-r", recipient], { input: plain, maxBuffer: 10_000_000 });

    const opener = await openerFor(storeWith({ identity }));

    expect((await collect(opener.decrypt(inPieces(sealed, 9999)))).equals(plain)).toBe(true);
  });

  it("opens what was wrapped again for it", async () => {
    const first = await sealerFor(storeWith({ passphrase: "only for a while" }));
    const sealed = await collect(first.encrypt(inPieces(plain, 50_000)));

    const opener = await openerFor(storeWith({ passphrase: "only for a while" }));
    const again = await collect(
      rewrap(inPieces(sealed, 9999), opener, await sealerFor(storeWith({ recipients: [recipient] }))),
    );

    const opened = execFileSync("age", ["-d", "-i", file], { input: again, maxBuffer: 10_000_000 });
    expect(opened.equals(plain)).toBe(true);
  });

  it("the public key of the private one is the one that ssh-keygen says", async () => {
    expect(await recipientsOf(identity)).toEqual([recipient.split(" ").slice(0, 2).join(" ")]);
  });
});

describe("several recipients", () => {
  it("each opens it, whatever kinds they are", async () => {
    const keyFile = join(folder, "age-key");
    execFileSync("age-keygen", ["-o", keyFile], { stdio: "ignore" });
    const own = execFileSync("age-keygen", ["-y", keyFile], { encoding: "utf8" }).trim();
    const [ed25519, rsa] = [pairs["ssh-ed25519"] as SshPair, pairs["ssh-rsa"] as SshPair];
    const sealer = await sealerFor(storeWith({ recipients: [own, ed25519.recipient, rsa.recipient] }));

    const sealed = await collect(sealer.encrypt(inPieces(Buffer.from("for three"), 4)));

    for (const file of [keyFile, ed25519.file, rsa.file]) {
      expect(`${execFileSync("age", ["-d", "-i", file], { input: sealed })}`).toBe("for three");
    }
  });
});

describe("a passphrase", () => {
  const passphrase = "correct horse battery staple";

  it("opens with stock age what is encrypted here", async () => {
    const file = join(folder, "ours.age");
    const sealer = await sealerFor(storeWith({ passphrase }));
    writeFileSync(file, await collect(sealer.encrypt(inPieces(Buffer.from("by passphrase"), 4))));

    const opened = join(folder, "opened");
    await onTerminal(`age -d -o ${opened} ${file}`, passphrase);

    expect(readFileSync(opened, "utf8")).toBe("by passphrase");
  });

  it("opens here what stock age encrypts", async () => {
    const [plain, sealed] = [join(folder, "plain"), join(folder, "theirs.age")];
    writeFileSync(plain, "by their passphrase");
    await onTerminal(`age -p -o ${sealed} ${plain}`, passphrase);

    const opener = await openerFor(storeWith({ passphrase }));

    expect(`${await collect(opener.decrypt(inPieces(readFileSync(sealed), 9)))}`).toBe("by their passphrase");
  });
});

describe("SSH keys that cannot serve", () => {
  async function refusal(work: Promise<unknown>): Promise<{ code: string; message: string; cause?: Error }> {
    return work.then(
      () => {
        throw new Error("it was not refused");
      },
      (error) => error,
    );
  }

  it.each([
    ["OpenSSH's own form", []],
    ["PEM", ["-m", "PEM"]],
    ["PKCS#8", ["-m", "PKCS8"]],
  ])("a private key with a passphrase in %s is refused as that", async (form, options) => {
    const file = join(folder, `locked-${form.length}`);
    execFileSync("ssh-keygen", [
      "-q",
      "-N",
      "a passphrase",
      "-t",
      "rsa",
      "-b",
      "2048",
      "-f",
      file,
      ...options,
    ]);

    const error = await refusal(openerFor(storeWith({ identity: readFileSync(file, "utf8") })));

    expect(error).toMatchObject({ code: "E_IDENTITY", exitCode: 2 });
    expect(error.message).toContain("protected by a passphrase");
  });

  it("a key of another type is refused with the types that are known", async () => {
    const { recipient, identity } = sshPair("ecdsa", "-t", "ecdsa");

    expect((await refusal(sealerFor(storeWith({ recipients: [recipient] })))).code).toBe("E_RECIPIENT");
    expect((await refusal(openerFor(storeWith({ identity })))).code).toBe("E_IDENTITY");
  });

  it("an RSA key that is too short is refused, as age refuses it", async () => {
    const { recipient } = sshPair("short", "-t", "rsa", "-b", "1024");

    const error = await refusal(sealerFor(storeWith({ recipients: [recipient] })));

    expect(error.cause?.message).toContain("2048");
  });

  it("a public key that is no point of the curve is refused", async () => {
    const changed = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAIAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

    const error = await refusal(sealerFor(storeWith({ recipients: [changed] })));

    expect(error).toMatchObject({ code: "E_RECIPIENT" });
    expect(error.cause?.message).toContain("not a point of the curve");
  });
});

/** Runs a command on a terminal of its own and types the passphrase wherever one is asked for. */
async function onTerminal(command: string, passphrase: string): Promise<void> {
  const child = spawn("script", ["-q", "-e", "-c", command, "/dev/null"], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  let [shown, answered] = ["", 0];
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    shown += text;
    const asked = shown.match(/(?:Enter|Confirm) passphrase[^:]*: /g)?.length ?? 0;
    for (; answered < asked; answered += 1) child.stdin.write(`${passphrase}\n`);
  });
  const code = await new Promise<number | null>((resolve) => child.on("close", resolve));
  if (code !== 0) throw new Error(`${command}: exit code ${code}: ${shown}`);
}
