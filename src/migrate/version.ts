/**
 * Versions are compared as numbers, part by part, whatever their length: `0002` < `0010` < `20260101120000`,
 * `1.9` < `1.10`; `1` equals `0001` and `1.0`. Those that are no numbers come after those that are, by name.
 */
export function compareVersions(a: string, b: string): number {
  // The usual case, a thousand times over.
  if (a.length === b.length && digitsOnly.test(a) && digitsOnly.test(b)) return a < b ? -1 : a > b ? 1 : 0;
  const left = canonicalVersion(a);
  const right = canonicalVersion(b);
  if (left === right) return 0;
  const numbers = [isNumeric(left), isNumeric(right)] as const;
  if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
  if (!numbers[0]) return left < right ? -1 : 1;
  const lefts = left.split(".");
  const rights = right.split(".");
  for (let index = 0; index < Math.max(lefts.length, rights.length); index += 1) {
    const order = compareDigits(lefts[index] ?? "0", rights[index] ?? "0");
    if (order !== 0) return order;
  }
  return 0;
}

const digitsOnly = /^\d+$/;

/** Without leading zeros, and without parts of zero at the end: equal versions give equal text. */
export function canonicalVersion(version: string): string {
  if (!version.includes(".")) return isNumeric(version) ? version.replace(/^0+(?=\d)/, "") : version;
  if (!isNumeric(version)) return version;
  return version.replaceAll(/(^|\.)0+(?=\d)/g, "$1").replace(/(\.0)+$/, "");
}

function isNumeric(version: string): boolean {
  return /^\d+(\.\d+)*$/.test(version);
}

/** As numbers too big for a number. */
function compareDigits(left: string, right: string): number {
  if (left.length !== right.length) return left.length - right.length;
  return left < right ? -1 : left > right ? 1 : 0;
}
