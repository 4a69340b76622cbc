export function chart(read: (name: string) => string): string;
