/** What a thread is told once. Addresses are numbers. */
export interface ThreadStart {
  readonly memory: WebAssembly.Memory;
  /** Addresses of the step program's first and third argument. */
  readonly shared: number;
  readonly thread: number;
}

/** A step for a thread to run. */
export interface ThreadRun {
  /** Programs that are new since the step before. */
  readonly module: WebAssembly.Module | undefined;
  /** Places that the table of programs must have. The first one's is the step program. */
  readonly programs: number;
  /** Address of the list of commands. */
  readonly list: number;
}

export type ThreadMessage = ThreadStart | ThreadRun;

/** What a thread answers to each message: nothing, or what went wrong. */
export interface ThreadAnswer {
  readonly failure?: string;
}

/** A thread, as the main one sees it. */
export interface Thread {
  post(message: ThreadMessage): void;
  /** Whether the process must not end now; threads that wait do not keep it alive. */
  hold(on: boolean): void;
  end(): Promise<void>;
}

/** What is called when a thread says something, and when it ends by itself. */
export interface ThreadEvents {
  answer(answer: ThreadAnswer): void;
  ended(error: Error): void;
}

/**
 * A thread's whole life. It is handed to the thread as text, so that no file has to be found at run time, and must not
 * use anything from around it.
 */
function live(listen: (hear: (message: ThreadMessage) => void) => void, post: (a: ThreadAnswer) => void) {
  const table = new WebAssembly.Table({ element: "anyfunc", initial: 0 });
  let start: ThreadStart;
  const hear = (message: ThreadMessage): void => {
    if ("memory" in message) {
      start = message;
      return;
    }
    const { module, programs, list } = message;
    table.grow(programs - table.length);
    if (module) new WebAssembly.Instance(module, { env: { memory: start.memory, table } });
    const step = table.get(0) as (shared: number, list: number, thread: number) => void;
    step(start.shared, list, start.thread);
  };
  listen((message) => {
    try {
      hear(message);
      post({});
    } catch (error) {
      post({ failure: String(error) });
    }
  });
}

/** The life of a thread as text: a function of two functions, which hear and say. */
export const THREAD_SOURCE = `(${live})`;
