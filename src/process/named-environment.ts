import { UsageError } from "../core/errors.ts";
import { rememberSecret, secretName } from "../core/redaction.ts";

/**
 * The values of environment variables that a program is given by name. A value whose name says that it is a secret
 * is masked from here on; an ordinary one (`NODE_ENV`) is not, or every "production" in the output would be.
 * Throws `E_SHELL_ENV` with all names that are not set.
 */
export function namedEnvironment(names: readonly string[]): Record<string, string> {
  const missing = names.filter((each) => process.env[each] === undefined);
  if (missing.length > 0) {
    const plural = missing.length > 1;
    throw new UsageError(
      "E_SHELL_ENV",
      `The environment variable${plural ? "s" : ""} ${missing.join(", ")} ${plural ? "are" : "is"} not set`,
      { hint: `set ${plural ? "them" : "it"}, or take ${plural ? "them" : "it"} out of "variables"` },
    );
  }
  const entries = names.map((name) => [name, process.env[name] ?? ""] as const);
  for (const [name, value] of entries) if (secretName.test(name)) rememberSecret(value);
  return Object.fromEntries(entries);
}
