/**
 * For a copy on a server of our own: without subscriptions, which would connect to another server, and without
 * tablespaces, which are folders of the real machine.
 */
export const copyOptions: readonly string[] = ["--no-subscriptions", "--no-publications", "--no-tablespaces"];
