/** The longest recording, in milliseconds. */
const LONGEST = 10_000;

/** What becomes of a recording. */
interface Hearer {
  /** It goes on, or it has ended. */
  changed(recording: boolean): void;
  recorded(sound: Blob): void;
  problem(error: Error): void;
}

/** The microphone, for one recording at a time. */
export class Microphone {
  readonly #hearer: Hearer;
  #recorder: MediaRecorder | undefined;
  /** Whether somebody is being asked if the page may listen. */
  #asks = false;
  #closed = false;

  constructor(hearer: Hearer) {
    this.#hearer = hearer;
  }

  /** Begins to record, or ends it. */
  async toggle(): Promise<void> {
    if (this.#recorder !== undefined) {
      this.#recorder.stop();
      return;
    }
    if (this.#asks) return;
    this.#asks = true;
    let stream: MediaStream | undefined;
    try {
      const { mediaDevices } = navigator as { mediaDevices?: MediaDevices };
      if (mediaDevices === undefined) throw new Error("a page without HTTPS may not listen");
      stream = await mediaDevices.getUserMedia({ audio: true });
      if (this.#closed) release(stream);
      else this.#record(stream);
    } catch (error) {
      if (stream !== undefined) release(stream);
      const reason = `The microphone cannot be used (${(error as Error).message}); choose a file instead.`;
      this.#hearer.problem(new Error(reason));
    } finally {
      this.#asks = false;
    }
  }

  /** Listens no longer; what was recorded is of no use to anybody. */
  close(): void {
    this.#closed = true;
    this.#recorder?.stop();
  }

  #record(stream: MediaStream): void {
    const parts: Blob[] = [];
    const recorder = new MediaRecorder(stream);
    recorder.addEventListener("dataavailable", ({ data }) => parts.push(data));
    recorder.addEventListener("stop", () => {
      clearTimeout(limit);
      this.#recorder = undefined;
      release(stream);
      if (this.#closed) return;
      this.#hearer.changed(false);
      this.#hearer.recorded(new Blob(parts, { type: recorder.mimeType }));
    });
    recorder.start();
    const limit = setTimeout(() => recorder.stop(), LONGEST);
    this.#recorder = recorder;
    this.#hearer.changed(true);
  }
}

/** Gives the microphone back: browsers show who has it. */
function release(stream: MediaStream): void {
  for (const track of stream.getTracks()) track.stop();
}
