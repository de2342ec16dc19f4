import type { SchemaMistake } from "../core/schema-mistake.ts";
import { suggestion } from "../core/suggestion.ts";
import { matches } from "./notify-schema.ts";
import type { EnvironmentSettings } from "./schema.ts";

/** What is wrong with rules beyond their shape: names that lead nowhere, expressions, promises that cannot be kept. */
export async function notifyMistakes({
  notify,
  notifications,
}: EnvironmentSettings): Promise<SchemaMistake[]> {
  const known = Object.keys(notifications);
  const mistakes = Object.entries(notify).map(async ([name, rule]) => {
    const path = ["notify", name];
    const unknown = rule.to.flatMap((each, index) =>
      known.includes(each)
        ? []
        : [
            {
              path: [...path, "to", index],
              message: `there is no notification "${each}"`,
              hint: known.length === 0 ? 'add it under "notifications:"' : suggestion(each, known),
            },
          ],
    );
    const starts = rule.events.some((each) => matches(each, "run.started"));
    const idle =
      rule.required && (!starts || rule.severity !== "info")
        ? [
            {
              path: [...path, "required"],
              message: "is about the start of a run, of which this rule does not tell",
              hint: "add run.started to its events, with severity: info",
            },
          ]
        : [];
    return [...unknown, ...idle, ...(await templateMistakes(path, rule.title, rule.text))];
  });
  return (await Promise.all(mistakes)).flat();
}

async function templateMistakes(
  path: readonly string[],
  title: string | undefined,
  text: string | undefined,
): Promise<SchemaMistake[]> {
  const written = Object.entries({ title, text }).flatMap(([key, value]) =>
    value?.includes("${{") === true ? [{ key, value }] : [],
  );
  if (written.length === 0) return [];
  // Nothing else needs expressions when a command starts.
  const [{ parseTemplate }, { noticeLanguage }, { ExpressionError }] = await Promise.all([
    import("../expression/template.ts"),
    import("./notify-language.ts"),
    import("../expression/expression.ts"),
  ]);
  return written.flatMap(({ key, value }) => {
    try {
      parseTemplate(value, noticeLanguage);
      return [];
    } catch (error) {
      if (!(error instanceof ExpressionError)) throw error;
      const { message, hint } = error;
      return [{ path: [...path, key], message, hint }];
    }
  });
}
