/** Everything public. See README.md and docs/. */
export { env } from "./base/env.ts";
export {
  CheckpointError,
  HubError,
  ImageError,
  LlavaError,
  OptionError,
  ShapeError,
  UnsupportedError,
} from "./base/errors.ts";
export { version } from "./version.ts";
