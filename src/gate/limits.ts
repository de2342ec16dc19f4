export { hasLimits, judgeByLimits as judgeNumber, needsDuration } from "../run/limits.ts";
