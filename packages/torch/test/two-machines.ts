import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** By which the machines know each other. */
export const NAMES = ["node-a", "node-b"] as const;
const ADDRESSES = ["10.213.77.1", "10.213.77.2"] as const;

/**
 * Two machines out of one, by namespaces of Linux: each has a name, a network, and an /etc/hosts of its own, with a cable between them. By
 * Debian's /etc/hosts, as here, a machine's own name means a loopback.
 */
export class TwoMachines {
  static #made = 0;
  readonly addresses = ADDRESSES;
  readonly #folder = mkdtempSync(join(tmpdir(), "iqvae-machines-"));
  readonly #networks = NAMES.map((name) => `iqvae-${process.pid}-${TwoMachines.#made++}-${name}`);
  /** Whether this process may make them: only root may, and not in every container. */
  readonly exist: boolean;

  constructor() {
    this.exist = this.#plug() && spawnSync("ip", [...this.by(0).slice(1), "true"]).status === 0;
    if (!this.exist) console.warn("Several machines are not tested: this process may not make networks.");
  }

  /** The beginning of a command line, which runs the rest on a machine. */
  by(machine: number): string[] {
    const hosts = join(this.#folder, NAMES[machine]!);
    const begin = 'mount --bind "$1" /etc/hosts && hostname "$2" && shift 2 && exec "$@"';
    const inside = ["unshare", "--uts", "--mount", "sh", "-c", begin, "sh", hosts, NAMES[machine]!];
    return ["ip", "netns", "exec", this.#networks[machine]!, ...inside];
  }

  /** Pulls the cable: what is sent is lost, and nobody is told. */
  unplug(): void {
    ip("-n", this.#networks[0]!, "link", "set", "cable", "down");
  }

  remove(): void {
    for (const network of this.#networks) ip("netns", "del", network);
    rmSync(this.#folder, { recursive: true, force: true });
  }

  #plug(): boolean {
    const [a, b] = this.#networks as [string, string];
    const done = [
      ip("netns", "add", a),
      ip("netns", "add", b),
      ip("link", "add", "cable", "netns", a, "type", "veth", "peer", "name", "cable", "netns", b),
    ];
    for (const [i, network] of this.#networks.entries()) {
      const [own, other] = [i, 1 - i];
      const hosts = `127.0.0.1 localhost\n127.0.1.1 ${NAMES[own]}\n${ADDRESSES[other]} ${NAMES[other]}\n`;
      writeFileSync(join(this.#folder, NAMES[own]!), hosts);
      done.push(
        ip("-n", network, "addr", "add", `${ADDRESSES[own]}/24`, "dev", "cable"),
        ip("-n", network, "link", "set", "lo", "up"),
        ip("-n", network, "link", "set", "cable", "up"),
      );
    }
    return done.every(({ status }) => status === 0);
  }
}

function ip(...args: string[]): SpawnSyncReturns<string> {
  return spawnSync("ip", args, { encoding: "utf8" });
}
