/** Versions are compared as numbers, whatever their length: `0002` < `0010` < `20260101120000`; `1` equals `0001`. */
export function compareVersions(a: string, b: string): number {
  const left = canonicalVersion(a);
  const right = canonicalVersion(b);
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}

/** Without leading zeros: equal versions give equal text. */
export function canonicalVersion(version: string): string {
  return version.replace(/^0+(?=\d)/, "");
}
