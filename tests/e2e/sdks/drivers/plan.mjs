// What the drivers in JavaScript have in common: they read a plan, one line of JSON, and write notes, a line each.

import { createInterface } from "node:readline";

export async function readPlan() {
  const lines = createInterface({ input: process.stdin });
  for await (const line of lines) {
    lines.close();
    return JSON.parse(line);
  }
  throw new Error("no plan on the standard input");
}

// Writes a note: `outcomes`, with an entry for each call by its type, null for success or the text of the error; and
// from pages a `host` that was asked for something, or a `complaint` on the console.
export function report(note) {
  process.stdout.write(JSON.stringify(note) + "\n");
}

export const outcomeOf = (error) => (error ? String(error.message ?? error) : null);
