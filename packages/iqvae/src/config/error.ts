/** A configuration that cannot be used: every reason, each with the nearest valid choice. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
