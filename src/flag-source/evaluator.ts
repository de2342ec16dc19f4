import type { EvaluationContext, FlagValue, JsonValue, Logger, ResolutionDetails } from "@openfeature/core";
import { type FeatureFlag, FlagdCore, MemoryStorage } from "@openfeature/flagd-core";
import type { Json } from "../core/errors.ts";
import { type FlagDefinition, type Kind, kindOf } from "./definition.ts";
import { documentOf, type FlagSet } from "./flag-set.ts";

const silent: Logger = {
  error: () => undefined,
  warn: () => undefined,
  info: () => undefined,
  debug: () => undefined,
};

type Storage = ConstructorParameters<typeof FlagdCore>[0] & object;

/**
 * A storage of flagd-core that compiles a flag when it is first asked for, and again when it has changed: loading
 * 10,000 flags, and each change after it, takes no longer than comparing them.
 */
class LazyStorage implements Storage {
  private definitions: ReadonlyMap<string, FlagDefinition> = new Map();
  private readonly compiled = new Map<string, { of: FlagDefinition; flag: FeatureFlag | undefined }>();
  private shared: { $evaluators?: Json; metadata?: Json } = {};
  private sharedText = "{}";

  load(set: FlagSet): void {
    const { $evaluators, metadata } = documentOf({ ...set, flags: new Map() });
    const shared = { ...($evaluators && { $evaluators }), ...(metadata && { metadata }) };
    const text = JSON.stringify(shared);
    if (text !== this.sharedText) this.compiled.clear();
    this.shared = shared;
    this.sharedText = text;
    this.definitions = new Map([...set.flags].map(([name, { definition }]) => [name, definition]));
    for (const [name, { of }] of this.compiled) {
      const now = this.definitions.get(name);
      if (now === undefined || JSON.stringify(now) !== JSON.stringify(of)) this.compiled.delete(name);
    }
  }

  getFlag(name: string): FeatureFlag | undefined {
    const found = this.compiled.get(name);
    if (found !== undefined) return found.flag;
    const definition = this.definitions.get(name);
    if (definition === undefined) return undefined;
    const flag = this.compile(name, definition);
    this.compiled.set(name, { of: definition, flag });
    return flag;
  }

  getFlags(): Map<string, FeatureFlag> {
    const all = [...this.definitions.keys()].map((name) => [name, this.getFlag(name)] as const);
    return new Map(all.filter((each): each is [string, FeatureFlag] => each[1] !== undefined));
  }

  getFlagSetMetadata(): Record<string, string | number | boolean> {
    return (this.shared.metadata ?? {}) as Record<string, string | number | boolean>;
  }

  setConfigurations(): string[] {
    throw new Error("flags are loaded, not set");
  }

  /** One that flagd cannot read at all is treated as one that is not there, as its own readers do. */
  private compile(name: string, definition: FlagDefinition): FeatureFlag | undefined {
    const alone = new MemoryStorage(silent);
    try {
      alone.setConfigurations(JSON.stringify({ ...this.shared, flags: { [name]: definition } }));
    } catch {
      return undefined;
    }
    return alone.getFlag(name);
  }
}

/** The answer to one question about one flag. */
export interface Evaluation {
  /** Undefined where the caller's own default counts: the flag is disabled, broken, or has no default variant. */
  readonly value: Json | undefined;
  readonly variant: string | undefined;
  /** STATIC, DEFAULT, TARGETING_MATCH, DISABLED or ERROR, as OpenFeature names them. */
  readonly reason: string;
  readonly errorCode?: string;
  readonly errorMessage?: string;
}

/** Evaluates the flags of a set by flagd-core, in this process. Never throws for a rule or a context. */
export class Evaluator {
  /** For whoever needs more than one answer: all flags, types, metadata. */
  readonly core: FlagdCore;
  private readonly storage = new LazyStorage();
  private definitions: FlagSet["flags"] = new Map();
  private readonly kinds = new WeakMap<FlagDefinition, Kind>();

  constructor(set?: FlagSet) {
    this.core = new FlagdCore(this.storage, silent);
    if (set !== undefined) this.load(set);
  }

  /** From now on these are the flags. */
  load(set: FlagSet): void {
    this.storage.load(set);
    this.definitions = set.flags;
  }

  evaluate(name: string, context: Readonly<Record<string, Json>>): Evaluation {
    const kind = this.kind(name);
    let answer: ResolutionDetails<FlagValue>;
    try {
      const own = undefined as unknown as JsonValue;
      answer = this.core.resolve<FlagValue>(kind, name, own, context as EvaluationContext);
    } catch {
      // flagd-core makes a text of what a rule gives, and a context may hold what gives none: {"toString": 1}.
      const errorMessage = `what the rules of ${name} give is no text`;
      return { value: undefined, variant: undefined, reason: "ERROR", errorCode: "GENERAL", errorMessage };
    }
    const { value, variant, reason, errorCode, errorMessage } = answer;
    const known = { value: value as Json | undefined, variant, reason: String(reason) };
    if (errorCode === undefined) return known;
    return { ...known, errorCode, ...(errorMessage !== undefined && { errorMessage }) };
  }

  /** Told once for each definition: evaluating takes less than a microsecond. */
  private kind(name: string): Kind {
    const definition = this.definitions.get(name)?.definition;
    if (definition === undefined) return "boolean";
    const known = this.kinds.get(definition) ?? kindOf(definition) ?? kindOfDefault(definition) ?? "object";
    this.kinds.set(definition, known);
    return known;
  }
}

/** Of a flag with values of several kinds, which lint refuses: a kill of it must count all the same. */
function kindOfDefault({ variants, defaultVariant }: FlagDefinition): Kind | undefined {
  const value = typeof defaultVariant === "string" ? variants[defaultVariant] : undefined;
  return value === undefined ? undefined : kindOf({ variants: { default: value } });
}
