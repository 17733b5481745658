import { warnOnce } from "../../base/env.ts";
import { CheckpointError, OptionError, UnsupportedError } from "../../base/errors.ts";
import { openRepository } from "../../hub/open.ts";
import { HUB_OPTIONS, type HubOptions, type Repository } from "../../hub/repository.ts";
import { LlavaProcessor } from "../llava/processing_llava.ts";
import { PixtralProcessor } from "../pixtral/processing_pixtral.ts";
import type { ProcessorMixin } from "../processing/processing_utils.ts";
import { readConfig, readProcessorClass } from "../processing/processor_files.ts";
import type { ProcessorClass, ProcessorFromPretrained } from "../processing/processor_load.ts";

type Loadable = ProcessorClass<ProcessorMixin> & {
  from_pretrained(name_or_path: string, options: ProcessorFromPretrained): Promise<ProcessorMixin>;
};

/** By the name in the files. */
const BY_CLASS: ReadonlyMap<string, Loadable> = new Map<string, Loadable>([
  ["LlavaProcessor", LlavaProcessor],
  ["PixtralProcessor", PixtralProcessor],
]);

/** What is taken for a `model_type` where the files name no processor. */
const BY_MODEL: Readonly<Record<string, Loadable>> = { llava: LlavaProcessor, pixtral: PixtralProcessor };

/** Finds the processor class by what a checkpoint says it has. */
export class AutoProcessor {
  constructor() {
    throw new OptionError("AutoProcessor is made with AutoProcessor.from_pretrained(name)");
  }

  /**
   * The processor of a checkpoint.
   *
   * @param name_or_path a folder, a Hub id, or `"llava-demo"`
   * @param options where to look, and settings of the processor, the tokenizer and the image processor that go
   *   before the files'
   * @throws CheckpointError where files are missing or damaged, or say nothing of a processor
   * @throws UnsupportedError where they name one that is not here
   */
  static async from_pretrained(
    name_or_path: string,
    options: ProcessorFromPretrained = {},
  ): Promise<ProcessorMixin> {
    const hub = Object.entries(options).filter(([name]) => HUB_OPTIONS.includes(name));
    const repository = await openRepository(name_or_path, Object.fromEntries(hub) as HubOptions);
    const processorClass = await classFor(repository, options.config ?? null);
    return processorClass.from_pretrained(name_or_path, options);
  }
}

async function classFor(repository: Repository, given: object | null): Promise<Loadable> {
  const named = await readProcessorClass(repository);
  const found = named === undefined ? undefined : BY_CLASS.get(named);
  if (found !== undefined) return found;
  const { model_type } = (given ?? (await readConfig(repository))) as { model_type?: unknown };
  const byModel = typeof model_type === "string" ? BY_MODEL[model_type] : undefined;
  if (byModel !== undefined) {
    if (named !== undefined) {
      warnOnce(
        `${repository.name}: there is no ${named}; ${byModel.processor_class} is taken, as its model is ${model_type}.`,
      );
    }
    return byModel;
  }
  const known = [...BY_CLASS.keys()].join(", ");
  if (named !== undefined) {
    throw new UnsupportedError(
      `${repository.name}: processor_class: there is no ${named}; there are ${known}`,
      {
        where: "processor_class",
        expected: known,
        got: named,
      },
    );
  }
  throw new CheckpointError(
    `${repository.name}: its files do not say which processor it has (processor_class), and config.json does not say llava. Is this a checkpoint that looks at pictures? Else load it with LlavaProcessor.from_pretrained.`,
    { where: "processor_class", expected: known },
  );
}
