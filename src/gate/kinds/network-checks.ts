import type { Check } from "../../run/check.ts";
import { certificateCheck } from "./certificate-check.ts";
import { dnsCheck } from "./dns-check.ts";
import { prometheusCheck } from "./prometheus-check.ts";

/** What is asked of the network beside HTTP. */
export const networkChecks: readonly Check[] = [certificateCheck, dnsCheck, prometheusCheck];
