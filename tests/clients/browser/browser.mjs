// What the stories of the console share: a real browser whose every complaint is a fault, and a tongue to tell the test what was seen.

import { createRequire } from "node:module";
import { join } from "node:path";
import { mkdirSync, readFileSync } from "node:fs";

// The packages lie in the environment that tests/setup.sh made, this script in the source tree.
const require = createRequire(join(process.env.TIDEGATE_TEST_BROWSER, "package.json"));
const { chromium } = require("playwright-core");
const checker = readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");

export const base = process.env.TIDEGATE_TEST_URL;
export const pictures = process.env.TIDEGATE_TEST_PICTURES;
const PATIENCE = 60_000;

/** Opens a browser; `faults` gathers errors of pages, refused loads and breaches of the content security policy. */
export async function open({ width = 1280, height = 900, theme = "light" } = {}) {
  const browser = await chromium.launch({ executablePath: process.env.TIDEGATE_TEST_CHROMIUM, args: ["--no-sandbox", "--disable-dev-shm-usage"] });
  const context = await browser.newContext({ viewport: { width, height }, colorScheme: theme, locale: "en-GB", timezoneId: "Europe/Berlin" });
  await context.grantPermissions(["clipboard-read", "clipboard-write"], { origin: base });
  const page = await context.newPage();
  page.setDefaultTimeout(PATIENCE);
  const faults = [];
  // A question that is answered with 401 or 404 is no fault of the page; the browser logs it all the same.
  page.on("console", (m) => { if (m.type() === "error" && !/status of (401|404|409|412|422|428)/.test(m.text())) faults.push(`console: ${m.text()}`); });
  page.on("pageerror", (e) => faults.push(`page: ${e.stack ?? e}`));
  page.on("dialog", (d) => { faults.push(`a script of somebody else opened a dialog: ${d.message()}`); d.dismiss(); });
  page.on("request", (r) => { if (!r.url().startsWith(base) && !r.url().startsWith("data:") && !r.url().startsWith("blob:")) faults.push(`a request to elsewhere: ${r.url()}`); });
  await page.addInitScript(() => addEventListener("securitypolicyviolation", (e) => console.error(`CSP: ${e.violatedDirective} ${e.blockedURI}`)));
  return { browser, context, page, faults };
}

/** Signs in: by the link of the first start if there is one, or else with the password that it set. */
export async function enter(page, { link, user, password }) {
  if (link) {
    await page.goto(link);
    await page.getByLabel("User").fill(user);
    await page.getByLabel("Password", { exact: true }).fill(password);
    await page.getByLabel("The password again").fill(password);
    await page.getByRole("button", { name: "Set password and sign in" }).click();
  } else {
    await page.goto(`${base}/console/`);
    await page.getByLabel("User").fill(user);
    await page.getByLabel("Password").fill(password);
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
  }
  await page.getByRole("heading", { level: 1, name: "Projects" }).waitFor();
}

/** Serious and critical faults of accessibility on the page as it is, as text. */
export async function accessibility(page) {
  // The policy of the page lets no foreign script in, so the debugger puts it there.
  await page.evaluate(checker);
  const { violations } = await page.evaluate(() => window.axe.run(document, { runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"] }));
  return violations.filter((v) => v.impact === "serious" || v.impact === "critical")
    .flatMap((v) => v.nodes.map((n) => `${v.impact}: ${v.id}: ${n.target.join(" ")}: ${n.failureSummary.replace(/\s+/g, " ").slice(0, 300)}`));
}

export async function picture(page, name) {
  if (!pictures) return;
  mkdirSync(pictures, { recursive: true });
  await page.screenshot({ path: join(pictures, `${name}.png`) });
}

export const visit = (page, path) => page.evaluate((href) => { history.pushState(null, "", href); dispatchEvent(new PopStateEvent("popstate")); }, `/console${path}`);

/** Waits until the page has settled: no work under way and a heading. */
export async function settled(page) {
  await page.locator("h1").first().waitFor();
  await page.waitForFunction(() => !document.querySelector(".bar.busy, [aria-busy=true]"));
  await page.waitForTimeout(150);
}

/** Tells the test. */
export function tell(document) {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

/** Sends events as a client would. */
export async function send(token, project, events) {
  const answer = await fetch(`${base}/api/v1/projects/${encodeURIComponent(project)}/events`, { method: "POST", headers: { authorization: `Bearer ${token}` }, body: events.map((e) => JSON.stringify(e)).join("\n") });
  if (!answer.ok) throw new Error(`events were refused: ${answer.status} ${await answer.text()}`);
}

/** Runs a story; whatever goes wrong ends the process with the picture's name and the reason. */
export async function story(work) {
  try {
    await work();
  } catch (error) {
    process.stderr.write(`${error.stack ?? error}\n`);
    process.exitCode = 1;
  }
}
