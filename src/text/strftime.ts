const MONTHS = [
  "January",
  "February",
  "March",
  "April",
  "May",
  "June",
  "July",
  "August",
  "September",
  "October",
  "November",
  "December",
];
const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];

const two = (n: number): string => String(n).padStart(2, "0");
const hour12 = (date: Date): number => date.getHours() % 12 || 12;

/** By the letter of C's `strftime`. Local time, English names. */
const FIELDS: Readonly<Record<string, (date: Date) => string>> = {
  Y: (date) => String(date.getFullYear()),
  y: (date) => two(date.getFullYear() % 100),
  m: (date) => two(date.getMonth() + 1),
  B: (date) => MONTHS[date.getMonth()],
  b: (date) => MONTHS[date.getMonth()].slice(0, 3),
  d: (date) => two(date.getDate()),
  e: (date) => String(date.getDate()).padStart(2, " "),
  j: (date) => String(dayOfYear(date)).padStart(3, "0"),
  A: (date) => DAYS[date.getDay()],
  a: (date) => DAYS[date.getDay()].slice(0, 3),
  w: (date) => String(date.getDay()),
  H: (date) => two(date.getHours()),
  I: (date) => two(hour12(date)),
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  M: (date) => two(date.getMinutes()),
  S: (date) => two(date.getSeconds()),
  f: (date) => String(date.getMilliseconds() * 1000).padStart(6, "0"),
  F: (date) => `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`,
  T: (date) => `${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}`,
  "%": () => "%",
};

/** Writes a date as Python's `strftime` does; `%-d` and the like without padding. Unknown letters stay. */
export function strftime(date: Date, format: string): string {
  return format.replace(/%(-?)([A-Za-z%])/g, (all, bare: string, letter: string) => {
    const field = FIELDS[letter]?.(date);
    if (field === undefined) return all;
    return bare === "" ? field : field.replace(/^[0 ]+(?=.)/, "");
  });
}

function dayOfYear(date: Date): number {
  const day = Date.UTC(date.getFullYear(), date.getMonth(), date.getDate());
  return Math.round((day - Date.UTC(date.getFullYear(), 0, 0)) / 86_400_000);
}
