import type { FolderListing } from "../folder-listing.ts";
import { type Migration, migration } from "../migration.ts";
import type { Problem } from "../problem.ts";
import { sqlFile } from "../sql-file.ts";
import { placeOfIndex } from "../sql-position.ts";
import { canonicalVersion, compareVersions } from "../version.ts";
import type { FolderContent, MigrationFormat, ReadOptions } from "./format.ts";
import { duplicate } from "./paired-files.ts";

const pattern = /^(?:(?<kind>[VUB])(?<version>\d+(?:[._]\d+)*)|(?<repeatable>R))__(?<name>.+)\.sql$/;

/** https://documentation.red-gate.com/flyway, "Callbacks": `afterMigrate.sql`, `beforeEachMigrate__name.sql`. */
const callback = /^(?:(?:before|after)[A-Z]\w*?|createSchema)(?:__.*)?\.sql$/;

interface FlywayFile {
  readonly path: string;
  readonly kind: "V" | "U" | "B" | "R";
  readonly version: string;
  readonly name: string;
}

/** https://flywaydb.org: `V1_2__name.sql`, `U1_2__name.sql` (way back), `R__name.sql` (repeated when it changes). */
export const flyway: MigrationFormat = {
  name: "flyway",
  recognises: (folder) => paths(folder).some((each) => pattern.test(baseName(each))),
  read,
  wayBackFile: ({ version, name }) => `U${version}__${name}.sql`,
  create: (_, version, name) => [
    { path: `V${version}__${name}.sql`, content: "" },
    { path: `U${version}__${name}.sql`, content: "" },
  ],
};

function read(folder: FolderListing, options: ReadOptions): FolderContent {
  const problems: Problem[] = [];
  const files = paths(folder).flatMap((path): FlywayFile[] => {
    const parts = pattern.exec(baseName(path))?.groups;
    if (parts === undefined) {
      if (path.endsWith(".sql")) problems.push(callback.test(baseName(path)) ? called(path) : misnamed(path));
      return [];
    }
    const { name = "", kind } = parts;
    if (kind === "V" || kind === "U" || kind === "B") {
      return [{ path, kind, name, version: (parts.version ?? "").replaceAll("_", ".") }];
    }
    return [{ path, kind: "R", name, version: `R__${name}` }];
  });
  const migrations: Migration[] = [];
  for (const group of Map.groupBy(files, (each) => canonicalVersion(each.version)).values()) {
    const of = (...kinds: readonly FlywayFile["kind"][]) => group.filter((each) => kinds.includes(each.kind));
    const [ups, downs] = [of("V", "R"), of("U")];
    problems.push(...of("B").map(baseline));
    for (const same of [ups, downs])
      if (same.length > 1) problems.push(duplicate(same.map((each) => each.path)));
    const [up, down] = [ups[0], downs[0]];
    if (up === undefined) {
      problems.push(...downs.map(missingUp));
      continue;
    }
    const file = (each: FlywayFile) => {
      const text = folder.text(each.path);
      const filled = text === undefined ? undefined : fillPlaceholders(text, each.path, options, problems);
      return sqlFile(each.path, () => filled, settings(folder, each.path));
    };
    migrations.push(
      migration({
        version: up.version,
        name: up.name,
        up: file(up),
        down: down && file(down),
        verify: undefined,
        ...(up.kind === "R" && { repeatable: true }),
      }),
    );
  }
  // `R__name` is no number, so it comes after all that are.
  return { migrations: migrations.sort((a, b) => compareVersions(a.version, b.version)), problems };
}

/** Flyway looks into all folders below, too. */
function paths(folder: FolderListing): string[] {
  return [
    ...folder.files,
    ...folder.subfolders.flatMap((each) => folder.within(each).map((name) => `${each}/${name}`)),
  ];
}

function baseName(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}

/** `V1__name.sql.conf` beside the file. */
function settings(folder: FolderListing, path: string) {
  const conf = `${path}.conf`;
  const text = paths(folder).includes(conf) ? folder.text(conf) : undefined;
  return /^\s*executeInTransaction\s*=\s*false\b/m.test(text ?? "") ? ({ transaction: "none" } as const) : {};
}

function fillPlaceholders(
  text: string,
  path: string,
  { placeholders }: ReadOptions,
  problems: Problem[],
): string {
  return text.replaceAll(/\$\{([^}\s]+)\}/g, (whole, name: string, index: number) => {
    const value = Object.hasOwn(placeholders, name) ? placeholders[name] : undefined;
    if (value !== undefined) return value;
    problems.push({
      kind: "placeholder",
      message: `${path}:${placeOfIndex(text, index).position.line}: the placeholder ${whole} has no value`,
      hint: `set it in .opsrc: migrations-placeholders: { ${name}: … }`,
    });
    return whole;
  });
}

function misnamed(path: string): Problem {
  return {
    kind: "file-name",
    message: `${path} is not named as a migration of Flyway`,
    hint: "name it V1__create_orders.sql, U1__create_orders.sql or R__orders_view.sql",
  };
}

function called(path: string): Problem {
  return {
    kind: "file-form",
    message: `${path} is a callback of Flyway, which ops does not run`,
    hint: "take it out of the folder: what it does belongs in a migration (R__name.sql), or in a step of a runbook",
  };
}

function baseline({ path, version, name }: FlywayFile): Problem {
  return {
    kind: "file-form",
    message: `${path} is a baseline migration, which ops does not run`,
    hint: `keep V${version}__${name}.sql and those before it, and mark what is there with: ops migrate baseline ${version}`,
  };
}

function missingUp({ path, version, name }: FlywayFile): Problem {
  return {
    kind: "missing-up",
    message: `${path} has no file that it takes back`,
    hint: `add V${version}__${name}.sql, or delete it`,
  };
}
