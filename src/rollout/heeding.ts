import type { OperationContext } from "../run/context.ts";
import { pause } from "../run/pause.ts";

/** Milliseconds between two looks at whether it must end. */
const lookEvery = 500;

/** @param onLook throws where it must end; called now and then */
export async function pauseHeeding(
  context: OperationContext,
  ms: number,
  onLook: () => Promise<void>,
): Promise<void> {
  const end = context.clock.elapsed() + ms;
  for (;;) {
    await onLook();
    const left = end - context.clock.elapsed();
    if (left <= 0) return;
    await pause(context, Math.min(lookEvery, left));
  }
}
