import { createHash } from "node:crypto";
import { z } from "zod";
import { OpsError, UsageError } from "../core/errors.ts";

/** How nginx splits the traffic: among the servers of one upstream, or by a variable whose value names one. */
export type NginxSplit =
  | {
      readonly by: "upstream";
      readonly name: string;
      readonly parameters: string;
      readonly lines: readonly string[];
    }
  | { readonly by: "clients"; readonly variable: string; readonly key: string };

/** What the owned file of a route is made from, beside its weights. */
export interface RouteFile {
  readonly route: string;
  readonly split: NginxSplit;
  /** Version → server address, or the variable's value. */
  readonly versions: Readonly<Record<string, string>>;
  /** `127.0.0.1:8090`: where nginx tells what it has loaded. */
  readonly status: string;
}

export type NginxWeights = { [version: string]: number };

const mirror = z.strictObject({
  version: z.string(),
  /** Percent of the requests. */
  share: z.number().gt(0).max(100),
  methods: z.array(z.string().regex(/^[A-Z]+$/)).min(1),
});
/** A version that gets copies of requests, whose answers nobody gets. */
export type NginxMirror = z.output<typeof mirror>;

/** What the file says of itself, and nginx of what it has loaded. */
const marker = z.strictObject({
  route: z.string(),
  weights: z.record(z.string(), z.int().min(0)),
  mirror: mirror.optional(),
  /** SHA-256 of the whole file with this left empty, 16 hexadecimal digits. */
  digest: z.string(),
});
export type RouteMarker = z.output<typeof marker>;

/** Of `split_clients`: its finest part is 0.01%. */
export const wholeOfClients = 10_000;

/** The place in nginx's status server that tells a route's marker. */
export function markerPath(route: string): string {
  return `/ops/${route}`;
}

/** The variable that names where a copy of a request goes; empty where it has none. */
export function mirrorVariable(route: string): string {
  return `ops_mirror_${route.replace(/\W/g, "_")}`;
}

/** The text of the owned file. Throws where no version has weight: nginx knows no such split. */
export function renderRouteFile(file: RouteFile, weights: NginxWeights, copies?: NginxMirror): string {
  if (Object.keys(file.versions).every((version) => (weights[version] ?? 0) === 0)) {
    throw new UsageError(
      "E_SHARE",
      `nginx cannot split the route ${file.route} without giving a version traffic`,
      {
        hint: "give one version a share above 0%",
      },
    );
  }
  const own = { route: file.route, weights, ...(copies !== undefined && { mirror: copies }) };
  const unsigned = render(file, { ...own, digest: "" });
  return render(file, { ...own, digest: digestOf(unsigned) });
}

/** What a file says of itself; throws `E_TRAFFIC_DRIFT` where its text is not what `ops` wrote. */
export function parseRouteFile(path: string, text: string): RouteMarker {
  const found = parseMarker(/^# ops: (\{.*\})$/m.exec(text)?.[1] ?? "");
  if (found !== undefined && digestOf(text.replaceAll(found.digest, "")) === found.digest) return found;
  throw new OpsError("E_TRAFFIC_DRIFT", `Somebody else edited ${path}, which belongs to ops`, {
    hint: `take the edit back, or move the file away and make it anew: ops traffic init`,
    details: { file: path },
    retryable: false,
  });
}

/** Undefined where the text is no marker. */
export function parseMarker(text: string): RouteMarker | undefined {
  try {
    const found = marker.safeParse(JSON.parse(text)).data;
    return found !== undefined && /^[0-9a-f]{16}$/.test(found.digest) ? found : undefined;
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

function digestOf(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 16);
}

function render(file: RouteFile, own: RouteMarker): string {
  const json = JSON.stringify(own);
  return `# Written by ops for the route ${file.route}. Do not edit it: ops stops where somebody did.
# ops: ${json}

${file.split.by === "upstream" ? upstream(file, file.split, own.weights) : clients(file, file.split, own.weights)}
${mirrored(file, own.mirror)}
server {
  listen ${file.status};
  access_log off;
  location = ${markerPath(file.route)} {
    default_type application/json;
    return 200 '${json}';
  }
  location / {
    return 404;
  }
}
`;
}

/** Both variables are there without a mirror too: nginx.conf names one of them. */
function mirrored({ route, split, versions }: RouteFile, copies: NginxMirror | undefined): string {
  const variable = mirrorVariable(route);
  const address = copies === undefined ? undefined : versions[copies.version];
  const value = split.by === "upstream" ? variable : address;
  const share = copies === undefined || copies.share === 100 ? "" : `${copies.share.toFixed(2)}%`;
  return [
    ...(address !== undefined && split.by === "upstream"
      ? [`upstream ${variable} {`, `  server ${address}; # ${copies?.version}`, "}"]
      : []),
    `split_clients "$request_id" $${variable}_share {`,
    ...(share === "" ? [] : [`  ${share} ${value};`]),
    `  * ${copies !== undefined && share === "" ? value : '""'};`,
    "}",
    `map $request_method $${variable} {`,
    '  default "";',
    ...(copies?.methods ?? []).map((each) => `  ${each} $${variable}_share;`),
    "}",
    "",
  ].join("\n");
}

type Upstream = Extract<NginxSplit, { by: "upstream" }>;
type Clients = Extract<NginxSplit, { by: "clients" }>;

/** A server without weight is left out: `weight=0` is no syntax, and a last server beside one that is `down` would be given up after one error. */
function upstream(
  { versions }: RouteFile,
  { name, parameters, lines }: Upstream,
  weights: NginxWeights,
): string {
  const servers = Object.entries(versions).map(([version, address]) => {
    const weight = weights[version] ?? 0;
    if (weight === 0) return `  # ${version} (${address}) has no traffic`;
    return `  server ${address} weight=${weight}${parameters === "" ? "" : ` ${parameters}`}; # ${version}`;
  });
  return [`upstream ${name} {`, ...lines.map((line) => `  ${line};`), ...servers, "}", ""].join("\n");
}

/** The last one with weight gets what is left: `*` is the only way to write 100%, and `0%` is no syntax. */
function clients({ versions }: RouteFile, { variable, key }: Clients, weights: NginxWeights): string {
  const parts = Object.entries(versions).flatMap(([version, value]) => {
    const weight = weights[version] ?? 0;
    return weight === 0 ? [] : [{ version, value, weight }];
  });
  const total = parts.reduce((sum, { weight }) => sum + weight, 0);
  const entries = parts.map(({ version, value, weight }, index) => {
    const share = index === parts.length - 1 ? "*" : `${((100 * weight) / total).toFixed(2)}%`;
    return `  ${share} ${value}; # ${version}`;
  });
  return [`split_clients "${key}" $${variable} {`, ...entries, "}", ""].join("\n");
}
