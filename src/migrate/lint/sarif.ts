import type { Finding } from "./finding.ts";

/** SARIF 2.1.0 (OASIS), as code scanning reads it: paths relative to the root of the checkout. */
export function sarifLog(findings: readonly Finding[], uri: (file: string) => string): object {
  const rules = [...new Set(findings.map((each) => each.rule))].sort();
  return {
    $schema: "https://json.schemastore.org/sarif-2.1.0.json",
    version: "2.1.0",
    runs: [
      {
        tool: {
          driver: {
            name: "ops migrate lint",
            rules: rules.map((id) => ({ id, shortDescription: { text: id } })),
          },
        },
        columnKind: "unicodeCodePoints",
        results: findings.map(
          ({ rule, severity, file, line, column, message, instead, sourceLine, allowed }) => ({
            ruleId: rule,
            ruleIndex: rules.indexOf(rule),
            level: severity,
            message: { text: instead === null ? message : `${message}\nInstead: ${instead}` },
            locations: [
              {
                physicalLocation: {
                  artifactLocation: { uri: encodeURI(uri(file)), uriBaseId: "%SRCROOT%" },
                  region: { startLine: line, startColumn: column, snippet: { text: sourceLine } },
                },
              },
            ],
            ...(allowed === null ? {} : { suppressions: [{ kind: "inSource", justification: allowed }] }),
          }),
        ),
      },
    ],
  };
}
