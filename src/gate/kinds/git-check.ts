import { matchesGlob, resolve } from "node:path";
import { z } from "zod";
import { counted } from "../../core/counted.ts";
import { OpsError } from "../../core/errors.ts";
import { duration } from "../../core/schema.ts";
import { defineCheck, type Judgement, type Measurement } from "../../run/check.ts";
import type { OperationContext } from "../../run/context.ts";
import { type ReportEvidence, readReports, reportEvidence } from "../report-file.ts";
import { type RepositoryState, readRepository } from "../repository.ts";
import { broken } from "../xml.ts";

/** Paths in the evidence; a thousand are told by their number. */
const mostPaths = 20;

type CiStatus = { readonly commit: string; readonly state: string; readonly files: ReportEvidence[] };

type GitEvidence = {
  readonly commit: string;
  readonly branch: string | null;
  readonly upstream: string | null;
  readonly tags: string[];
  readonly changed: string[];
  readonly changes: number;
  readonly ci: CiStatus | null;
  /** What is wrong, the gravest first. */
  readonly wrong: string[];
  /** What cannot be said. */
  readonly unclear: string[];
};

const pattern = z.string().min(1, "must not be empty");

const input = z.strictObject({
  repository: z
    .string()
    .default(".")
    .describe("A folder in the working tree, relative to the configuration file"),
  clean: z
    .boolean()
    .default(true)
    .describe("Nothing is changed and nothing is there that git does not know or ignore"),
  branch: z
    .array(pattern)
    .min(1, "needs a branch")
    .optional()
    .describe("The branch must be one of these (patterns)"),
  tag: pattern.optional().describe("A tag at the commit must be like this: v*"),
  "not-behind": z
    .boolean()
    .default(false)
    .describe("The branch has every commit of its upstream, as it was last fetched"),
  "ci-status": z
    .string()
    .min(1, "must not be empty")
    .optional()
    .describe("A JSON file that CI wrote: commit, state (success)"),
  "max-age": duration("How old the status of CI may be; default: any, for it names its commit").optional(),
  timeout: duration("How long git may take").prefault("15s"),
});
type Input = z.output<typeof input>;

export const gitCheck = defineCheck({
  kind: "git",
  summary:
    "Whether a working tree is what is meant to be released: clean, branch, tag, upstream, what CI said of the commit",
  why: "What is released should be what was reviewed and tested.",
  remedy: "Commit or remove what is changed, check out what is to be released, and let CI finish.",
  limitUnits: [],
  input,
  measure: async (context, asked): Promise<Measurement> => {
    const folder = resolve(context.environment.directory, asked.repository);
    const state = await readRepository(folder, context.signal);
    const ci =
      asked["ci-status"] === undefined
        ? null
        : await readCiStatus(context, asked["ci-status"], asked["max-age"]);
    const changed = [...state.changed, ...state.untracked];
    const evidence: GitEvidence = {
      commit: state.head,
      branch: state.branch ?? null,
      upstream: state.upstream ?? null,
      tags: [...state.tags],
      changed: changed.slice(0, mostPaths),
      changes: changed.length,
      ci,
      ...findings(state, asked, ci),
    };
    const at = state.branch === undefined ? "no branch" : state.branch;
    const tags = state.tags.length === 0 ? "" : `, ${state.tags.join(", ")}`;
    return { value: state.head, shown: `${state.head.slice(0, 12)} (${at}${tags})`, evidence };
  },
  judge: ({ shown, evidence }): Judgement => {
    const { wrong, unclear } = evidence as GitEvidence;
    if (wrong.length > 0) return { status: "fail", reason: `${shown}: ${wrong.join("; ")}` };
    if (unclear.length > 0) return { status: "unknown", reason: `${shown}: ${unclear.join("; ")}` };
    return { status: "pass", reason: shown };
  },
});

function findings(
  state: RepositoryState,
  asked: Input,
  ci: CiStatus | null,
): { wrong: string[]; unclear: string[] } {
  const all = [
    ...(asked.clean ? [cleanliness(state)] : []),
    ...(asked.branch === undefined ? [] : [branch(state, asked.branch)]),
    ...(asked.tag === undefined ? [] : [tag(state, asked.tag)]),
    ...(asked["not-behind"] ? [upstream(state)] : []),
    ...(ci === null ? [] : [saidByCi(state, ci)]),
  ];
  return {
    wrong: all.flatMap((each) => each?.wrong ?? []),
    unclear: all.flatMap((each) => each?.unclear ?? []),
  };
}

type Said =
  | { readonly wrong: string; readonly unclear?: never }
  | { readonly unclear: string; readonly wrong?: never }
  | undefined;

function cleanliness({ changed, untracked, filters }: RepositoryState): Said {
  if (untracked.length > 0 && changed.length === 0)
    return { wrong: `${counted(untracked.length, "file")} that git does not know: ${untracked[0]}` };
  if (changed.length === 0) return undefined;
  const named = `${counted(changed.length, "changed file")}: ${changed[0]}`;
  if (filters.length === 0 || untracked.length > 0) return { wrong: named };
  return {
    unclear: `${named}, but the filter ${filters.join(", ")} of the repository's own configuration was not run`,
  };
}

function branch(state: RepositoryState, wanted: readonly string[]): Said {
  const { branch: current } = state;
  if (current !== undefined && wanted.some((each) => matchesGlob(current, each))) return undefined;
  return { wrong: `not on the branch ${wanted.join(" or ")}` };
}

function tag({ tags }: RepositoryState, wanted: string): Said {
  return tags.some((each) => matchesGlob(each, wanted))
    ? undefined
    : { wrong: `no tag like ${wanted} is at this commit` };
}

function upstream({ upstream: name, behind }: RepositoryState): Said {
  if (name === undefined) return { unclear: "the branch has no upstream" };
  if (behind === undefined) return { unclear: `the upstream ${name} was never fetched, or is gone` };
  return behind === 0 ? undefined : { wrong: `${counted(behind, "commit")} behind ${name}` };
}

function saidByCi({ head }: RepositoryState, { commit, state }: CiStatus): Said {
  if (commit !== head) return { wrong: `CI speaks of ${commit.slice(0, 12)}, not of this commit` };
  if (["success", "succeeded", "passed"].includes(state)) return undefined;
  if (["pending", "queued", "running", "in_progress"].includes(state))
    return { unclear: `CI is not done: ${state}` };
  return { wrong: `CI says ${state}` };
}

const statusSchema = z.looseObject({
  commit: z.string().regex(/^([0-9a-f]{40}|[0-9a-f]{64})$/i, "must be the whole name of a commit"),
  state: z.string().min(1, "must not be empty"),
});

/** Throws where CI has not written it, or not like this: what it thinks is not known then. */
async function readCiStatus(
  context: OperationContext,
  path: string,
  maxAge: number | undefined,
): Promise<CiStatus> {
  const [file, second] = await readReports(context, [path], maxAge);
  if (file === undefined || second !== undefined) {
    throw new OpsError("E_REPORT_BROKEN", `${path} names several files; CI speaks in one`, {
      retryable: false,
    });
  }
  let value: unknown;
  try {
    value = JSON.parse(file.text);
  } catch (error) {
    throw broken(file, error instanceof Error ? error.message : "it is no JSON");
  }
  const parsed = statusSchema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw broken(file, `${issue?.path.join(".") ?? ""}: ${issue?.message ?? "it is no status"}`);
  }
  const { commit, state } = parsed.data;
  return {
    commit: commit.toLowerCase(),
    state: state.toLowerCase().slice(0, 40),
    files: reportEvidence([file]),
  };
}
