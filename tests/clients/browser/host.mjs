// What an operator does for the host: a tenant, its limits, somebody with roles in two tenants; the log of it, filtered by the server; the
// ledger, and the files.

import { accessibility, base, enter, open, picture, settled, story, tell, visit } from "./browser.mjs";

const GUEST = { user: "both", password: "walks between two houses" };

await story(async () => {
  const { password, token } = JSON.parse(process.env.TIDEGATE_TEST_STORY);
  const { browser, page, faults } = await open();
  const main = page.locator("main");
  const dialog = page.getByRole("dialog");
  const check = async (what, holds) => { if (!(await holds)) throw new Error(what); };
  const ask = (path, options = {}) => fetch(`${base}/api/v1${path}`, { ...options, headers: { authorization: `Bearer ${token}`, "content-type": "application/json", ...options.headers } });
  const look = async (name) => { await settled(page); await picture(page, name); for (const fault of await accessibility(page)) faults.push(`${name}: ${fault}`); };
  try {
    await enter(page, { user: "admin", password });

    // A tenant whose name needs escaping, with a project of its own.
    await visit(page, "/tenants");
    await settled(page);
    await page.getByRole("link", { name: "New tenant" }).click();
    await page.getByLabel("Name", { exact: true }).fill("Größe 3");
    await page.getByRole("button", { name: "Create tenant" }).click();
    await page.getByRole("heading", { name: "Größe 3 is there" }).waitFor();
    await page.getByRole("link", { name: "Make its first project" }).click();
    await page.getByRole("heading", { level: 1, name: "New project" }).waitFor();
    await page.getByLabel("Name", { exact: true }).fill("shop");
    await page.getByRole("button", { name: "Create project" }).click();
    await page.getByRole("heading", { name: "shop is there" }).waitFor();
    await page.getByRole("link", { name: "Project Settings" }).first().click();
    await page.getByRole("heading", { level: 1, name: "Project Settings" }).waitFor();
    await check("the address does not say which tenant it is of", decodeURIComponent(page.url()).includes("/t/Größe 3/p/shop"));
    await check("the switch does not show the tenant", (await page.getByLabel("Tenant").inputValue()) === "Größe 3");
    // The address says it all: loaded again, and in the other tenant there is no such project.
    await page.reload();
    await page.getByRole("heading", { level: 1, name: "Project Settings" }).waitFor();
    await page.getByLabel("Tenant").selectOption("default");
    await page.getByRole("heading", { level: 1, name: "Projects" }).waitFor();
    await settled(page);
    await check("a project of another tenant is shown", main.getByRole("link", { name: "web", exact: true }).isVisible());
    if (await main.getByRole("link", { name: "shop", exact: true }).count()) throw new Error("a project of another tenant is shown");
    await page.goBack();
    await page.getByRole("heading", { level: 1, name: "Project Settings" }).waitFor();

    // Limits.
    await visit(page, `/tenants/${encodeURIComponent("Größe 3")}`);
    await settled(page);
    await page.getByRole("button", { name: "Change limits" }).click();
    await dialog.getByLabel(/^Projects/).fill("1");
    await dialog.getByLabel(/^Memory of one call/).fill("16");
    await look("limits");
    await dialog.getByRole("button", { name: "Save" }).click();
    await dialog.waitFor({ state: "detached" });
    await settled(page);
    const row = page.getByRole("row", { name: /Memory of one call/ });
    await check("the limit is not shown", row.getByText("16 MB").isVisible());
    await check("who set it is not shown", row.getByText("for this tenant").isVisible());
    const more = await ask("/projects", { method: "POST", body: JSON.stringify({ name: "second" }), headers: { "tidegate-tenant": String.fromCharCode(...new TextEncoder().encode("Größe 3")) } });
    if (more.status !== 409) throw new Error(`the limit does not hold: ${more.status}`);

    // The log: the server filters, so lines on no page that was loaded are found; the address keeps what was asked.
    await visit(page, "/audit");
    await settled(page);
    await check("the newest page has the tenant's making already", main.getByRole("row").nth(50).isVisible());
    await page.getByLabel("About", { exact: true }).selectOption("tenant");
    await main.getByRole("row", { name: /set-quotas/ }).waitFor();
    await page.getByPlaceholder("Filter").fill("größe projects");
    await page.waitForURL(/find=/);
    await check("the address does not keep the kind", page.url().includes("kind=tenant"));
    await main.getByRole("row", { name: /create/ }).first().waitFor();
    await look("audit-filtered");
    await page.reload();
    await settled(page);
    await check("what was asked is gone with the page", (await page.getByLabel("About", { exact: true }).inputValue()) === "tenant");
    await page.getByRole("button", { name: /What changed in tenant/ }).first().click();
    await dialog.getByText("quotas.projects").first().waitFor();
    await page.keyboard.press("Escape");
    await visit(page, "/audit?object=web%2Fpage");
    await settled(page);
    await main.getByRole("button", { name: "Next" }).click();
    await main.getByText("Page 2").waitFor();
    await check("the second page has other things", main.getByRole("cell", { name: "metric-store web/page" }).first().isVisible());

    // The ledger, and the files.
    await visit(page, "/ledger");
    await look("ledger");
    await page.getByRole("button", { name: "Look whether the files are sound" }).click();
    await main.getByText("The files are sound:").waitFor();
    await page.getByRole("button", { name: "Make a backup" }).click();
    await main.getByText("The backup is made and sound").waitFor();

    // Somebody with roles in two tenants, and no operator.
    const roles = [{ tenant: "default", project: "web", role: "viewer" }, { tenant: "Größe 3", project: null, role: "admin" }];
    const made = await ask("/users", { method: "POST", body: JSON.stringify({ name: GUEST.user, password: GUEST.password, roles }) });
    if (made.status !== 201) throw new Error(`no user: ${made.status} ${await made.text()}`);
    await page.context().clearCookies();
    await enter(page, GUEST);
    await settled(page);
    const names = await page.getByLabel("Tenant").locator("option").allTextContents();
    if (JSON.stringify([...names].sort()) !== JSON.stringify(["Größe 3", "default"].sort())) throw new Error(`the tenants are ${names}`);
    await page.getByLabel("Tenant").selectOption("default");
    await main.getByRole("link", { name: "web", exact: true }).waitFor();
    if (await page.getByRole("link", { name: "Users" }).count()) throw new Error("a viewer is shown what only admins may see");
    await page.getByLabel("Tenant").selectOption("Größe 3");
    await main.getByRole("link", { name: "shop", exact: true }).waitFor();
    await page.getByRole("link", { name: "Users" }).click();
    await page.getByRole("heading", { level: 1, name: "Users" }).waitFor();
    tell({ faults });
  } catch (error) {
    await picture(page, "failed-host");
    process.stderr.write(`${base} at ${page.url()}\n${faults.join("\n")}\n${(await main.textContent().catch(() => "")).slice(0, 2000)}\n`);
    throw error;
  } finally {
    await browser.close();
  }
});
