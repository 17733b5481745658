import type { Value } from "../devices/device.ts";

/** Collects what a caller wants to see of a forward pass. */
export interface Trace {
  /** The input of each layer, and the output of the last. */
  hidden_states: Value[];
  /** Each layer's probabilities, flat (see kernels/attention.ts). Only filled where it is there. */
  attentions?: Value[];
}
