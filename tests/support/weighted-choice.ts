/** Names in turn, each as often as its weight says, spread evenly: what a balancer of a stub would choose. */
export function weightedChoice(): (weights: Readonly<Record<string, number>>) => string {
  const credits = new Map<string, number>();
  return (weights) => {
    const entries = Object.entries(weights).filter(([, weight]) => weight > 0);
    const total = entries.reduce((sum, [, weight]) => sum + weight, 0);
    for (const name of credits.keys()) if ((weights[name] ?? 0) === 0) credits.delete(name);
    for (const [name, weight] of entries) credits.set(name, (credits.get(name) ?? 0) + weight);
    const [chosen] = entries.reduce<[string, number]>(
      (best, [name]) => ((credits.get(name) ?? 0) > best[1] ? [name, credits.get(name) ?? 0] : best),
      ["", Number.NEGATIVE_INFINITY],
    );
    credits.set(chosen, (credits.get(chosen) ?? 0) - total);
    return chosen;
  };
}
