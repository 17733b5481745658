const DIGITS = (count: number): string => `[0-9]{${count}}`;
const MONTH_AND_DAY =
  "((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))";
const LEAP_DAY = "([0-9]{2}(0[48]|[2468][048]|[13579][26])|([02468][048]|[13579][26])00)-02-29";
const DATE = `${DIGITS(4)}-${MONTH_AND_DAY}`;
const ANY_DATE = `(${DATE}|${LEAP_DAY})`;
const CLOCK = "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9]";
const TIME = `${CLOCK}(\\.[0-9]{1,6})?Z`;
const ANY_TIME = `${CLOCK}(\\.[0-9]+)?([Zz]|[+-]([01][0-9]|2[0-3]):[0-5][0-9])`;
const BYTE = "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])";
const IPV4 = `${BYTE}(\\.${BYTE}){3}`;
const HEX = "[0-9a-fA-F]";
const GROUP = `${HEX}{1,4}`;
const IPV6 = [
  `(${GROUP}:){7}(${GROUP}|:)`,
  ...[1, 2, 3, 4, 5, 6].map((after) => `(${GROUP}:){1,${7 - after}}(:${GROUP}){1,${after}}`),
  `:((:${GROUP}){1,7}|:)`,
].join("|");
const LABEL = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
/** Names of hosts within the 63 characters of a label and 253 of a name. */
const WORDS = "[a-z0-9]{1,20}(-[a-z0-9]{1,20}){0,2}";
const HOST = `(${WORDS}\\.){1,3}[a-z]{2,10}`;
const ATOM = "[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+";
const COUNT = "[0-9]{1,4}";

/**
 * Texts that a `format` allows: of all such texts the plain ones, which every reader of the format takes; and, where that
 * is more, all that may be meant where something else says which.
 */
export interface Format {
  readonly plain: string;
  readonly any?: string;
}

/** By the names of JSON schema. RFC 3339, 5321, 1123, 3986, 4291, 9562. */
export const FORMATS: Readonly<Record<string, Format>> = {
  date: { plain: `^${DATE}$`, any: `^${ANY_DATE}$` },
  time: { plain: `^${TIME}$`, any: `^${ANY_TIME}$` },
  "date-time": { plain: `^${DATE}T${TIME}$`, any: `^${ANY_DATE}[Tt]${ANY_TIME}$` },
  duration: {
    plain: `^P(?=[0-9T])(${COUNT}Y)?(${COUNT}M)?(${COUNT}D)?(T(?=[0-9])(${COUNT}H)?(${COUNT}M)?(${COUNT}S)?)?$`,
    any: "^P(?=[0-9T])([0-9]+W|([0-9]+Y)?([0-9]+M)?([0-9]+D)?(T(?=[0-9])([0-9]+H)?([0-9]+M)?([0-9]+([.,][0-9]+)?S)?)?)$",
  },
  email: {
    plain: "^[a-z0-9]+([._-][a-z0-9]+)*@[a-z0-9]+(-[a-z0-9]+)*\\.[a-z]{2,10}$",
    any: `^${ATOM}(\\.${ATOM})*@${LABEL}(\\.${LABEL})*$`,
  },
  hostname: { plain: `^${HOST}$`, any: `^(?=.{1,253}\\.?$)${LABEL}(\\.${LABEL})*\\.?$` },
  ipv4: { plain: `^${IPV4}$` },
  ipv6: { plain: `^([0-9a-f]{1,4}:){7}[0-9a-f]{1,4}$`, any: `^(${IPV6})$` },
  uri: {
    plain: `^https?://${HOST}(/[A-Za-z0-9._~-]+)*/?(\\?[A-Za-z0-9._~=&-]+)?(#[A-Za-z0-9._~-]+)?$`,
    any: "^[A-Za-z][A-Za-z0-9+.-]*:([A-Za-z0-9._~:/?#\\[\\]@!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+$",
  },
  uuid: {
    plain: "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$",
    any: `^${HEX}{8}-(${HEX}{4}-){3}${HEX}{12}$`,
  },
};

/** Names that zod gives to patterns of its own, which it writes beside them: those say all. */
export const NAMES_OF_PATTERNS: readonly string[] = [
  [
    "base64",
    "base64url",
    "cidrv4",
    "cidrv6",
    "cuid",
    "cuid2",
    "e164",
    "emoji",
    "hex",
    "ksuid",
    "mac",
    "nanoid",
  ],
  ["ulid", "xid", "starts_with", "ends_with", "includes", "regex", "lowercase", "uppercase"],
].flat();
