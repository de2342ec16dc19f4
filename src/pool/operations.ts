import type { Operation } from "../run/operation.ts";
import { breaker } from "./breaker.ts";
import { disable } from "./disable.ts";
import { drain } from "./drain.ts";
import { enable } from "./enable.ts";
import { list } from "./list.ts";
import { rebalance } from "./rebalance.ts";
import { show } from "./show.ts";
import { strategy } from "./strategy.ts";
import { warm } from "./warm.ts";
import { weight } from "./weight.ts";

export const operations: readonly Operation[] = [
  list,
  show,
  drain,
  enable,
  disable,
  weight,
  strategy,
  rebalance,
  warm,
  breaker,
];
