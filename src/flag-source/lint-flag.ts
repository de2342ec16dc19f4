import {
  type FlagDefinition,
  hasTargeting,
  kindOf,
  offVariant,
  offVariantKey,
  sameJson,
} from "./definition.ts";
import type { Problem } from "./lint.ts";
import { asKilled, isKilled, isOff, misusedKeys } from "./off.ts";

const name = /^[A-Za-z0-9][A-Za-z0-9._-]*$/;

/** What is wrong with a flag beside its rules: variants, default, owner, expiry. */
export function flagFindings(flag: string, definition: FlagDefinition, now: Date | undefined): Problem[] {
  return [...variantProblems(definition), ...metadataProblems(flag, definition, now)];
}

function variantProblems(definition: FlagDefinition): Problem[] {
  const problems: Problem[] = [];
  const { variants, defaultVariant } = definition;
  const names = Object.keys(variants);
  if (names.length === 0) {
    problems.push({ severity: "error", rule: "variants", message: "has no variants" });
  } else if (kindOf(definition) === undefined) {
    problems.push({
      severity: "error",
      rule: "variant-types",
      message: "has variants of different types",
      hint: "an SDK asks for one type: all values boolean, or string, or number, or object",
    });
  }
  if (typeof defaultVariant !== "string" || defaultVariant === "") {
    problems.push({
      severity: "error",
      rule: "default-variant",
      message: "has no default variant",
      hint: `add "defaultVariant", one of: ${names.join(", ")}`,
    });
  } else if (!Object.hasOwn(variants, defaultVariant)) {
    problems.push({
      severity: "error",
      rule: "default-variant",
      message: `has the default variant "${defaultVariant}", which is none of its variants`,
      hint: `one of: ${names.join(", ")}`,
    });
  }
  if (names.length > 0 && offVariant(definition) === undefined) {
    problems.push({
      severity: "warning",
      rule: "off-variant",
      message: "has no variant that stands for off, so kill must be told one",
      hint: `name it in the metadata: "${offVariantKey}": "${names[0] ?? ""}"`,
    });
  }
  return problems;
}

function metadataProblems(flag: string, definition: FlagDefinition, now: Date | undefined): Problem[] {
  const { metadata = {} } = definition;
  const problems: Problem[] = [];
  if (!name.test(flag)) {
    problems.push({
      severity: "warning",
      rule: "name",
      message: "has a name that commands of ops do not take",
      hint: "letters, digits, '.', '_' and '-', beginning with a letter or digit",
    });
  }
  if (typeof metadata.owner !== "string" || metadata.owner === "") {
    problems.push({
      severity: "warning",
      rule: "owner",
      message: "has no owner",
      hint: `ops flag set ${flag} --owner TEAM`,
    });
  }
  problems.push(...reservedProblems(definition), ...offProblems(flag, definition));
  if (metadata.expires !== undefined) problems.push(...expiryProblems(metadata.expires, now));
  return problems;
}

/** What `ops` reads in the metadata must be what it writes there. */
function reservedProblems(definition: FlagDefinition): Problem[] {
  const { metadata = {}, variants } = definition;
  const named = metadata[offVariantKey];
  const wrong = [
    ...misusedKeys(definition),
    ...(named === undefined || (typeof named === "string" && Object.hasOwn(variants, named))
      ? []
      : [offVariantKey]),
    ...(["undefined", "boolean"].includes(typeof metadata.protected) ? [] : ["protected"]),
  ];
  const hints: Readonly<Record<string, string>> = {
    [offVariantKey]: `the name of a variant, one of: ${Object.keys(variants).join(", ")}`,
    protected: "write true or false",
  };
  return wrong.map((key) => ({
    severity: "error",
    rule: "reserved",
    message: `has "${key}" in its metadata with a value that means nothing to ops`,
    hint: hints[key] ?? "only ops writes it: take it out, or call it otherwise",
  }));
}

/** A flag that is turned off or killed must be off for everybody. */
function offProblems(flag: string, definition: FlagDefinition): Problem[] {
  const killed = isKilled(definition);
  if (!killed && !isOff(definition)) return [];
  const again = killed ? `ops flag kill ${flag}` : `ops flag set ${flag} --state off`;
  const problems: Problem[] = [];
  if (hasTargeting(definition)) {
    problems.push({
      severity: "error",
      rule: "killed-targeting",
      message: "is turned off and has rules nevertheless",
      hint: `take the rules away, or: ${again}`,
    });
  }
  if (killed && definition.state === "DISABLED") {
    problems.push({
      severity: "error",
      rule: "killed-disabled",
      message:
        "is killed, and disabled nevertheless: the default in the application's code counts, which may be on",
      hint: `write "state": "ENABLED", or: ${again}`,
    });
  }
  const { variants, defaultVariant } = definition;
  const whole = killed ? asKilled(definition) : { variants, defaultVariant: offVariant(definition) };
  if (
    !sameJson(
      { variants, defaultVariant },
      { variants: whole.variants, defaultVariant: whole.defaultVariant },
    )
  ) {
    problems.push({
      severity: "error",
      rule: "off-default",
      message: "is turned off, and its default variant is not the one that stands for off",
      hint: `to turn it off again: ${again}`,
    });
  }
  return problems;
}

function expiryProblems(expires: string | number | boolean, now: Date | undefined): Problem[] {
  const at = typeof expires === "string" ? Date.parse(expires) : Number.NaN;
  if (Number.isNaN(at)) {
    return [
      {
        severity: "error",
        rule: "expires",
        message: `expires at ${JSON.stringify(expires)}, which is no date`,
        hint: "write it as 2027-01-31",
      },
    ];
  }
  if (now === undefined || at > now.getTime()) return [];
  return [
    {
      severity: "warning",
      rule: "expired",
      message: `expired on ${String(expires)}`,
      hint: "take it out of the code, then: ops flag remove NAME; or give it more time with --expires",
    },
  ];
}
