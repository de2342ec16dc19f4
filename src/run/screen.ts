import { Chalk, type ChalkInstance } from "chalk";

/** What a result is shown on. */
export interface Screen {
  /** Without colours in a pipe or with NO_COLOR: then there is nothing but plain characters either. */
  readonly color: ChalkInstance;
  readonly columns: number;
}

/** Paper: a pipe, a file, a log. */
export const plainScreen: Screen = { color: new Chalk({ level: 0 }), columns: 80 };

export function isPlain({ color }: Screen): boolean {
  return color.level === 0;
}
