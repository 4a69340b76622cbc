export function privateEnvironment(env?: Record<string, string | undefined>): string | undefined;

export function installPrivately(options: {
  yes: boolean;
  folder?: string;
  index?: string | null;
  ask?: (question: string) => Promise<boolean>;
}): Promise<boolean>;

export function hasPrivate(folder: string | undefined): boolean;
