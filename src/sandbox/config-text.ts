import { join } from "node:path";
import { stringify } from "yaml";
import { clusterUrl } from "../postgres/cluster.ts";
import type { SandboxPorts } from "./description.ts";
import { packageRoot, type SandboxLayout, shopDatabase } from "./layout.ts";

/** The sandbox's `.opsrc`. Paths are relative to it where they can be, so the file reads like one of your own. */
export function configText(layout: SandboxLayout, ports: SandboxPorts, recipient: string): string {
  const url = (port: number, path: string) => `http://127.0.0.1:${port}${path}`;
  return `# Configuration of an ops sandbox. Use it with:  export OPS_CONFIG=${layout.config}

# The journal of runs.
state-dir: state

databases:
  main:
    url: ${clusterUrl(ports.database, shopDatabase)}
    # The SQL of the sample application.
    migrations: ${scalar(join(packageRoot, "migrations"))}

stores:
  local:
    url: file:backups
    recipients: [${recipient}]
    # Opens the backups; only verify and restore read it.
    identity: file:identity.txt

routes:
  web:
    socket: haproxy.sock
    backend: web
    # Version of the application: the server that runs it.
    versions: { blue: blue, green: green }
    # One line for each request, for p95 limits (see haproxy.cfg).
    request-ring: requests

flag-sources:
  default:
    database: main

gates:
  pre-deploy:
    checks:
      - id: orders
        kind: sql
        with: { database: main, query: "SELECT count(*) FROM orders" }
        fail: "< 1"
        why: A shop without orders is the wrong database.
      - id: long-transactions
        kind: sql
        with:
          database: main
          query: >-
            SELECT count(*) FROM pg_stat_activity
            WHERE datname = current_database() AND xact_start < now() - interval '1 minute'
        fail: "> 0"
        why: A migration would wait behind them, and everybody else behind the migration.
      - id: application
        kind: http
        with: { url: "${url(ports.web, "/")}", status: 200, timeout: 5s }
        why: A deploy must not begin during an outage.
      - id: new-version
        kind: http
        with: { url: "${url(ports.green, "/health")}", status: 200, timeout: 5s }
        why: The version to deploy must be up before it gets traffic.
      - id: schema-tools
        kind: command
        with: { command: [pg_dump, --version] }
        why: Without pg_dump there is no backup to go back to.
  post-deploy:
    checks:
      - id: order-status
        kind: sql
        with: { database: main, query: "SELECT count(*) FROM orders WHERE status IS NULL" }
        fail: "> 0"
        why: Version 2 relies on every order having a status.
      - id: application
        kind: http
        with: { url: "${url(ports.web, "/")}", status: 200, timeout: 5s }
        why: Users must get answers.
      - id: backup
        kind: backup-age
        with: { store: local, database: main }
        fail: "> 1h"
        why: There must be a way back that is not older than the deploy.
  # Lists of measured checks and of questions to people: ops gate checklist pre-migration
  pre-migration:
    file: ${scalar(join(packageRoot, "gates/pre-migration.yaml"))}
  post-migration:
    file: ${scalar(join(packageRoot, "gates/post-migration.yaml"))}
  production-readiness:
    file: ${scalar(join(packageRoot, "gates/production-readiness.yaml"))}
`;
}

/** A path as YAML, quoted where it must be. */
function scalar(text: string): string {
  return stringify(text).trimEnd();
}
