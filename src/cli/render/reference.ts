import { Command } from "commander";
import { z } from "zod";
import { capabilities } from "../../capabilities.ts";
import type { Check } from "../../run/check.ts";
import type { Operation } from "../../run/operation.ts";
import { commonOptions } from "../options.ts";
import { buildProgram } from "../program.ts";
import type { Terminal } from "../terminal.ts";

/** What of a JSON Schema the reference shows. */
type Schema = {
  readonly type?: string | readonly string[];
  readonly description?: string;
  readonly default?: unknown;
  readonly const?: unknown;
  readonly enum?: readonly unknown[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly additionalProperties?: boolean | Schema;
  readonly required?: readonly string[];
};

const introduction = `# Reference

Generated from the operations by \`npm run docs\`; do not edit. Every operation is a command (\`ops flag set\`) and a
step of a runbook (\`uses: flag.set\`). Its inputs are the flags of the command and the keys of the step's \`with:\`; its
outputs are what \`--json\` prints and what \`\${{ steps.<id>.output.<name> }}\` gives to later steps. Inputs in *italics*
can also be given without their flag's name, in that order.

Effects: **read** changes nothing; **change** can be taken back; **destroy** loses data and asks first (\`--yes\`).
`;

/** docs/reference.md: all that can be typed, from what the commands are made of. */
export async function renderReference(terminal: Terminal): Promise<string> {
  const sections = [introduction, commonSection(), "## Operations\n"];
  for (const capability of capabilities) {
    sections.push(`### ${capability.name}\n\n${capability.summary}.\n`);
    const { operations } = await capability.operations();
    sections.push(...operations.map(operationSection));
  }
  sections.push("## Checks of gates\n\nWhat `kind:` may be, and what goes under `with:`.\n");
  for (const capability of capabilities) {
    const loaded = await capability.checks?.();
    sections.push(...(loaded?.checks ?? []).map(checkSection));
  }
  sections.push("## Commands for runbooks, runs and the configuration\n");
  sections.push(...(await builtInSections(terminal)));
  return sections.join("\n");
}

function commonSection(): string {
  const rows = commonOptions(new Command(), { changes: true }).options.map((option) => [
    code(option.flags),
    option.description,
  ]);
  return `## Flags of every command\n\n\`--dry-run\`, \`--yes\` and \`--events\` are flags of commands that change something.\n\n${table(["Flag", "What it does"], rows)}`;
}

function operationSection(operation: Operation): string {
  const { name, summary, effect, example, positional = [] } = operation;
  return [
    `#### ${name}\n`,
    `${summary}. Effect: **${effect}**.\n`,
    `\`\`\`sh\nops ${example}\n\`\`\`\n`,
    inputTable(operation.input, positional),
    outputTable(operation.output),
  ].join("\n");
}

function checkSection(check: Check): string {
  return `### ${check.kind}\n\n${check.summary}.\n\n${inputTable(check.input, [])}`;
}

function inputTable(input: z.ZodType, positional: readonly string[]): string {
  const rows = fields(schemaOf(input, "input")).map(({ path, schema, required }) => [
    positional.includes(path) ? `*${code(path)}*` : code(path),
    typeOf(schema),
    required ? "required" : schema.default === undefined ? "" : code(shown(schema.default)),
    schema.description ?? "",
  ]);
  return rows.length === 0 ? "No input.\n" : table(["Input", "Type", "Default", "Description"], rows);
}

function outputTable(output: z.ZodType): string {
  const rows = fields(schemaOf(output, "output")).map(({ path, schema }) => [
    code(path),
    typeOf(schema),
    schema.description ?? "",
  ]);
  return table(["Output", "Type", "Description"], rows);
}

interface Field {
  /** `abort-when.error-rate`, `checks[].status` */
  readonly path: string;
  readonly schema: Schema;
  readonly required: boolean;
}

/** The fields of an object, each followed by those inside it. */
function fields(schema: Schema, prefix = ""): Field[] {
  return Object.entries(schema.properties ?? {}).flatMap(([key, each]) => {
    const path = `${prefix}${key}`;
    const inner = each.anyOf?.find((branch) => branch.properties !== undefined) ?? each;
    const required = schema.required?.includes(key) === true;
    return [
      { path, schema: each, required },
      ...fields(inner, `${path}.`),
      ...fields(inner.items ?? {}, `${path}[].`),
    ];
  });
}

function typeOf(schema: Schema): string {
  if (schema.const !== undefined) return code(String(schema.const));
  if (schema.enum !== undefined) return schema.enum.map((each) => code(String(each))).join(", ");
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(" or ");
  const types = typeof schema.type === "string" ? [schema.type] : (schema.type ?? []);
  return types.map((type) => typeName(type, schema)).join(" or ") || "any";
}

function typeName(type: string, schema: Schema): string {
  switch (type) {
    case "array":
      return `list of ${schema.items === undefined ? "any" : typeOf(schema.items)}`;
    case "object":
      return "mapping";
    case "string":
      return "text";
    case "boolean":
      return "true or false";
    default:
      return type;
  }
}

async function builtInSections(terminal: Terminal): Promise<string[]> {
  const operations = new Set(capabilities.map((each) => each.name));
  const names = (await buildProgram([], terminal, () => undefined)).commands.map((each) => each.name());
  const sections: string[] = [];
  for (const name of names.filter((each) => !operations.has(each))) {
    // Only the part that the arguments name is loaded.
    const program = await buildProgram([name], terminal, () => undefined);
    const command = program.commands.find((each) => each.name() === name);
    if (command !== undefined) sections.push(...commandSections(command, `ops ${name}`));
  }
  return sections;
}

function commandSections(command: Command, path: string): string[] {
  if (command.commands.length > 0) {
    return command.commands.flatMap((each) => commandSections(each, `${path} ${each.name()}`));
  }
  const common = new Set(commonOptions(new Command(), { changes: true }).options.map((each) => each.long));
  const rows = [
    ...command.registeredArguments.map((each) => [`*${code(each.name())}*`, each.description]),
    ...command.options
      .filter((each) => !common.has(each.long))
      .map((each) => [
        code(each.flags),
        `${each.description}${each.defaultValue === undefined ? "" : ` (default: ${each.defaultValue})`}`,
      ]),
  ];
  const text = `### ${path}\n\n${command.description()}.\n`;
  return [rows.length === 0 ? text : `${text}\n${table(["Argument or flag", "What it is"], rows)}`];
}

function schemaOf(type: z.ZodType, io: "input" | "output"): Schema {
  return z.toJSONSchema(type, { io, unrepresentable: "any" }) as Schema;
}

function shown(value: unknown): string {
  if (typeof value === "string") return value;
  if (Array.isArray(value) && value.every((each) => typeof each === "string")) return value.join(", ");
  return JSON.stringify(value);
}

function code(text: string): string {
  return text === "" ? "" : `\`${text}\``;
}

function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map((each) => each.replaceAll("|", "\\|")).join(" | ")} |`;
  return `${[line(head), line(head.map(() => "---")), ...rows.map(line)].join("\n")}\n`;
}
