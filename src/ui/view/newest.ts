/** Reads the newest of what is wanted, one at a time: of those that are wanted meanwhile, the last. What is read is shown in this order. */
export class Newest<T> {
  readonly #read: (id: number) => Promise<T>;
  readonly #show: (id: number, read: T) => void;
  readonly #problem: (why: string) => void;
  #wanted: number | undefined;
  #isReading = false;
  /** How often what was wanted was forgotten. */
  #forgotten = 0;

  /** @param problem is given why something could not be read, and nothing once something could be. */
  constructor(
    read: (id: number) => Promise<T>,
    show: (id: number, read: T) => void,
    problem: (why: string) => void,
  ) {
    this.#read = read;
    this.#show = show;
    this.#problem = problem;
  }

  want(id: number): void {
    this.#wanted = id;
    if (!this.#isReading) this.#readAll();
  }

  /** Nothing is wanted any more, not even what is being read. */
  forget(): void {
    this.#wanted = undefined;
    this.#forgotten++;
  }

  async #readAll(): Promise<void> {
    this.#isReading = true;
    while (this.#wanted !== undefined) {
      const id = this.#wanted;
      const forgotten = this.#forgotten;
      this.#wanted = undefined;
      try {
        const read = await this.#read(id);
        if (forgotten !== this.#forgotten) continue;
        this.#show(id, read);
        this.#problem('');
      } catch (error) {
        if (forgotten !== this.#forgotten) continue;
        this.#problem(error instanceof Error ? error.message : String(error));
      }
    }
    this.#isReading = false;
  }
}
