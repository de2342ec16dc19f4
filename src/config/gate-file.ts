import { readFileSync } from "node:fs";
import { relative, resolve } from "node:path";
import { DiagnosticsError } from "../core/diagnostic.ts";
import { UsageError } from "../core/errors.ts";
import { schemaDiagnostics, YamlSource } from "../core/yaml-source.ts";
import { type CheckSettings, type GateContent, type GateEntry, gateFileSchema } from "./schema.ts";

/** A part of a gate under a heading of its own. */
export interface GateSection {
  readonly title: string;
  readonly text: string | undefined;
  readonly checks: readonly CheckSettings[];
}

/** A gate as it is measured, wherever it is written. */
export interface GateSettings {
  readonly title?: string | undefined;
  readonly text?: string | undefined;
  readonly unknown: "fail" | "warn" | "pass";
  /** Milliseconds that an override may last; undefined: what is usual. */
  readonly "longest-override"?: number | undefined;
  /** Those of all sections too, in their order. */
  readonly checks: readonly CheckSettings[];
  readonly sections?: readonly GateSection[];
}

/**
 * The gate with the content of the file that it names. What `.opsrc` says of `unknown` and `longest-override` goes before the file, so that
 * environments may differ. The file is read now and not with `.opsrc`: work that asks no gate does not depend on it.
 * Throws `E_GATE_FILE` (usage) with every mistake at its place.
 *
 * @param directory what the path is relative to
 */
export function gateSettings(gate: string, entry: GateEntry, directory: string): GateSettings {
  const content = entry.file === undefined ? entry : readGateFile(gate, resolve(directory, entry.file));
  const sections = (content.sections ?? []).map(({ title, text, checks }) => ({ title, text, checks }));
  return {
    title: content.title,
    text: content.text,
    unknown: entry.unknown ?? content.unknown ?? "fail",
    "longest-override": entry["longest-override"] ?? content["longest-override"],
    checks: [...(content.checks ?? []), ...sections.flatMap((each) => each.checks)],
    sections,
  };
}

function readGateFile(gate: string, file: string): GateContent {
  const near = relative(process.cwd(), file);
  const shown = near.startsWith("..") ? file : near;
  let text: string;
  try {
    text = readFileSync(file, "utf8");
  } catch (error) {
    throw new UsageError("E_GATE_FILE", `The file ${shown} of gate ${gate} cannot be read`, {
      cause: error,
      hint: `correct "gates: ${gate}: file:" in .opsrc`,
    });
  }
  const source = new YamlSource(shown, text, "E_GATE_FILE");
  const parsed = gateFileSchema.safeParse(source.value, { reportInput: true });
  if (parsed.success) return parsed.data;
  throw new DiagnosticsError("E_GATE_FILE", schemaDiagnostics(source, gateFileSchema, parsed.error));
}
