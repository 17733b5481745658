import { warnOnce } from "../base/env.ts";
import { CheckpointError, UnsupportedError } from "../base/errors.ts";
import { type Device, isWeightDType } from "../devices/device.ts";
import type { Progress } from "../hub/repository.ts";
import type { StoredTensor, Weights } from "../hub/weights.ts";
import { isBuffer, moduleKey } from "../models/llava/checkpoint_keys.ts";
import type { Module, Parameter } from "../nn/module.ts";
import { BYTES } from "../tensor/dtype.ts";
import { sizeOf } from "../tensor/tensor.ts";
import { checkFits } from "./fitting.ts";
import { PackedCopy, type PackedOrigin } from "./packed_copy.ts";
import { type KeptDType, type Storage, storageBytes, storageOf } from "./weight_storage.ts";

/** Tensors named in one message at most. */
const NAMED = 12;

/** Tensors of a packed copy that are read at a time: as many as Node reads files with. */
const READERS = 4;

/** How weights get onto a device. */
export interface LoadOptions {
  /** "auto": each tensor as it is stored. */
  dtype: KeptDType | "auto";
  /** Names of modules that this class has no use for: `lm_head.` in `LlavaModel`. */
  unused: readonly string[];
  /** Another name for a tensor, before its place is looked for. */
  rename?: (name: string) => string;
  /** Where the weights come from, so that a copy of packed ones can be kept; undefined: none is. */
  origin?: PackedOrigin;
  signal?: AbortSignal;
  progress_callback?: (progress: Progress) => void;
}

/** What was loaded, and what was not. */
export interface Loaded {
  /** Under the checkpoint's names: a saved copy keeps them. */
  tensors: LoadedTensor[];
  /** Tensors that the model does not use. */
  unexpected: string[];
}

/** A parameter, and the name that the checkpoint has for it. */
export interface LoadedTensor {
  name: string;
  parameter: Parameter;
}

/** One parameter with the tensor that fills it. */
interface Assignment {
  parameter: Parameter;
  tensor: StoredTensor;
}

/**
 * Fills every parameter of `root` from a checkpoint, one tensor at a time.
 *
 * @throws CheckpointError listing all tensors that are missing or have another shape
 * @throws UnsupportedError where there is no memory for them all; nothing is then read
 */
export async function loadParameters(
  root: Module,
  weights: Weights,
  device: Device,
  options: LoadOptions,
): Promise<Loaded> {
  const { assignments, unexpected } = assign(root, weights, options);
  const total = assignments.reduce((sum, { tensor }) => sum + bytesOf(tensor), 0);
  checkFits(
    (dtype) => assignments.reduce((sum, one) => sum + storageBytes(one.parameter, storage(one, dtype)), 0),
    Math.max(0, ...assignments.map(({ tensor }) => bytesOf(tensor))),
    options.dtype,
    device,
  );
  const packed = assignments.flatMap((one) => {
    const { format } = storage(one, options.dtype);
    return format ? [{ tensor: one.tensor, format }] : [];
  });
  const copy = await PackedCopy.open(packed, options.dtype, options.origin, device);
  const status = packed.length > 0 && !copy.isThere ? "pack" : "load";
  let loaded = 0;
  try {
    // What is read from a copy is read by several threads at a time; packing takes all of them as it is.
    await eachOf(assignments, copy.isThere ? READERS : 1, async (one) => {
      const { parameter, tensor } = one;
      options.signal?.throwIfAborted();
      options.progress_callback?.({ status, file: tensor.file, loaded, total });
      const { dtype, format, rounds } = storage(one, options.dtype);
      parameter.value = format
        ? await copy.load({ tensor, format }, options.signal)
        : await device.load(tensor, dtype, parameter.multiplied ? "panels" : undefined);
      parameter.format = format?.name;
      parameter.rounds = rounds;
      loaded += bytesOf(tensor);
    });
  } catch (error) {
    await copy.discard();
    throw error;
  }
  await copy.commit();
  options.progress_callback?.({ status, loaded, total });
  const tensors = assignments.map(({ parameter, tensor }) => ({ name: tensor.name, parameter }));
  return { tensors, unexpected };
}

/**
 * Does something with each item, `width` of them at a time. Where one fails, no other is begun; it rejects when nothing
 * is going on any more.
 */
async function eachOf<T>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<void>,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < items.length) {
      try {
        await work(items[next++]);
      } catch (error) {
        next = items.length;
        throw error;
      }
    }
  };
  const ends = await Promise.allSettled(Array.from({ length: width }, worker));
  for (const end of ends) if (end.status === "rejected") throw end.reason;
}

/** The checkpoint's tensors by the module tree's names. */
export function tensorsByKey(
  weights: Weights,
  rename = (name: string): string => name,
): Map<string, StoredTensor> {
  const found = new Map<string, StoredTensor>();
  for (const name of weights.names()) {
    if (isBuffer(name)) continue;
    const key = moduleKey(rename(name));
    const other = found.get(key);
    if (other) {
      throw new CheckpointError(
        `${name} (${weights.get(name).file}) and ${other.name} (${other.file}) are the same weight under two names. ` +
          "The checkpoint mixes two layouts; save it again with one.",
        { tensors: [name, other.name], where: key },
      );
    }
    found.set(key, weights.get(name));
  }
  return found;
}

function assign(
  root: Module,
  weights: Weights,
  { unused, rename }: LoadOptions,
): { assignments: Assignment[]; unexpected: string[] } {
  const tensors = tensorsByKey(weights, rename);
  const assignments = new Map<Parameter, Assignment>();
  const missing = new Map<Parameter, string>();
  const misshapen: string[] = [];
  const wrong: string[] = [];
  for (const [key, parameter] of root.named_parameters()) {
    const tensor = tensors.get(key);
    tensors.delete(key);
    if (assignments.has(parameter)) continue; // a tied weight: its first name fills it
    if (!tensor) {
      missing.set(parameter, missing.get(parameter) ?? key);
      continue;
    }
    missing.delete(parameter);
    assignments.set(parameter, { parameter, tensor });
    if (!sameShape(parameter.shape, tensor.shape)) {
      wrong.push(tensor.name);
      misshapen.push(
        `${tensor.name}: expected [${parameter.shape}], checkpoint has [${tensor.shape}] (${tensor.file})`,
      );
    }
  }
  if (missing.size + misshapen.length > 0) throw misfit([...missing.values()], misshapen, wrong);
  const unexpected = [...tensors.keys()].filter((key) => !unused.some((prefix) => key.startsWith(prefix)));
  if (unexpected.length > 0)
    warnOnce(`the checkpoint has tensors that the model does not use: ${listed(unexpected)}`);
  return { assignments: inFileOrder([...assignments.values()], weights), unexpected };
}

/** Files are read from their beginning to their end: so that a part that was fetched is not fetched again. */
function inFileOrder(assignments: Assignment[], weights: Weights): Assignment[] {
  const place = new Map(weights.names().map((name, i) => [name, i]));
  const placeOf = ({ tensor }: Assignment): number => place.get(tensor.name) ?? 0;
  const byFile = (a: Assignment, b: Assignment): number =>
    a.tensor.file < b.tensor.file ? -1 : Number(a.tensor.file > b.tensor.file);
  return assignments.sort((a, b) => byFile(a, b) || placeOf(a) - placeOf(b));
}

function misfit(missing: string[], misshapen: string[], wrong: string[]): CheckpointError {
  const parts: string[] = [];
  if (misshapen.length > 0)
    parts.push(`${listed(misshapen, "; ")}. Do the sizes in config.json fit the weights?`);
  if (missing.length > 0) parts.push(`missing from the checkpoint: ${listed(missing)}`);
  const message = `the weights do not fit the model: ${parts.join(" ")}`;
  return new CheckpointError(message, { tensors: [...missing, ...wrong], where: [...wrong, ...missing][0] });
}

function listed(names: string[], separator = ", "): string {
  const rest = names.length - NAMED;
  return names.slice(0, NAMED).join(separator) + (rest > 0 ? `${separator}and ${rest} more` : "");
}

function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((size, i) => size === b[i]);
}

function bytesOf(tensor: StoredTensor): number {
  return sizeOf(tensor.shape) * BYTES[tensor.dtype];
}

/** What an assignment's parameter is to be kept in. */
function storage({ parameter, tensor }: Assignment, dtype: LoadOptions["dtype"]): Storage {
  const { dtype: stored } = tensor;
  if (!isWeightDType(stored) && stored !== "float64") {
    throw new UnsupportedError(
      `${tensor.name} (${tensor.file}) is stored as ${stored}, and config.json does not say how it is quantised. ` +
        "Take the original with float16, bfloat16 or float32 weights.",
      { where: tensor.name, expected: ["float32", "float16", "bfloat16"], got: stored },
    );
  }
  const kept = tensor.kept ?? stored;
  return storageOf(parameter, isWeightDType(kept) ? kept : "float32", dtype);
}
