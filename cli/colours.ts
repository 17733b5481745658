import pc from "picocolors";

/**
 * Colours for what is written to one stream: only where it is a terminal that shows them, and nobody wants none (NO_COLOR).
 * picocolors by itself asks about the standard output only, and on Windows, and where CI is set, colours files, too.
 */
function coloursOf(stream: NodeJS.WriteStream): ReturnType<typeof pc.createColors> {
  // Where it is no terminal, isTTY is undefined, and nothing given would mean: as picocolors decides.
  return pc.createColors(stream.isTTY === true && stream.hasColors());
}

/** For the standard output. */
export const outColours = coloursOf(process.stdout);

/** For the standard error output. */
export const errColours = coloursOf(process.stderr);
