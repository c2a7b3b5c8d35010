// From the sign-in page to a metric and a store without ever touching the mouse.

import { base, open, picture, settled, story, tell } from "./browser.mjs";

await story(async () => {
  const { password } = JSON.parse(process.env.TIDEGATE_TEST_STORY);
  const { browser, page, faults } = await open();
  const keys = page.keyboard;
  /** Tabs until the element with this role and name has the focus; it has to be reachable and its focus visible. */
  const reach = async (name, { role = null, most = 120, back = false } = {}) => {
    for (let i = 0; i < most; i += 1) {
      const at = await page.evaluate(() => {
        const e = document.activeElement;
        const label = e.getAttribute("aria-label") ?? (e.labels?.[0]?.textContent || e.textContent || "");
        const style = getComputedStyle(e);
        return { label: label.trim(), tag: e.tagName.toLowerCase(), visible: style.outlineStyle !== "none" || e.tagName === "BODY" || style.boxShadow !== "none" };
      });
      if ((typeof name === "string" ? at.label === name : name.test(at.label)) && (!role || at.tag === role)) {
        if (!at.visible) throw new Error(`the focus on ${at.label} cannot be seen`);
        return;
      }
      await keys.press(back ? "Shift+Tab" : "Tab");
    }
    throw new Error(`${name} is not reached with the Tab key`);
  };
  try {
    await page.goto(`${base}/console/p/web/explore?since=all`);
    await page.getByLabel("User").waitFor();
    await keys.type("admin");
    await keys.press("Tab");
    await keys.type(password);
    await keys.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Explore" }).waitFor();
    await settled(page);

    await reach("Skip to content", { most: 200 });
    await keys.press("Enter");
    await reach("Attribute");
    await keys.press("Enter");
    await page.getByRole("dialog").waitFor();
    await keys.type("error.type");
    await keys.press("Enter");
    await page.locator(".chip").getByText("error.type", { exact: true }).waitFor();
    await settled(page);
    // The focus is where it was, not at the beginning of the page.
    const tag = await page.evaluate(() => document.activeElement.tagName);
    if (tag === "BODY") throw new Error("the focus is lost when the question changes");

    // The picture is read with the arrow keys.
    await reach(/over time.*Arrow keys/);
    await keys.press("End");
    await page.locator(".readout time").waitFor();

    await page.evaluate(() => document.querySelector("main").focus());
    await reach("Export as Metric");
    await keys.press("Enter");
    await page.getByRole("dialog").waitFor();
    // The focus stays inside the dialog and comes back on Escape.
    await keys.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await reach("Export as Metric", { most: 1 });
    await keys.press("Enter");
    await page.getByRole("region", { name: "Values of the last windows" }).waitFor();
    await keys.press("Control+A");
    await keys.type("by_keyboard");
    await keys.press("Enter");
    await page.getByRole("heading", { level: 1, name: "by_keyboard" }).waitFor();

    await page.evaluate(() => document.activeElement.blur());
    await reach("Metric Stores", { role: "a" });
    await keys.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Metric Stores" }).waitFor();
    await settled(page);
    await reach("New metric store");
    await keys.press("Enter");
    await page.getByRole("heading", { level: 1, name: "New metric store" }).waitFor();
    await reach(/^circonus/);
    for (let i = 0; i < 5; i += 1) await keys.press("ArrowDown");
    await page.getByLabel("Name", { exact: true }).waitFor();
    await page.getByLabel("OpenMetrics").waitFor();
    await reach("Name");
    await keys.type("typed");
    await keys.press("Enter");
    await page.getByRole("heading", { level: 1, name: "typed" }).waitFor();
    await settled(page);
    await reach("More");
    await keys.press("Enter");
    await keys.press("ArrowDown");
    await keys.press("ArrowDown");
    await keys.press("Enter");
    await page.getByRole("dialog", { name: "Delete the store?" }).waitFor();
    await reach("Delete", { most: 6 });
    await keys.press("Enter");
    await page.getByRole("heading", { level: 1, name: "Metric Stores" }).waitFor();
    tell({ faults });
  } catch (error) {
    await picture(page, "keyboard-failed");
    process.stderr.write(`${page.url()}\n${faults.join("\n")}\n`);
    throw error;
  } finally {
    await browser.close();
  }
});
