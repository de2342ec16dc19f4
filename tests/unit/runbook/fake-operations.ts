import { z } from "zod";
import type { Json } from "../../../src/core/errors.ts";
import type { OperationContext } from "../../../src/run/context.ts";
import {
  type Change,
  defineOperation,
  type Operation,
  type Report,
  type UndoResult,
} from "../../../src/run/operation.ts";
import { type OperationCatalog, parseRunbook } from "../../../src/runbook/parse.ts";
import type { Runbook } from "../../../src/runbook/runbook.ts";

type Behaviour = {
  apply?: (context: OperationContext, to: string, report: Report) => Promise<unknown>;
  undo?: (context: OperationContext, before: Json) => Promise<UndoResult>;
};

/** A world of named values, and operations over it: `value.set` changes one, `value.get` reads one, `value.drop` has no way back. */
export class FakeWorld {
  readonly values = new Map<string, string>();
  /** What was done, in order: `apply a`, `undo a`. */
  readonly done: string[] = [];
  /** Replaces what setting or undoing a value does. */
  readonly behaviours = new Map<string, Behaviour>();
  readonly operations: readonly Operation[];
  readonly catalog: OperationCatalog;

  constructor() {
    this.operations = [this.set(), this.get(), this.drop()];
    this.catalog = {
      find: async (name) => this.operations.find((each) => each.name === name),
      names: async () => this.operations.map((each) => each.name),
    };
  }

  runbook(text: string): Promise<Runbook> {
    return parseRunbook("r.yaml", text, this.catalog);
  }

  private set(): Operation {
    return defineOperation({
      name: "value.set",
      summary: "Set a value",
      example: "value set a --to 1",
      effect: "change",
      input: z.strictObject({ key: z.string(), to: z.string().default("new"), count: z.int().optional() }),
      output: z.object({ key: z.string(), was: z.string().nullable() }),
      targets: ({ key }) => [`value:${key}`],
      observe: async (_, { key }) => ({ was: this.values.get(key) ?? null }),
      plan: ({ was }, { key, to }): Change[] =>
        was === to
          ? []
          : [{ target: `value:${key}`, action: "update", summary: `set ${key}`, from: was, to }],
      apply: async (context, { key, to }, before, report) => {
        this.done.push(`apply ${key}`);
        await this.behaviours.get(key)?.apply?.(context, to, report);
        this.values.set(key, to);
        return { key, was: before.was };
      },
      undo: async (context, { key }, before) => {
        this.done.push(`undo ${key}`);
        const special = await this.behaviours.get(key)?.undo?.(context, before);
        if (before.was === null) this.values.delete(key);
        else this.values.set(key, before.was);
        return special ?? { undone: true };
      },
    });
  }

  private get(): Operation {
    return defineOperation({
      name: "value.get",
      summary: "Read a value",
      example: "value get a",
      effect: "read",
      input: z.strictObject({ key: z.string() }),
      output: z.object({ value: z.string().nullable() }),
      observe: async () => null,
      plan: () => [],
      apply: async (_, { key }) => ({ value: this.values.get(key) ?? null }),
    });
  }

  private drop(): Operation {
    return defineOperation({
      name: "value.drop",
      summary: "Lose a value",
      example: "value drop a",
      effect: "destroy",
      input: z.strictObject({ key: z.string() }),
      output: z.null(),
      targets: ({ key }) => [`value:${key}`],
      observe: async () => null,
      plan: (_, { key }): Change[] => [{ target: `value:${key}`, action: "delete", summary: `lose ${key}` }],
      apply: async (_, { key }) => {
        this.done.push(`apply ${key}`);
        this.values.delete(key);
        return null;
      },
    });
  }
}
