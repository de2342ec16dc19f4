import type { GateSettings } from "../config/gate-file.ts";
import type { CheckSettings } from "../config/schema.ts";
import { UsageError } from "../core/errors.ts";
import { suggestion } from "../core/suggestion.ts";

/** A check of a gate as it is written. Throws `E_TARGET` (usage) where the gate has none of that name. */
export function checkSettings(gate: string, settings: GateSettings, id: string): CheckSettings {
  const found = settings.checks.find((each) => each.id === id);
  if (found !== undefined) return found;
  const ids = settings.checks.map((each) => each.id);
  throw new UsageError("E_TARGET", `Gate ${gate} has no check "${id}"`, { hint: suggestion(id, ids) });
}
