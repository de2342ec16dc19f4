#!/usr/bin/env node
/*
 * The build: checks the types, then bundles src/ to dist/. A program in hundreds of files spends most of a short
 * command on finding and opening them; a bundle of a few chunks does not (docs/decisions/0027).
 *
 *   npm run build
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { builtinModules } from "node:module";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("..", import.meta.url));
const dist = join(root, "dist");
const stamp = join(dist, ".ops-setup");

/** Programs of their own: the command, its reference page, and what the sandbox starts. */
export const entryPoints = [
  "src/cli/main.ts",
  "src/cli/wal.ts",
  "src/cli/reference.ts",
  "src/sandbox/sample-app.ts",
  "src/load-engine/generator.ts",
];

/** Left to node_modules: a WebAssembly file and programs that are found beside their package; what asks for its own files. */
const external = ["libpg-query", "squawk-cli", "pg-native", "autocannon"];

/** Of packages that are not ES modules: they ask for parts of Node by `require`, which an ES module does not have. */
const requireOfNode = "const require = process.getBuiltinModule;";

/**
 * What nearly every command loads. Each file that is imported lazily is made to import all of it, so that it becomes
 * one chunk: the bundler makes a chunk for each set of files that are used together, and Node takes about half a
 * millisecond for each.
 */
const common = [
  "src/config/load.ts",
  "src/core/yaml-source.ts",
  "src/cli/operation-command.ts",
  "src/postgres/connection.ts",
  "src/postgres/ops-schema.ts",
  "src/run/operation.ts",
  "src/run/pause.ts",
  "src/core/digest.ts",
];

/**
 * Changes the sources on their way into the bundle: `import { z }` becomes `import * as z`, which means the same, but
 * of a namespace the bundler leaves out what nobody uses (three quarters of zod); and lazy files import `common`.
 * @type {import("esbuild").Plugin}
 */
const forStartUp = {
  name: "start-up",
  setup: (bundler) => {
    const lazy = lazyFiles();
    const imports = common.map((each) => `import ${JSON.stringify(join(root, each))};`).join(" ");
    bundler.onLoad({ filter: /[\\/]src[\\/].*\.ts$/ }, ({ path }) => {
      const text = readFileSync(path, "utf8").replace(
        'import { z } from "zod";',
        'import * as z from "zod";',
      );
      // At the end: the lines stay what they are.
      return { loader: "ts", contents: lazy.has(path) ? `${text}\n${imports}` : text };
    });
  },
};

/** The files of src/ that are named in an `import(…)`, but for entries: `--help` needs none of what is common to the others. */
function lazyFiles() {
  const sources = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .filter((each) => each.endsWith(".ts"))
    .map((each) => join(root, "src", each));
  const entries = entryPoints.map((each) => join(root, each));
  return new Set(
    sources
      .flatMap((path) =>
        [...readFileSync(path, "utf8").matchAll(/\bimport\("(\.[^"]+\.ts)"\)/g)].map(([, file = ""]) =>
          join(dirname(path), file),
        ),
      )
      .filter((each) => !entries.includes(each)),
  );
}

/** Ends the build with the words of the compiler or bundler. */
export class BuildError extends Error {}

/** Whether dist/ is what the sources give. */
export function isBuilt() {
  return existsSync(stamp) && readFileSync(stamp, "utf8") === sourceStamp();
}

/**
 * Builds aside and from nothing, then puts it in its place: what runs from dist/ meanwhile never sees half a build, a
 * build that fails leaves the last good one, and a source file that is gone does not live on. Throws `BuildError`.
 */
export async function build() {
  const wanted = sourceStamp();
  checkTypes();
  // Beside dist/, which is replaced as a whole; of this process, because `npm run build` takes no lock.
  const unfinished = join(root, ".ops", `build-${process.pid}`);
  const outdated = `${unfinished}-outdated`;
  removeAbandoned();
  try {
    for (const { path, contents } of await bundle()) {
      const file = join(unfinished, relative(dist, path));
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, contents);
    }
    writeFileSync(join(unfinished, ".ops-setup"), wanted);
    if (existsSync(dist)) renameSync(dist, outdated);
    renameSync(unfinished, dist);
  } finally {
    rmSync(unfinished, { recursive: true, force: true });
    rmSync(outdated, { recursive: true, force: true });
  }
}

/** What a build that was killed has left. */
function removeAbandoned() {
  const parent = join(root, ".ops");
  for (const name of existsSync(parent) ? readdirSync(parent) : []) {
    const pid = /^build-(\d+)/.exec(name)?.[1];
    if (pid !== undefined && !existsProcess(Number(pid)))
      rmSync(join(parent, name), { recursive: true, force: true });
  }
}

/** @param {number} pid */
function existsProcess(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EPERM";
  }
}

function checkTypes() {
  const tsc = join(root, "node_modules", ".bin", "tsc");
  const result = spawnSync(tsc, ["-p", "tsconfig.build.json"], { cwd: root, encoding: "utf8" });
  if (result.error !== undefined) throw new BuildError(result.error.message);
  if (result.status !== 0) throw new BuildError(`${result.stdout}${result.stderr}`.trimEnd());
}

/** The files of dist/, in memory: their source maps are relative to where they will be. */
async function bundle() {
  // Not imported above: the set-up imports this file before there are packages.
  const esbuild = await import("esbuild");
  try {
    const { metafile, outputFiles } = await esbuild.build({
      absWorkingDir: root,
      entryPoints,
      outdir: dist,
      write: false,
      outbase: "src",
      // As deep as the entries: a path relative to `import.meta.url` is the same in src/ and in dist/.
      chunkNames: "chunks/[name]-[hash]",
      bundle: true,
      splitting: true,
      format: "esm",
      platform: "node",
      // The form in which what is imported lazily has its names (the AWS SDK has both).
      mainFields: ["module", "main"],
      target: "node24",
      external,
      banner: { js: requireOfNode },
      plugins: [forStartUp],
      minifySyntax: true,
      minifyWhitespace: true,
      legalComments: "none",
      sourcemap: "linked",
      sourcesContent: false,
      metafile: true,
      logLevel: "silent",
    });
    refuseForeignRequire(metafile);
    return outputFiles;
  } catch (error) {
    throw new BuildError(error instanceof Error ? error.message : String(error));
  }
}

/** What `requireOfNode` cannot answer must not be asked at run time. @param {import("esbuild").Metafile} metafile */
function refuseForeignRequire(metafile) {
  const asked = Object.values(metafile.outputs)
    .flatMap((each) => each.imports)
    .filter((each) => each.external === true && each.kind === "require-call")
    .map((each) => each.path.replace(/^node:/, ""));
  const foreign = asked.filter((each) => !builtinModules.includes(each) && each !== "pg-native");
  if (foreign.length > 0)
    throw new BuildError(`required, but not in the bundle: ${[...new Set(foreign)].join(", ")}`);
}

/** Changes whenever a source file was added, removed or written: paths, sizes and times, not contents. */
function sourceStamp() {
  const files = readdirSync(join(root, "src"), { recursive: true, encoding: "utf8" })
    .map((path) => join("src", path))
    .concat("bin/build.mjs", "tsconfig.json", "tsconfig.build.json", "package-lock.json")
    .sort();
  const lines = files.map((path) => {
    const { mtimeMs, size } = statSync(join(root, path));
    return `${path} ${mtimeMs} ${size}`;
  });
  return createHash("sha256").update(lines.join("\n")).digest("hex");
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  try {
    await build();
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    process.stderr.write(`${error.message}\n`);
    process.exitCode = 1;
  }
}
