import leven from "leven";

/** The word somebody probably meant, or undefined where nothing is close. */
export function nearest(word: string, candidates: Iterable<string>): string | undefined {
  let best: string | undefined;
  // A third of the word may be wrong, of a short one a single letter.
  let bestDistance = (word.length < 4 ? 1 : Math.max(2, Math.floor(word.length / 3))) + 1;
  for (const candidate of candidates) {
    const beginning = word.length >= 3 && candidate.toLowerCase().startsWith(word.toLowerCase());
    const letters = leven(word.toLowerCase(), candidate.toLowerCase());
    const distance = beginning ? Math.min(1, letters) : letters;
    if (distance < bestDistance) {
      best = candidate;
      bestDistance = distance;
    }
  }
  return best;
}

/** `did you mean "backup"?`, or `one of: a, b, c` where nothing is close. */
export function suggestion(word: string, candidates: Iterable<string>): string {
  const all = [...candidates];
  const found = nearest(word, all);
  if (found !== undefined) return `did you mean "${found}"?`;
  return all.length === 0 ? "there is none" : `one of: ${all.join(", ")}`;
}
