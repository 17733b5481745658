import { deviceInfo, load_image } from "llava";

/** A decoded picture, as a test can compare it. */
export interface Decoded {
  width: number;
  height: number;
  channels: number;
  /** Base64. */
  data: string;
}

/** What the page of a test gets: the library, as it is in a browser. */
export interface Probe {
  decode(base64: string): Promise<Decoded | { error: string }>;
  /** What computes for "auto". */
  device(): Promise<string>;
}

declare global {
  var probe: Probe;
}

globalThis.probe = {
  async device() {
    const { kind, description } = await deviceInfo();
    return `${kind}: ${description}`;
  },
  async decode(base64) {
    try {
      const bytes = Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
      const { width, height, channels, data } = await load_image(bytes);
      let binary = "";
      for (const byte of data) binary += String.fromCharCode(byte);
      return { width, height, channels, data: btoa(binary) };
    } catch (error) {
      return { error: String(error) };
    }
  },
};
