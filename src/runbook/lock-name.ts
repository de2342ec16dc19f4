/** A lease's name: the same target of two environments is two things. */
export function lockName(environment: string, target: string): string {
  return `${environment}/${target}`;
}
