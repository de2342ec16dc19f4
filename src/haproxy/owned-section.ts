import { UsageError } from "../core/errors.ts";

/** The lines of a haproxy.cfg between `# ops:begin NAME` and `# ops:end NAME`, in the section of one backend. */
export interface OwnedSection {
  /** Without their indentation and empty lines. */
  readonly lines: readonly string[];
  /** The same file with other lines there; every other byte stays. */
  with(lines: readonly string[]): string;
}

/**
 * @param file for messages
 * Throws `E_POOL_SECTION` (usage) where the lines are missing, twice, outside the backend, or below its servers: what
 * stands there holds for the servers that follow.
 */
export function findOwnedSection(text: string, file: string, name: string, backend: string): OwnedSection {
  const lines = text.split("\n");
  const [begin, ...otherBegins] = markers(lines, "begin", name);
  const [end, ...otherEnds] = markers(lines, "end", name);
  if (begin === undefined || end === undefined || end < begin) {
    throw new UsageError(
      "E_POOL_SECTION",
      `${file} has no lines "# ops:begin ${name}" and "# ops:end ${name}"`,
      {
        hint: `write both into its section "backend ${backend}", above the server lines, with its "balance" line between them`,
      },
    );
  }
  const again = otherBegins[0] ?? otherEnds[0];
  if (again !== undefined) {
    throw new UsageError("E_POOL_SECTION", `${file}:${again + 1}: a second section of ops for ${name}`, {
      hint: "leave one of them",
    });
  }
  const header = headerAbove(lines, begin);
  if (header === undefined || !isSectionOf(lines[header] ?? "", backend)) {
    throw new UsageError(
      "E_POOL_SECTION",
      `${file}:${begin + 1}: the section of ops is not in "backend ${backend}"`,
      {
        hint: `move it into the backend that "backend" of the pool names in .opsrc`,
      },
    );
  }
  if (lines.slice(header, begin).some((line) => /^\s*server(-template)?\s/.test(line))) {
    throw new UsageError("E_POOL_SECTION", `${file}:${begin + 1}: the section of ops stands below a server`, {
      hint: "move it above the server lines: it holds for those that follow",
    });
  }
  const indent = /^\s*/.exec(lines[begin] ?? "")?.[0] ?? "";
  return {
    lines: lines
      .slice(begin + 1, end)
      .map((line) => line.trim())
      .filter((line) => line !== ""),
    with: (wanted) =>
      [...lines.slice(0, begin + 1), ...wanted.map((line) => `${indent}${line}`), ...lines.slice(end)].join(
        "\n",
      ),
  };
}

function markers(lines: readonly string[], kind: "begin" | "end", name: string): number[] {
  return lines.flatMap((line, index) => {
    const [, word, found] = /^\s*#\s*ops:(begin|end)\s+(\S+)\s*$/.exec(line) ?? [];
    return word === kind && found === name ? [index] : [];
  });
}

const sections =
  /^\s*(global|defaults|frontend|backend|listen|peers|resolvers|mailers|userlist|cache|ring|program|http-errors|fcgi-app|log-forward|crt-store|traces|log-profile)\b/;

function headerAbove(lines: readonly string[], from: number): number | undefined {
  for (let index = from; index >= 0; index -= 1) if (sections.test(lines[index] ?? "")) return index;
  return undefined;
}

function isSectionOf(line: string, backend: string): boolean {
  const [, found] = /^\s*(?:backend|listen)\s+(\S+)/.exec(line) ?? [];
  return found === backend;
}
