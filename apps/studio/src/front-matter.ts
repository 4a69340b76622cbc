/** The lines of YAML on top of a model's card, which model hubs read; nothing where there are none. */
export const FRONT_MATTER = /^(?:---\r?\n.*?\n---\r?\n)?/s;
