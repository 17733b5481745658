/** What the whole library shares and a program may set. */
export interface Environment {
  /** Takes warnings. The library prints nothing else. */
  logger: (message: string) => void;
}

export const env: Environment = {
  logger: (message) => console.warn(message),
};

const said = new Set<string>();

/** Hands a warning to `env.logger`, each text once. */
export function warnOnce(message: string): void {
  if (said.has(message)) return;
  said.add(message);
  env.logger(message);
}
