import { z } from "zod";
import { formatPercent } from "../core/percent.ts";
import type { FlagSettings } from "./flag-table.ts";

/** A flag in outputs. */
export const flagOutput = {
  flag: z.string().describe("The flag"),
  state: z.enum(["on", "off"]).describe("On or off"),
  rollout: z.number().describe("Percent of users who have it while it is on, 0–100"),
  description: z.string().nullable().describe("What it is for"),
};

export function shownState({ enabled }: Pick<FlagSettings, "enabled">): "on" | "off" {
  return enabled ? "on" : "off";
}

/** `on at 10%`, `off (rollout 10%)`. */
export function describeSettings(settings: FlagSettings): string {
  const rollout = formatPercent(settings.rollout);
  return settings.enabled ? `on at ${rollout}` : `off (rollout ${rollout})`;
}

/** The same with the description: all that a plan would write. */
export function describeRow(settings: FlagSettings): string {
  const { description } = settings;
  return `${describeSettings(settings)}${description === null ? "" : `, "${description}"`}`;
}
