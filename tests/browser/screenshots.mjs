// Draws docs/screenshots from the demo: `make screenshots`.
import { mkdir, stat } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { startDemo } from './demo.mjs';
import { launchChromium } from './launch.mjs';
import { Desk, PIN, Phone } from './people.mjs';

const LARGEST = 150_000; // bytes: they are fetched with every clone

const folder = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url));
await mkdir(folder, { recursive: true });

/**
 * @param {import('playwright-core').Page} page
 * @param {string} name
 * @param {boolean} [fullPage] else what a screen holds
 */
async function shoot(page, name, fullPage = true) {
  const path = `${folder}${name}.png`;
  await page.evaluate(() => document.fonts.ready);
  await page.mouse.move(0, 0);
  await page.screenshot({ path, fullPage, animations: 'disabled', caret: 'hide' });
  const { size } = await stat(path);
  if (size > LARGEST) throw new Error(`${name} has ${size} bytes`);
  console.log(`${name}.png ${Math.ceil(size / 1000)} kB`);
}

const agent = 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0';
const demo = await startDemo();
const browser = await launchChromium({ flags: ['--hide-scrollbars'] });
try {
  await french();
  await english();
} finally {
  await browser.close();
  await demo.stop();
}

async function french() {
  const phone = await Phone.open(browser, demo, demo.professionals[0], { context: { deviceScaleFactor: 1.5 } });
  const desk = await Desk.open(browser, demo, { context: { viewport: { width: 900, height: 700 }, userAgent: agent } });
  const { name, national_id: id, mobile, email } = phone.holder;

  await desk.page.goto(`${demo.base}/`);
  await shoot(desk.page, 'portal-home-fr');
  await phone.press('activate');
  await phone.heading('facts_title');
  await phone.page.getByLabel(phone.said('national_id')).fill(id);
  await phone.page.getByLabel(phone.said('mobile')).fill(mobile);
  await phone.page.getByLabel(phone.said('email')).fill(email);
  await phone.page.getByLabel(phone.said('email')).blur();
  await shoot(phone.page, 'app-activate-fr');
  await phone.press('send_codes');
  await phone.heading('codes_title');
  await demo.codes(id);
  await desk.page.goto(demo.mailbox);
  await shoot(desk.page, 'mailbox-fr');
  await phone.typeCodes();
  await phone.choosePin();
  await phone.press('later');
  await phone.home();

  await desk.start();
  await shoot(desk.page, 'portal-form-fr');
  await desk.page.locator('#national_id').fill(id);
  await desk.press('form_go');
  await desk.code();
  await shoot(desk.page, 'portal-waiting-fr');
  await phone.claim(await desk.code());
  await shoot(phone.page, 'app-request-fr');
  await phone.press('not_you');
  await phone.heading('not_you');
  await shoot(phone.page, 'app-not-you-fr');
  await phone.press('back_to_request');
  await phone.pin(PIN);
  await phone.heading('keep_title');
  await shoot(phone.page, 'app-keep-fr');
  await phone.keep('mine');
  await phone.done();
  await desk.greeted(name);

  await desk.signOut();
  await desk.start();
  await desk.heading('form_who');
  await shoot(desk.page, 'portal-remembered-fr');
  await desk.page.locator('.choice').click();
  await desk.heading('wait_ring');
  await shoot(desk.page, 'portal-ring-fr');
  await phone.page.getByRole('link', { name: phone.said('answer') }).waitFor();
  await shoot(phone.page, 'app-home-fr');
  await phone.answerRing();
  await phone.press('refuse');
  await desk.heading('out_refused_title');
  await shoot(desk.page, 'portal-refused-fr');
  await Promise.all([phone.close(), desk.close()]);
}

async function english() {
  const phone = await Phone.open(browser, demo, demo.professionals[1], { lang: 'en', context: { deviceScaleFactor: 1.5, colorScheme: 'dark' } });
  const desk = await Desk.open(browser, demo, { lang: 'en', context: { viewport: { width: 900, height: 700 }, userAgent: agent } });
  const narrow = await Desk.open(browser, demo, { lang: 'en', context: { viewport: { width: 320, height: 700 }, userAgent: agent, colorScheme: 'dark' } });

  await desk.page.goto(`${demo.base}/demo`);
  await desk.page.setViewportSize({ width: 900, height: 1200 });
  await shoot(desk.page, 'demo-start-en', false);
  await phone.activate();
  const code = await narrow.ask(phone.holder.national_id);
  await shoot(narrow.page, 'portal-waiting-en-dark-320');
  await phone.claim(code);
  await phone.pin(PIN);
  await phone.keep('shared');
  await phone.heading('done_title');
  await shoot(phone.page, 'app-approved-en-dark');
  await narrow.greeted(phone.holder.name);
  await narrow.start();
  await narrow.heading('continue_who', { name: phone.holder.name });
  await shoot(narrow.page, 'portal-continue-en-dark-320');
  await phone.press('back_home');
  await phone.page.goto(`${demo.phone}/#/settings`);
  await phone.heading('settings');
  await phone.page.getByText(phone.said('notif_is_off')).waitFor();
  await shoot(phone.page, 'app-settings-en-dark', false);
  await Promise.all([phone.close(), desk.close(), narrow.close()]);
}
