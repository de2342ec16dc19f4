import { execFile } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { isIP } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const run = promisify(execFile);

export interface Issued {
  /** Paths of PEM files; `chain` has the certificate and that of the authority in between. */
  readonly certificate: string;
  readonly chain: string;
  readonly key: string;
}

export interface IssueOptions {
  /** Default: 90; below zero it has expired. */
  readonly days?: number;
  /** Options of `openssl req` for the key. Default: a curve that is quick to make. */
  readonly newKey?: readonly string[];
  /** Default: sha256. */
  readonly digest?: string;
}

const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"];

/** A root that nobody else knows, and an authority below it that signs for servers; made by openssl. */
export class TestAuthority implements AsyncDisposable {
  readonly directory: string;
  /** Path of the root's certificate. */
  readonly root: string;
  private readonly between: string;

  private constructor(directory: string) {
    this.directory = directory;
    this.root = join(directory, "root.pem");
    this.between = join(directory, "between.pem");
  }

  static async make(): Promise<TestAuthority> {
    const authority = new TestAuthority(await mkdtemp(join(tmpdir(), "ops-ca-")));
    const { directory } = authority;
    await run(
      "openssl",
      [
        "req",
        "-x509",
        ...curve,
        "-nodes",
        "-keyout",
        "root.key",
        "-out",
        "root.pem",
        "-subj",
        "/CN=Test root",
        "-days",
        "400",
      ],
      { cwd: directory },
    );
    await authority.sign("between", "/CN=Test authority", {
      by: "root",
      extensions: "basicConstraints=critical,CA:TRUE",
      days: 200,
    });
    return authority;
  }

  /** A certificate for a server, by its name or address. */
  async issue(name: string, options: IssueOptions = {}): Promise<Issued> {
    const file = `${name}-${Math.random().toString(36).slice(2, 8)}`;
    await this.sign(file, `/O=Test/CN=${name}`, {
      by: "between",
      extensions: `subjectAltName=${isIP(name) === 0 ? `DNS:${name},DNS:www.${name}` : `IP:${name}`}`,
      days: 90,
      ...options,
    });
    const path = (end: string) => join(this.directory, `${file}${end}`);
    await writeFile(
      path("-chain.pem"),
      (await readFile(path(".pem"), "utf8")) + (await readFile(this.between, "utf8")),
    );
    return { certificate: path(".pem"), chain: path("-chain.pem"), key: path(".key") };
  }

  /** The same in a PKCS#12 file; its path. */
  async pkcs12({ certificate, key }: Issued, passphrase: string): Promise<string> {
    const file = certificate.replace(/pem$/, "p12");
    await run(
      "openssl",
      [
        "pkcs12",
        "-export",
        "-in",
        certificate,
        "-inkey",
        key,
        "-certfile",
        this.between,
        "-out",
        file,
        "-passout",
        "env:P12",
      ],
      { env: { ...process.env, P12: passphrase } },
    );
    return file;
  }

  private async sign(
    file: string,
    subject: string,
    how: IssueOptions & { readonly by: string; readonly extensions: string; readonly days: number },
  ): Promise<void> {
    const { by, extensions, days, newKey = curve, digest = "sha256" } = how;
    const cwd = this.directory;
    await writeFile(join(cwd, `${file}.ext`), `${extensions}\n`);
    const request = ["-nodes", "-keyout", `${file}.key`, "-out", `${file}.csr`, "-subj", subject];
    await run("openssl", ["req", ...newKey, ...request], { cwd });
    await run(
      "openssl",
      [
        "x509",
        "-req",
        "-in",
        `${file}.csr`,
        "-CA",
        `${by}.pem`,
        "-CAkey",
        `${by}.key`,
        `-${digest}`,
        "-days",
        String(days),
        "-extfile",
        `${file}.ext`,
        "-out",
        `${file}.pem`,
      ],
      { cwd },
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.directory, { recursive: true, force: true });
  }
}
