// Opens a page of this folder in headless Chromium, on an origin of its own, and has it make the calls of a plan.
//
// `node browser.mjs PAGE`. The browser stays open until the standard input ends, so that what is sent later (a retry)
// is sent. Its clock is a day slow. Names are not resolved, so nothing reaches further than this machine.

import { createServer } from "node:http";
import { readFile } from "node:fs/promises";
import { existsSync } from "node:fs";
import { once } from "node:events";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { chromium } from "playwright-core";
import { readPlan, report } from "./plan.mjs";

const SDK_FILES = {
  "/segment.js": import.meta.resolve("@segment/analytics-next").replace(/\/dist\/.*/, "/dist/umd/index.js"),
  "/rudder.js": import.meta.resolve("@rudderstack/analytics-js/bundled").replace("/esm/index.mjs", "/umd/index.js"),
};
const SLOW_BY_MILLISECONDS = 24 * 60 * 60 * 1000;

function findChromium() {
  const found = process.env.PATH.split(delimiter).map((folder) => join(folder, "chromium")).find(existsSync);
  if (found === undefined) throw new Error("chromium is not on the path: `make chromium` installs it");
  return found;
}

async function servePage(name) {
  const files = { ...SDK_FILES, "/": new URL(name, import.meta.url).href };
  const server = createServer(async (request, response) => {
    const file = files[new URL(request.url, "http://page").pathname];
    if (file === undefined) {
      response.writeHead(404).end();
      return;
    }
    const kind = file.endsWith(".html") ? "text/html" : "text/javascript";
    response.writeHead(200, { "content-type": `${kind}; charset=utf-8` }).end(await readFile(fileURLToPath(file)));
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function slowDown(milliseconds) {
  const RealDate = Date;
  globalThis.Date = class extends RealDate {
    constructor(...parts) {
      super(...(parts.length === 0 ? [RealDate.now() - milliseconds] : parts));
    }
    static now() {
      return RealDate.now() - milliseconds;
    }
  };
}

const plan = await readPlan();
const server = await servePage(process.argv[2]);
const browser = await chromium.launch({
  executablePath: findChromium(),
  args: ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"],
});
try {
  // As a person's browser calls itself: a headless one is taken for a bot.
  const engine = `AppleWebKit/537.36 (KHTML, like Gecko) Chrome/${browser.version()} Safari/537.36`;
  const page = await browser.newPage({ userAgent: `Mozilla/5.0 (X11; Linux x86_64) ${engine}` });
  const origin = `127.0.0.1:${server.address().port}`;
  const complain = (complaint) => report({ complaint });
  page.on("request", (request) => {
    const { host } = new URL(request.url());
    if (host !== origin) report({ host });
  });
  page.on("pageerror", (error) => complain(String(error)));
  page.on("console", (message) => message.type() === "error" && complain(message.text()));
  await page.addInitScript(slowDown, SLOW_BY_MILLISECONDS);
  await page.goto(`http://${origin}/?utm_source=newsletter&utm_campaign=spring`);
  const outcomes = await page.evaluate((wanted) => globalThis.makeCalls(wanted), plan);
  if (plan.isLeft) await page.goto("about:blank");
  report({ outcomes });
  for await (const _ of process.stdin);
} finally {
  await browser.close();
  server.close();
}
