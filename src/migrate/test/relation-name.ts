/** How reports call a relation: `orders`, `billing.invoices`, `"Order"`. The schema `public` is left out. */
export function quotedName(schema: string | undefined, name: string): string {
  const parts = schema === undefined || schema === "public" ? [name] : [schema, name];
  return parts.map(quotedPart).join(".");
}

/** Quoted only where it must be, so that a name reads as it is mostly written. */
function quotedPart(name: string): string {
  return /^[a-z_][a-z0-9_$]*$/.test(name) ? name : `"${name.replaceAll('"', '""')}"`;
}
