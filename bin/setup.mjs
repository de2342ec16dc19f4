#!/usr/bin/env node
/*
 * Set-up: npm packages, Debian packages, build. Plain JavaScript for Node 20 without any dependency, because it runs
 * before there is one. A second call changes nothing. Exit codes: 0 ready, 1 something failed, 2 a person must
 * install something first.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  accessSync,
  constants,
  existsSync,
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { BuildError, build, isBuilt } from "./build.mjs";
import { installPostgres17 } from "./postgres17.mjs";

const oldestNode = 20;
const neededNode = 24;

/**
 * What must be installed beside npm packages: the Debian package, programs of which one shows that it is there, and Homebrew's
 * formula (empty: there is none, and the tests that need it fail on macOS).
 * @type {readonly { package: string, programs: readonly string[], brew: string }[]}
 */
const systemPackages = [
  { package: "postgresql", programs: ["initdb"], brew: "postgresql" },
  { package: "haproxy", programs: ["haproxy"], brew: "haproxy" },
  { package: "age", programs: ["age"], brew: "age" },
  { package: "zstd", programs: ["zstd"], brew: "zstd" },
];

/** Besides, with --tests: the services that only the tests need. */
const testPackages = [
  { package: "nginx-light", programs: ["nginx"], brew: "nginx" },
  // For full load on balancers.
  { package: "wrk", programs: ["wrk"], brew: "wrk" },
  { package: "pgbouncer", programs: ["pgbouncer"], brew: "pgbouncer" },
  { package: "pgbackrest", programs: ["pgbackrest"], brew: "pgbackrest" },
  // An S3 server; Homebrew has none.
  { package: "radosgw", programs: ["radosgw"], brew: "" },
  { package: "ceph-mon", programs: ["ceph-mon"], brew: "" },
  { package: "ceph-osd", programs: ["ceph-osd"], brew: "" },
  { package: "openssh-client", programs: ["ssh-keygen"], brew: "openssh" },
  { package: "openssl", programs: ["openssl"], brew: "openssl" },
  // Counts requests for canaries; promtool checks metrics.
  { package: "prometheus", programs: ["promtool"], brew: "prometheus" },
  // A DNS server for tests, without the service that the package dnsmasq begins.
  { package: "dnsmasq-base", programs: ["dnsmasq"], brew: "dnsmasq" },
  // For the test of schedules; macOS has one.
  { package: "cron", programs: ["cron"], brew: "" },
  // For checks of kind git.
  { package: "git", programs: ["git"], brew: "git" },
  // For PostgreSQL 17 beside the system's own (postgres17.mjs); Homebrew has it as postgresql@17.
  { package: "patchelf", programs: ["patchelf"], brew: "" },
];

const root = fileURLToPath(new URL("..", import.meta.url));
const modules = join(root, "node_modules");
const packageStamp = join(modules, ".ops-setup");
// Beside both folders, of which each may be removed while a set-up runs.
const lock = join(root, ".ops", "setup.lock");

/** Ends the set-up with one sentence, and what to do about it. */
class SetupError extends Error {
  /**
   * @param {string} message
   * @param {{ hint?: string, exitCode?: number, output?: string }} [options]
   */
  constructor(message, options = {}) {
    super(message);
    this.hint = options.hint;
    this.exitCode = options.exitCode ?? 1;
    this.output = options.output;
  }
}

/** @param {string} line */
function say(line) {
  process.stderr.write(`setup: ${line}\n`);
}

/**
 * Runs a program quietly, and returns its output; that is shown only where it fails.
 * @param {string} what what it does, for the error
 * @param {string} file
 * @param {readonly string[]} args
 * @param {NodeJS.ProcessEnv} [env]
 * @param {string} [cwd]
 */
function run(what, file, args, env = {}, cwd = root) {
  const result = spawnSync(file, args, {
    cwd,
    encoding: "utf8",
    env: { ...process.env, ...env },
    maxBuffer: 64 * 1024 * 1024,
    stdio: ["ignore", "pipe", "pipe"],
  });
  if (result.error !== undefined) throw new SetupError(`${what} failed: ${result.error.message}`);
  if (result.status !== 0) {
    const output = `${result.stdout}${result.stderr}`.trimEnd();
    throw new SetupError(`${what} failed (${[file, ...args].join(" ")})`, { output });
  }
  return result.stdout;
}

/** @param {string} text */
function hash(text) {
  return createHash("sha256").update(text).digest("hex");
}

/** @param {string} path */
function readIfThere(path) {
  return existsSync(path) ? readFileSync(path, "utf8") : undefined;
}

// npm packages

function installNpmPackages() {
  const wanted = hash(readFileSync(join(root, "package-lock.json"), "utf8"));
  if (readIfThere(packageStamp) !== wanted) {
    if (!hasLockedPackages()) {
      say("installing npm packages (npm ci)");
      run("npm ci", "npm", ["ci", "--no-fund", "--no-audit", "--loglevel=error"]);
    }
    bringNode();
    writeFileSync(packageStamp, wanted);
  }
}

/**
 * Whether npm itself wrote node_modules from this very lock file: it keeps a copy there, which lacks only the root
 * package and the optional packages of other platforms.
 */
function hasLockedPackages() {
  const installed = readIfThere(join(modules, ".package-lock.json"));
  if (installed === undefined) return false;
  const wanted = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8")).packages;
  const present = JSON.parse(installed).packages;
  return Object.entries(wanted).every(([path, entry]) => {
    if (path === "") return true;
    const found = present[path];
    return found === undefined ? entry.optional === true : found.version === entry.version;
  });
}

/** npm 11 and later run the package's install script, which links the binary, only where package.json allows it. */
function bringNode() {
  if (majorOf(join(modules, ".bin", "node")) === neededNode) return;
  run("npm rebuild node", "npm", ["rebuild", "node", "--loglevel=error"]);
  if (majorOf(join(modules, ".bin", "node")) !== neededNode) {
    throw new SetupError(`the npm package "node" did not bring Node ${neededNode}`, {
      hint: "remove node_modules and run: npm run setup",
    });
  }
}

/** @param {string} node */
function majorOf(node) {
  const result = spawnSync(node, ["--version"], { encoding: "utf8" });
  return result.status === 0 ? Number(/^v(\d+)/.exec(result.stdout)?.[1]) : undefined;
}

// System packages

function installSystemPackages() {
  const wanted = process.argv.includes("--tests") ? [...systemPackages, ...testPackages] : systemPackages;
  const missing = wanted.filter((each) => !each.programs.some(isInstalled));
  if (missing.length === 0) return;
  const names = missing.map((each) => each.package);
  if (process.platform === "darwin") {
    const brewed = missing.flatMap((each) => (each.brew === "" ? [] : [each.brew])).join(" ");
    if (brewed === "") return;
    throw new SetupError(`missing: ${names.join(", ")}`, {
      hint: `run: brew install ${brewed}`,
      exitCode: 2,
    });
  }
  const command = `apt-get install --no-install-recommends ${names.join(" ")}`;
  if (!isOnPath("apt-get")) {
    throw new SetupError(`missing: ${names.join(", ")}, and there is no apt-get on this machine`, {
      hint: "install them with the system's own package manager, then run: npm run setup",
      exitCode: 2,
    });
  }
  const becomeRoot = rootPrefix();
  if (becomeRoot === undefined) {
    throw new SetupError(
      `missing: ${names.join(", ")}, and neither root nor sudo without a password is at hand`,
      {
        hint: `run: sudo ${command}`,
        exitCode: 2,
      },
    );
  }
  say(`installing Debian packages: ${names.join(", ")}`);
  // Through env, because sudo passes no environment on.
  const [file = "env", ...rest] = [...becomeRoot, "env", "DEBIAN_FRONTEND=noninteractive", "apt-get"];
  run("apt-get update", file, [...rest, "update", "-q"]);
  run("apt-get install", file, [...rest, "install", "-y", "-q", "--no-install-recommends", ...names]);
  const still = missing.filter((each) => !each.programs.some(isInstalled));
  if (still.length > 0) {
    throw new SetupError(
      `apt-get installed ${names.join(", ")}, but there is still no ${still[0]?.programs[0]}`,
    );
  }
}

/** @param {string} program */
function isInstalled(program) {
  return isOnPath(program) || postgresFolders().some((folder) => isExecutable(join(folder, program)));
}

/** Debian keeps PostgreSQL's server programs off PATH. */
function postgresFolders() {
  const parent = "/usr/lib/postgresql";
  return existsSync(parent) ? readdirSync(parent).map((version) => join(parent, version, "bin")) : [];
}

/** @param {string} program */
function isOnPath(program) {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/sbin"];
  return folders.some((folder) => folder !== "" && isExecutable(join(folder, program)));
}

/** @param {string} path */
function isExecutable(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

/** What to put before a command to run it as root: nothing as root, undefined where there is no way. */
function rootPrefix() {
  if (process.getuid?.() === 0) return [];
  return spawnSync("sudo", ["-n", "true"]).status === 0 ? ["sudo", "-n"] : undefined;
}

// Build

async function buildWhereOutdated() {
  if (isBuilt()) return;
  say("building dist/");
  try {
    await build();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    throw new SetupError("the build failed", { output: error.message });
  }
}

// One at a time

/** Waits while another set-up of this checkout runs; a lock whose owner has died is taken over. */
async function takeLock() {
  mkdirSync(dirname(lock), { recursive: true });
  // Written aside and then linked: a lock file that exists always holds its owner's pid.
  const own = `${lock}.${process.pid}`;
  writeFileSync(own, String(process.pid));
  try {
    for (let waited = false; !linked(own); waited = true) {
      const owner = Number(readIfThere(lock));
      if (owner > 0 && !isAlive(owner)) {
        rmSync(lock, { force: true });
        continue;
      }
      if (!waited) say(`waiting for another set-up of this folder (process ${owner})`);
      await new Promise((done) => setTimeout(done, 200));
    }
  } finally {
    rmSync(own, { force: true });
  }
}

/** @param {string} own */
function linked(own) {
  try {
    linkSync(own, lock);
    return true;
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "EEXIST") return false;
    throw error;
  }
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

async function setUp() {
  const [major = 0] = process.versions.node.split(".").map(Number);
  if (major < oldestNode) {
    throw new SetupError(`this is Node ${process.version}; the set-up needs ${oldestNode} or later`, {
      hint: "install a newer Node: https://nodejs.org",
      exitCode: 2,
    });
  }
  await takeLock();
  try {
    installSystemPackages();
    if (process.argv.includes("--tests")) installPostgres17(run, say);
    installNpmPackages();
    await buildWhereOutdated();
  } finally {
    rmSync(lock, { force: true });
  }
}

try {
  await setUp();
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  if (error.output !== undefined && error.output !== "") process.stderr.write(`${error.output}\n`);
  say(error.message);
  if (error.hint !== undefined) say(`  = ${error.hint}`);
  process.exitCode = error.exitCode;
}
