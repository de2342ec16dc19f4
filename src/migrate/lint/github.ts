import type { Finding, Severity } from "./finding.ts";

const commands: Record<Severity, string> = { error: "error", warning: "warning", note: "notice" };

/** Workflow commands, which GitHub Actions shows as annotations at the lines of a pull request. */
export function githubAnnotations(findings: readonly Finding[], uri: (file: string) => string): string[] {
  return findings
    .filter((each) => each.allowed === null)
    .map(({ severity, file, line, column, rule, message, instead }) => {
      const properties = { file: uri(file), line, col: column, title: rule };
      const written = Object.entries(properties).map(
        ([key, value]) => `${key}=${escapeProperty(String(value))}`,
      );
      const text = instead === null ? message : `${message}\nInstead: ${instead}`;
      return `::${commands[severity]} ${written.join(",")}::${escapeData(text)}`;
    });
}

/** As actions/toolkit does it. */
function escapeData(text: string): string {
  return text.replaceAll("%", "%25").replaceAll("\r", "%0D").replaceAll("\n", "%0A");
}

function escapeProperty(text: string): string {
  return escapeData(text).replaceAll(":", "%3A").replaceAll(",", "%2C");
}
