/*
 * PostgreSQL 17 for the tests, beside the 15 of Debian 12: the packages of Debian 13, unpacked into a folder of their
 * own together with the C library that they were built with. Nothing of the system is changed. Without dependencies,
 * as the set-up itself.
 */
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { homedir, tmpdir } from "node:os";
import { join } from "node:path";

const suite = "trixie";
const keyring = "/usr/share/keyrings/debian-archive-keyring.gpg";

/** For root a place that the server's user may read as well. */
const cache =
  process.getuid?.() === 0
    ? "/var/cache/ops-tests"
    : join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "ops-tests");

const root = join(cache, "postgresql-17");

/** Where its programs are once it is installed. */
export const postgres17Folder = join(root, "usr/lib/postgresql/17/bin");

/**
 * @param {(what: string, file: string, args: readonly string[], env?: NodeJS.ProcessEnv, cwd?: string) => string} run
 *   runs a program quietly and returns what it wrote; throws where it fails
 * @param {(line: string) => void} say
 */
export function installPostgres17(run, say) {
  const known = [postgres17Folder, "/usr/lib/postgresql/17/bin"];
  if (process.platform !== "linux" || known.some((each) => existsSync(join(each, "postgres")))) return;
  say(`fetching PostgreSQL 17 of Debian ${suite} into ${root}`);
  mkdirSync(cache, { recursive: true });
  const work = mkdtempSync(join(tmpdir(), "ops-postgresql-17-"));
  const unfinished = `${root}.${process.pid}`;
  try {
    mkdirSync(unfinished);
    chmodSync(unfinished, 0o755);
    for (const file of downloaded(work, run)) run("dpkg-deb", "dpkg-deb", ["-x", file, unfinished]);
    useOwnLoader(unfinished, run);
    rmSync(root, { recursive: true, force: true });
    renameSync(unfinished, root);
    run("postgres --version", join(postgres17Folder, "postgres"), ["--version"]);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
    rmSync(work, { recursive: true, force: true });
  }
}

/**
 * The package files, their signatures checked by apt, which works in folders of its own as if nothing were installed.
 * @param {string} work
 * @param {Parameters<typeof installPostgres17>[0]} run
 */
function downloaded(work, run) {
  for (const each of [
    "etc/apt.conf.d",
    "etc/preferences.d",
    "state/lists/partial",
    "cache/archives/partial",
  ]) {
    mkdirSync(join(work, each), { recursive: true });
  }
  writeFileSync(join(work, "state/status"), "");
  const source = `deb [signed-by=${keyring}] http://deb.debian.org/debian ${suite} main\n`;
  writeFileSync(join(work, "etc/sources.list"), source);
  const settings = [
    `Dir::Etc=${work}/etc`,
    `Dir::State=${work}/state`,
    `Dir::State::status=${work}/state/status`,
    `Dir::Cache=${work}/cache`,
    "APT::Install-Recommends=false",
    // The folder is private to whoever runs this.
    `APT::Sandbox::User=${process.getuid?.() === 0 ? "root" : ""}`,
  ].flatMap((each) => ["-o", each]);
  const apt = (/** @type {readonly string[]} */ ...args) =>
    run(`apt-get ${args[0]}`, "apt-get", [...settings, "-q", ...args], { LC_ALL: "C" }, work);
  apt("update");
  const names = [...apt("install", "--simulate", "postgresql-17").matchAll(/^Inst (\S+)/gm)].map(
    ([, name]) => name,
  );
  // The libraries; neither Perl nor the compiler of JIT, which is as large as everything else.
  const wanted = names.filter((each) => /^(lib|zlib|postgresql(-client)?-17$)/.test(each ?? ""));
  const unused = /perl|^libllvm|^libz3/;
  apt("download", ...wanted.flatMap((each) => (each === undefined || unused.test(each) ? [] : [each])));
  return readdirSync(work).flatMap((each) => (each.endsWith(".deb") ? [join(work, each)] : []));
}

/**
 * The programs begin with the loader of their own C library and find all libraries beside it.
 * @param {string} unpacked
 * @param {Parameters<typeof installPostgres17>[0]} run
 */
function useOwnLoader(unpacked, run) {
  const programs = join(unpacked, "usr/lib/postgresql/17/bin");
  const postgres = join(programs, "postgres");
  const loader = run("patchelf", "patchelf", ["--print-interpreter", postgres]).trim();
  const name = loader.slice(loader.lastIndexOf("/") + 1);
  const libraries = readdirSync(join(unpacked, "usr/lib")).find((each) =>
    existsSync(join(unpacked, "usr/lib", each, name)),
  );
  const folder = join(root, "usr/lib", libraries ?? "");
  const args = ["--set-interpreter", join(folder, name), "--force-rpath", "--set-rpath", folder];
  run("patchelf", "patchelf", [...args, ...readdirSync(programs).map((each) => join(programs, each))]);
  rmSync(join(unpacked, "usr/lib/postgresql/17/lib/llvmjit.so"), { force: true });
}
