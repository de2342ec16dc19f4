import { z } from "zod";
import type { Json } from "../core/errors.ts";
import type { Operation } from "../run/operation.ts";
import { groupSchema, runbookSchema, stepSchema } from "./schema.ts";

type Schema = { [key: string]: Json | undefined };

/** A text that is an expression stands in for any value. */
const expression: Schema = { type: "string", pattern: "\\$\\{\\{.*\\}\\}", description: "A CEL expression" };

/** The JSON Schema (draft 2020-12) of a runbook, made from the operations; editors complete and check with it. */
export function runbookJsonSchema(operations: readonly Operation[]): Schema {
  const whole = convert(runbookSchema);
  const properties = whole.properties as Record<string, Schema>;
  return {
    ...whole,
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "ops runbook",
    properties: {
      ...properties,
      steps: { ...properties.steps, items: { anyOf: [{ $ref: "#/$defs/step" }, { $ref: "#/$defs/group" }] } },
    },
    $defs: {
      step: step(operations),
      group: {
        ...convert(groupSchema),
        properties: {
          ...(convert(groupSchema).properties as Schema),
          parallel: { type: "array", minItems: 1, items: { $ref: "#/$defs/step" } },
        },
      },
      ...Object.fromEntries(
        operations.map((operation) => [
          operation.name,
          { ...dynamic(convert(operation.input)), description: operation.summary },
        ]),
      ),
    },
  };
}

/** Each operation's name brings the shape of its `with:`. */
function step(operations: readonly Operation[]): Schema {
  const base = convert(stepSchema);
  return {
    ...base,
    properties: {
      ...(base.properties as Schema),
      uses: { enum: operations.map((operation) => operation.name), description: "The operation" },
    },
    oneOf: operations.map((operation) => ({
      properties: { uses: { const: operation.name }, with: { $ref: `#/$defs/${operation.name}` } },
      ...(needsInput(operation) ? { required: ["with"] } : {}),
    })),
  };
}

function needsInput(operation: Operation): boolean {
  return !operation.input.safeParse({}).success;
}

function dynamic(schema: Schema): Schema {
  const properties = Object.entries((schema.properties ?? {}) as Record<string, Schema>).map(
    ([key, { description, ...each }]) => [
      key,
      { ...(description === undefined ? {} : { description }), anyOf: [each, expression] },
    ],
  );
  return { ...schema, properties: Object.fromEntries(properties) as Schema };
}

function convert(schema: z.ZodType): Schema {
  const { $schema: _, ...rest } = z.toJSONSchema(schema, { io: "input", unrepresentable: "any" });
  return rest as Schema;
}
