// A module from a stranger: uploaded, looked at before it goes live, used by a store; a newer version of it, compared over the windows on
// record, used, and taken back. What the module says of itself stays text.

import { accessibility, base, enter, open, picture, send, settled, story, tell, visit } from "./browser.mjs";

await story(async () => {
  const { password, one, two, url, token, markup } = JSON.parse(process.env.TIDEGATE_TEST_STORY);
  const { browser, page, faults } = await open();
  const main = page.locator("main");
  const dialog = page.getByRole("dialog");
  const check = async (what, holds) => { if (!(await holds)) throw new Error(what); };
  const listed = async () => (await (await fetch(`${base}/api/v1/adapters?name=evolving`, { headers: { authorization: `Bearer ${token}` } })).json()).adapters;
  try {
    await enter(page, { user: "admin", password });

    const upload = async (file, version) => {
      await visit(page, "/adapters");
      await settled(page);
      await page.getByRole("button", { name: "Upload an adapter" }).click();
      await dialog.getByLabel("Component").setInputFiles(file);
      await dialog.getByRole("button", { name: "Inspect" }).click();
      await dialog.getByRole("heading", { name: "What it asks for" }).waitFor();
      await check(`the inspection does not tell version ${version}`, dialog.getByText(version).first().isVisible());
      await check("the inspection does not say what it would reach", (await dialog.textContent()).includes("send HTTP requests to {url}"));
      const before = await listed();
      if (before.some((a) => a.version === version)) throw new Error("it went live before anybody had seen what it asks for");
      for (const fault of await accessibility(page)) faults.push(`inspection: ${fault}`);
      await picture(page, `inspect-${version}`);
      await dialog.getByRole("button", { name: "Install" }).click();
      await page.getByRole("heading", { level: 1, name: "evolving" }).waitFor();
      if (!(await listed()).some((a) => a.version === version && a.offered)) throw new Error("it is not live after it was installed");
    };
    await upload(one, "1.0.0");
    await main.getByText("unsigned: nobody vouches").waitFor();

    // A store that uses it, and windows on record.
    await visit(page, "/p/web/stores/new?adapter=evolving");
    await settled(page);
    await page.getByLabel("Name", { exact: true }).fill("central");
    await page.getByLabel(/^URL/).fill(url);
    await page.getByLabel(/^Period/).fill("2");
    await page.getByLabel(/^crashes/).check();
    await page.getByRole("button", { name: "Create store" }).click();
    await page.getByRole("heading", { level: 1, name: "central" }).waitFor();
    const events = Array.from({ length: 20 }, (_, i) => ({ "error.type": "Crash", guid: `user-${i}` }));
    const arrives = async () => {
      for (let round = 0; round < 60; round += 1) {
        await send(token, "web", events);
        await page.waitForTimeout(700);
        const { status } = await (await fetch(`${base}/api/v1/projects/web/stores/central`, { headers: { authorization: `Bearer ${token}` } })).json();
        if (status.deliveries.accepted_rows > 0) return;
      }
      throw new Error("no window arrived");
    };
    await arrives();

    // How much of its limits it used is in the list and on its page.
    await visit(page, "/adapters");
    await settled(page);
    const row = page.getByRole("row", { name: /evolving/ });
    await check("the list does not tell the CPU time of its limit", row.getByText(/ms of 20 s|s of 20 s/).first().isVisible());
    await check("the list does not tell the memory of its limit", row.getByText(/[kM]?B of [0-9.]+ [MG]B/).first().isVisible());
    await check("the list does not say that it is unsigned", row.getByText("unsigned", { exact: true }).isVisible());
    await page.getByRole("button", { name: "Stores" }).click();
    await page.getByRole("button", { name: "Stores" }).click();
    await check("the list does not sort by who uses it", (await page.getByRole("row").nth(1).textContent()).includes("evolving"));
    await row.getByRole("link").first().click();
    await page.getByRole("heading", { level: 1, name: "evolving" }).waitFor();
    await check("its page does not tell its limits", main.getByText("Memory, at most").isVisible());
    await main.getByRole("link", { name: "central" }).waitFor();
    await picture(page, "adapter-used");

    // A newer version: nothing changes by itself; the difference first.
    await upload(two, "2.0.0");
    if (!(await main.textContent()).includes(markup)) throw new Error("what the module says is not shown as it is");
    if (await page.locator("main img").count()) throw new Error("what a module says has become markup");
    await visit(page, "/p/web/stores/central?tab=adapter");
    await main.getByText("Version 2.0.0 is there").waitFor();
    await page.getByRole("button", { name: "Compare with 2.0.0" }).click();
    await dialog.getByText("other bytes").first().waitFor();
    await dialog.getByText("What differs").first().click();
    const differs = await dialog.textContent();
    if (!/- value /.test(differs) || !/\+ amount /.test(differs)) throw new Error(`the difference is not shown: ${differs}`);
    for (const fault of await accessibility(page)) faults.push(`comparison: ${fault}`);
    await picture(page, "compare");
    await dialog.getByRole("button", { name: "Use 2.0.0" }).click();
    await main.getByText("On trial until").waitFor();
    const inUse = async () => (await main.locator("section.card").filter({ hasText: "In use" }).first().textContent());
    if (!(await inUse()).includes("2.0.0")) throw new Error(`the store does not use 2.0.0: ${await inUse()}`);

    // And back.
    await page.getByRole("button", { name: "Go back to 1.0.0" }).click();
    await dialog.getByRole("button", { name: "Go back", exact: true }).click();
    await page.getByRole("button", { name: "Go back to 1.0.0" }).waitFor({ state: "detached" });
    if (!/Version\s*1\.0\.0/.test(await inUse())) throw new Error(`the store does not use 1.0.0 again: ${await inUse()}`);
    // A version that a store uses cannot be removed; one that none uses can.
    await visit(page, "/adapters/evolving@1.0.0");
    await page.getByRole("button", { name: "Remove" }).click();
    await dialog.getByRole("button", { name: "Remove", exact: true }).click();
    await dialog.getByText("stores use it").waitFor();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await visit(page, "/adapters/evolving@2.0.0");
    // The page of the other version has such a button, too, and stands until this one is there.
    await main.getByText("Version 2 of the same adapter").waitFor();
    await page.getByRole("button", { name: "Remove" }).click();
    await dialog.getByRole("heading", { name: "Remove evolving 2.0.0?" }).waitFor();
    await dialog.getByRole("button", { name: "Remove", exact: true }).click();
    await page.getByRole("heading", { level: 1, name: "Adapters" }).waitFor();
    if ((await listed()).some((a) => a.version === "2.0.0" && a.offered)) throw new Error("the version that was removed is still on offer");
    tell({ faults });
  } catch (error) {
    await picture(page, "failed-adapters");
    process.stderr.write(`${base} at ${page.url()}\n${faults.join("\n")}\n${(await main.textContent().catch(() => "")).slice(0, 2000)}\n`);
    throw error;
  } finally {
    await browser.close();
  }
});
