// The manual's story with a mouse: the link of the first start, a project, events, a question, a metric, a page for Prometheus and a
// store that sends to InfluxDB. Tells what Prometheus has to be given, as the console shows it.

import { base, enter, open, picture, send, settled, story, tell } from "./browser.mjs";

const EVIL = '<img src=x onerror="alert(1)"><script>alert(2)</script>';

await story(async () => {
  const { link, password, influx } = JSON.parse(process.env.TIDEGATE_TEST_STORY);
  const { browser, page, faults } = await open();
  try {
    const found = (n) => page.locator("main").getByText(`${n} events found`);
    await enter(page, { link, user: "admin", password });
    await picture(page, "first-start");

    await page.getByRole("link", { name: "New project" }).first().click();
    await page.getByLabel("Name").fill("web shop");
    await page.getByRole("button", { name: "Create project" }).click();
    await page.getByRole("heading", { name: "web shop is there" }).waitFor();
    const token = await page.locator(".copied code").first().textContent();

    const event = (i) => ({ "error.type": i % 3 ? "Crash" : "Hang", "error.message": i === 0 ? EVIL : `cart ${i} is gone`, [`odd${EVIL}`]: i, guid: `user-${i % 5}`, hostname: EVIL, "process.age": i });
    await send(token, "web shop", Array.from({ length: 30 }, (_, i) => event(i)));

    // Explore: group by the type, count the users.
    await page.getByRole("link", { name: "Explore its events" }).click();
    await found(30).waitFor();
    await page.getByRole("button", { name: "Attribute" }).click();
    await page.getByLabel("Attribute", { exact: true }).fill("error.type");
    await page.getByRole("button", { name: "Apply" }).click();
    await page.getByText("2 groups.").waitFor();
    await page.getByRole("button", { name: "Aggregate" }).click();
    await page.getByLabel("Aggregate", { exact: true }).selectOption("unique");
    await page.getByLabel("of attribute").fill("guid");
    await page.getByRole("button", { name: "Apply" }).click();
    const crash = page.getByRole("row", { name: /Crash/ });
    await crash.getByRole("cell").first().waitFor();
    const cells = await crash.getByRole("cell").allTextContents();
    if (cells.join() !== "20,5") throw new Error(`20 crashes of 5 users were sent, the table says ${cells}`);
    await picture(page, "explore");

    // A condition whose operators fit the type, then back and forward.
    await page.getByRole("button", { name: "Condition" }).click();
    await page.getByLabel("Attribute", { exact: true }).fill("process.age");
    await page.waitForFunction(() => ![...document.querySelectorAll("dialog select option")].some((o) => o.value === "contains"));
    const operators = await page.getByLabel("Condition", { exact: true }).locator("option").allTextContents();
    if (operators.includes("contains")) throw new Error(`numbers contain nothing: ${operators}`);
    await page.getByLabel("Condition", { exact: true }).selectOption("at-least");
    await page.getByLabel("Value", { exact: true }).fill("15");
    await page.getByRole("button", { name: "Apply" }).click();
    await found(15).waitFor();
    // A dialog that is open does not stay over the page before.
    await page.getByRole("button", { name: "Condition" }).click();
    await page.getByRole("dialog").waitFor();
    await page.goBack();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await found(30).waitFor();
    await page.goForward();
    await found(15).waitFor();
    // A shared link shows the same.
    await page.goto(page.url());
    await found(15).waitFor();
    await page.goBack();
    await found(30).waitFor();

    // From a group to its events, to one report.
    await page.getByRole("row", { name: /Hang/ }).getByRole("button").click();
    await found(10).waitFor();
    await page.getByRole("row").filter({ hasText: EVIL.slice(0, 20) }).getByRole("link").first().click();
    await page.getByRole("heading", { level: 1, name: /Hang/ }).waitFor();
    if (!(await page.locator("main").textContent()).includes(EVIL)) throw new Error("the report does not show its text as it is");
    if (await page.locator("main img, main script").count()) throw new Error("text of an event has become markup");
    await page.goBack();
    await page.goBack();
    await found(30).waitFor();

    // What cannot be a metric says why and offers the nearest that can.
    await page.getByRole("button", { name: "As JSON" }).click();
    await page.getByLabel("Query", { exact: true }).fill('{"group": ["error.type"], "fold": {"guid": [["distribution", 3]]}}');
    await page.getByRole("button", { name: "Apply" }).click();
    await settled(page);
    await page.getByRole("button", { name: "Export as Metric" }).click();
    await page.getByText("This cannot be a metric").waitFor();
    await page.getByRole("button", { name: "Use that query" }).click();
    await page.getByRole("dialog").waitFor({ state: "detached" });
    await page.locator(".chip").getByText("distinct values of guid").waitFor();

    // Export as Metric, into a new set.
    await page.getByRole("button", { name: "As JSON" }).click();
    await page.getByLabel("Query", { exact: true }).fill('{"group": ["error.type"], "fold": {"_tx": [["count"]], "guid": [["unique"]]}}');
    await page.getByRole("button", { name: "Apply" }).click();
    await settled(page);
    await page.getByRole("button", { name: "Export as Metric" }).click();
    await page.getByText("The time range is dropped").waitFor();
    await page.getByLabel("Name of the metric").fill("faults");
    await page.getByLabel("Metric Set", { exact: true }).selectOption({ label: "New metric set …" });
    await page.getByLabel("Name of the new set").fill("crashes");
    await page.getByRole("region", { name: "Values of the last windows" }).waitFor();
    await picture(page, "export");
    await page.getByRole("button", { name: "Save metric" }).click();
    await page.getByRole("heading", { level: 1, name: "faults" }).waitFor();

    // A page for Prometheus, with a login.
    await page.getByRole("link", { name: "Metric Stores", exact: true }).click();
    await page.getByRole("link", { name: "New metric store" }).first().click();
    await page.getByRole("radio", { name: /prometheus/ }).check();
    await page.getByLabel("Name", { exact: true }).fill("scraped");
    await page.getByLabel(/^Login/).check();
    await page.getByLabel(/^Period/).fill("2");
    await page.getByLabel(/^crashes/).check();
    await page.getByRole("button", { name: "Create store" }).click();
    await page.getByRole("heading", { level: 1, name: "scraped" }).waitFor();
    await page.getByRole("button", { name: "Copy the URL" }).click();
    const url = await page.evaluate(() => navigator.clipboard.readText());
    await page.getByRole("button", { name: "Show", exact: true }).click();
    await page.getByRole("button", { name: "Copy the password" }).click();
    const secret = await page.evaluate(() => navigator.clipboard.readText());
    await page.getByRole("button", { name: "Copy the user name" }).click();
    const user = await page.evaluate(() => navigator.clipboard.readText());

    // A store that sends to InfluxDB; a mistake first, which the form tells beside the field.
    await page.getByRole("link", { name: "Metric Stores", exact: true }).first().click();
    await page.getByRole("link", { name: "New metric store" }).first().click();
    await page.getByRole("radio", { name: /influxdb/ }).check();
    await page.getByLabel("Name", { exact: true }).fill("pushed");
    await page.getByLabel(/^Version/).selectOption("1");
    if (await page.getByLabel(/^Organization/).isVisible()) throw new Error("a setting of version 2 is asked for in version 1");
    await page.getByLabel(/^Period/).fill("2");
    await page.getByLabel(/^crashes/).check();
    await page.getByRole("button", { name: "Create store" }).click();
    await page.getByText("entries need a look").waitFor();
    await picture(page, "form");
    await page.getByLabel(/^URL/).fill(influx.url);
    await page.getByLabel(/^Database/).fill(influx.database);
    await page.getByLabel(/^User/).fill(influx.user);
    await page.getByLabel(/^Password/).fill(influx.password);
    await page.getByRole("button", { name: "Create store" }).click();
    await page.getByRole("heading", { level: 1, name: "pushed" }).waitFor();
    await page.getByRole("link", { name: "Test", exact: true }).click();
    await page.getByRole("button", { name: "Send a test point" }).click();
    await page.getByText("The point was accepted").waitFor();
    // Now metrics flow: events that the windows to come hold, and the bytes that the next one sends.
    let previewed = false;
    for (let round = 0; round < 40 && !(previewed && round > 6); round += 1) {
      await send(token, "web shop", Array.from({ length: 10 }, (_, i) => event(i + 1)));
      await page.waitForTimeout(600);
      await page.getByRole("link", { name: "Preview", exact: true }).click();
      await page.getByText("The exact bytes").waitFor();
      const shown = await page.locator("main").textContent();
      previewed ||= shown.includes("<password>") && shown.includes("faults,error.type=Crash");
    }
    if (!previewed) throw new Error("the preview never showed the bytes of a window with events");
    await page.getByRole("link", { name: "Windows", exact: true }).click();
    await page.getByText("Arrived").first().waitFor();
    const html = await page.content();
    if (html.includes(influx.password) || html.includes(secret)) throw new Error("a password is in the page");
    await page.getByRole("link", { name: "Metric Stores", exact: true }).first().click();
    await page.getByRole("cell", { name: /everything that is due has arrived|windows? (is|are) waiting/ }).waitFor();
    await picture(page, "stores");
    tell({ url, user, password: secret, faults });
  } catch (error) {
    await picture(page, "failed");
    process.stderr.write(`${base} at ${page.url()}\n${faults.join("\n")}\n`);
    throw error;
  } finally {
    await browser.close();
  }
});
