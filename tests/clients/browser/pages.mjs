// Every page, light and dark, narrow and wide: no serious fault of accessibility, nothing wider than the screen, no complaint of the
// browser, and nothing of what adapters, events and logs say becomes markup.

import { accessibility, base, enter, open, picture, settled, story, tell, visit } from "./browser.mjs";

const EVIL = '<b>bold</b><img src=x onerror="alert(1)">';

await story(async () => {
  const { password, pages } = JSON.parse(process.env.TIDEGATE_TEST_STORY);
  const found = [];
  for (const [theme, width] of [["light", 1440], ["dark", 360]]) {
    const { browser, page, faults } = await open({ theme, width });
    const look = async (name) => {
      await settled(page);
      await picture(page, `${name}-${theme}-${width}`);
      for (const fault of await accessibility(page)) found.push(`${name}, ${theme}, ${width}: ${fault}`);
      const over = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      if (over > 0) found.push(`${name}, ${theme}, ${width}: ${over} pixels wider than the screen`);
    };
    await page.goto(`${base}/console/signin`);
    await look("sign-in");
    await page.goto(`${base}/console/setup#0123`);
    await look("set-up");
    await enter(page, { user: "admin", password });
    for (const [name, path] of pages) {
      await visit(page, path);
      await look(name);
    }
    // The dialogs.
    for (const [name, path, button] of [["export", "/p/web/explore?since=all", "Export as Metric"], ["condition", "/p/web/explore?since=all", "Condition"], ["aggregate", "/p/web/explore?since=all", "Aggregate"], ["limits", "/tenants/default", "Change limits"], ["change", "/audit?kind=metric-store", /What changed/], ["upload", "/adapters", "Upload an adapter"], ["user", "/users", "New user"], ["window", "/p/web/stores/push?tab=history", /Details of the window/]]) {
      await visit(page, path);
      await settled(page);
      await page.getByRole("button", { name: button }).first().click();
      await page.getByRole("dialog").waitFor();
      await page.waitForTimeout(500);
      await look(`dialog-${name}`);
      await page.keyboard.press("Escape");
    }
    if (width === 1440 && theme === "light") await hostile(page, found);
    for (const fault of faults) found.push(`${theme}, ${width}: ${fault}`);
    await browser.close();
  }
  tell({ found });
});

/** Answers as a foreign adapter, a sink's error and a log line could make them. */
async function hostile(page, found) {
  const adapter = { name: "evil", version: EVIL, vendor: EVIL, summary: EVIL, direction: "push", contract: EVIL, digest: "sha256:00", file: EVIL };
  await page.route("**/api/v1/adapters", (route) => route.fulfill({ json: { adapters: [{ ...adapter, name: EVIL }], refused: [{ file: EVIL, reason: EVIL }] } }));
  await page.route("**/api/v1/adapters/evil", (route) => route.fulfill({ json: {
    ...adapter, documentation: "javascript:alert(1)", push: {}, pull: {}, endpoints: [{ kind: "http", key: EVIL, url: EVIL }],
    settings: [{ key: "a", label: EVIL, kind: "text", required: true, help: EVIL }, { key: "b", label: EVIL, kind: "choice", required: true, help: EVIL, choices: [{ value: EVIL, label: EVIL }] }],
  } }));
  await page.route("**/api/v1/projects/web/stores/page", async (route) => {
    const answer = await (await route.fetch()).json();
    route.fulfill({ json: { ...answer, settings: { a: EVIL }, status: { ...answer.status, state: "failing", summary: EVIL, problem: EVIL + EVIL } } });
  });
  // The attributes, the names and with them the lines of the log are real ones.
  for (const path of ["/adapters", "/adapters/evil", "/p/web/stores/new?adapter=evil", "/p/web/stores/page", "/p/web/events/1", "/p/web/metric-sets", "/audit"]) {
    await visit(page, path);
    await settled(page);
    const { text, marks, links } = await page.evaluate(() => ({
      text: document.querySelector("main").textContent, marks: document.querySelectorAll("main b, main img").length, links: document.querySelectorAll('a[href^="javascript:"]').length,
    }));
    if (marks || links) found.push(`${path}: foreign text has become markup or a link that runs`);
    if (!text.includes(EVIL)) found.push(`${path}: foreign text is not shown as it is`);
  }
  await page.unrouteAll();
}
