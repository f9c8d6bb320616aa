// Everybody can use it: one whole story with all its detours, in each language,
// in which every page and screen is looked at light and dark, on the narrowest
// screen and on a desk, and enlarged; and a sign-in by keyboard alone. Screens
// that take minutes, days or accidents to reach are in app.test.mjs.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { violations } from './axe.mjs';
import { startDemo } from './demo.mjs';
import { launchChromium } from './launch.mjs';
import { Desk, PIN, Phone, said, signIn } from './people.mjs';

const WRONG_PIN = '7295';

/** @type {import('./demo.mjs').Demo} */
let demo;
/** @type {import('playwright-core').Browser} */
let browser;

before(async () => {
  demo = await startDemo();
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  await demo?.stop();
});

/** 1280 px wide at 200 % is 640 px wide to the page. */
const widths = [1280, 640, 320];
const schemes = /** @type {const} */ (['light', 'dark']);

/**
 * Looks at what a page shows now, in every way.
 * @param {import('playwright-core').Page} page
 * @param {string} where
 * @param {'fr' | 'en'} lang
 * @returns {Promise<string[]>} all that is wrong with it
 */
async function look(page, where, lang) {
  /** @type {string[]} */
  const wrong = [];
  const size = page.viewportSize();
  await page.waitForLoadState();
  for (const width of widths) {
    await page.setViewportSize({ width, height: 800 });
    const seen = await page.evaluate(() => ({
      lang: document.documentElement.lang,
      title: document.title,
      headings: document.querySelectorAll('h1').length - document.querySelectorAll('[hidden] h1, h1[hidden]').length,
      over: document.documentElement.scrollWidth - document.documentElement.clientWidth,
      small: [...document.querySelectorAll('a, button, summary, label.option, input:not([type=hidden], [type=radio], [type=checkbox])')]
        .filter((e) => e.checkVisibility() && !e.matches('p a, li > a, .skip'))
        .filter((e) => e.getBoundingClientRect().height < 44 || e.getBoundingClientRect().width < 44)
        .map((e) => e.outerHTML),
    }));
    if (seen.lang !== lang) wrong.push(`the language is said to be "${seen.lang}"`);
    if (seen.title === '') wrong.push('no title');
    if (seen.headings !== 1) wrong.push(`${seen.headings} first headings`);
    if (seen.over > 0) wrong.push(`${seen.over} px too wide at ${width} px`);
    wrong.push(...seen.small.map((html) => `hard to hit at ${width} px: ${html}`));
    if (width === 640) continue; // enlarged: enough that it fits
    for (const colorScheme of schemes) {
      await page.emulateMedia({ colorScheme });
      wrong.push(...(await violations(page)).map((violation) => `${width} px, ${colorScheme}: ${violation}`));
    }
  }
  if (process.env.VIGIE_SHOTS) {
    await page.setViewportSize({ width: 320, height: 800 });
    await page.screenshot({ path: `${process.env.VIGIE_SHOTS}/${where.replace(/[^a-z]+/gi, '-')}-${lang}.png`, fullPage: true });
  }
  await page.emulateMedia({ colorScheme: 'light' });
  if (size) await page.setViewportSize(size);
  return wrong.map((what) => `${where}: ${what}`);
}

describe('seen in every way', { concurrency: 3 }, () => {
  for (const [who, lang] of /** @type {const} */ ([[0, 'fr'], [1, 'en']])) {
    test(`every page and screen: ${lang}`, async (t) => {
      /** @type {string[]} */
      const faults = []; // of the whole story, told at once
      const phone = await Phone.open(browser, demo, demo.professionals[who], { lang, context: { isMobile: false, hasTouch: false, viewport: { width: 390, height: 844 } } });
      const desk = await Desk.open(browser, demo, { lang });
      t.after(() => Promise.all([phone.close(), desk.close()]));
      const { name, national_id: id } = phone.holder;
      const service = demo.services[0].name;

      /** @param {string} where */
      const app = async (where) => faults.push(...await look(phone.page, `app, ${where}`, lang));
      /** @param {string} where */
      const portal = async (where) => faults.push(...await look(desk.page, `portal, ${where}`, lang));

      // --- A newcomer
      await desk.page.goto(`${demo.base}/`);
      await portal('home');
      await desk.page.goto(`${demo.base}/demo`);
      await portal('demo start');
      await app('welcome');
      await phone.press('activate');
      await phone.heading('facts_title');
      await phone.press('send_codes');
      await phone.page.getByText(phone.said('mobile_fault')).waitFor();
      await app('facts with faults');
      await phone.page.goto(`${demo.phone}/`);
      await phone.page.reload();
      await phone.askCodes();
      await phone.page.getByText(phone.said('codes_nothing')).click();
      await app('codes');
      await demo.codes(id);
      await desk.page.route('**/mailbox.json', (route) => route.abort()); // others' letters
      await desk.page.goto(demo.mailbox);
      await desk.page.locator('summary').first().click();
      await portal('mailbox');
      await desk.page.goto(/http\S+\/activation\/\w+/.exec((await demo.letters(id)).find(({ channel }) => channel === 'email')?.text ?? '')?.[0] ?? '');
      await portal('letter');
      await phone.typeCodes();
      await phone.pin('1985');
      await phone.page.getByText(phone.said('pin_refused_year')).waitFor();
      await app('choose a PIN');
      await phone.pin(PIN);
      await phone.heading('pin_repeat');
      await phone.pin(PIN[0]);
      await app('repeat the PIN');
      await phone.pin(PIN.slice(1));
      await phone.heading('activated_title');
      await app('activated');
      await phone.press('later');
      await phone.home();
      await app('home');

      // --- The first sign-in, at a post that is shared
      await desk.page.goto(`${demo.services[0].url}/`);
      await portal('a service');
      await desk.start();
      await portal('form');
      await desk.page.locator('#national_id').fill('899700000018');
      await desk.press('form_go');
      await portal('form with a fault');
      await desk.page.locator('#national_id').fill(id);
      await desk.press('form_go');
      const code = await desk.code();
      await portal('waiting, silent');
      await phone.page.locator('#code').fill(code === '000000' ? '000001' : '000000');
      await phone.press('continue');
      await phone.page.getByText(phone.said('code_unknown')).waitFor();
      await app('home with a wrong code');
      await phone.claim(await desk.code());
      await app('request');
      await desk.heading('wait_held');
      await portal('held');
      await phone.press('not_you');
      await phone.heading('not_you');
      await app('not you');
      await phone.press('back_to_request');
      await phone.pin(WRONG_PIN);
      await phone.heading('keep_title');
      await app('keep');
      await phone.keep('no');
      await phone.page.getByText(phone.said('pin_wrong')).waitFor();
      await app('request after a wrong PIN');
      await phone.pin(PIN);
      await phone.keep('shared');
      await phone.heading('done_title');
      await desk.greeted(name);
      await app('done');
      await portal('a service that knows who it is');
      await phone.press('back_home');
      await phone.home();

      // --- Later, there
      await desk.start();
      await desk.heading('continue_who', { name });
      await portal('continue as');
      await desk.page.goto(`${demo.base}/`);
      await portal('home, signed in');
      await desk.start(1);
      await desk.heading('form_who');
      await portal('form with a remembered name');
      await desk.page.locator('.choice').click();
      await desk.heading('wait_ring');
      await portal('waiting, ring with a code');
      await phone.page.getByRole('link', { name: phone.said('answer') }).waitFor();
      await app('home with a ring');
      await phone.answerRing();
      await app('request that needs a code');
      await phone.press('refuse');
      await phone.heading('refused_title');
      await app('refused');
      await desk.heading('out_refused_title');
      await portal('refused');
      await desk.press('return_to', { service: demo.services[1].name });
      await desk.page.locator('#error').waitFor();
      await portal('a service that was told no');

      for (const [button, at, here] of /** @type {const} */ ([['leave', 'out_left_title', 'left_title'], ['not_you_report', 'out_reported_title', 'reported_title']])) {
        await phone.press('back_home');
        await desk.start(1);
        await desk.page.locator('#national_id').fill(id);
        await desk.press('form_go');
        await phone.claim(await desk.code());
        if (button === 'leave') await phone.press('leave');
        else {
          await phone.press('not_you');
          await phone.page.locator('.choice', { hasText: new RegExp(phone.said(button).source.slice(1, -1)) }).click();
        }
        await phone.heading(here);
        await app(here);
        await desk.heading(at);
        await portal(at);
      }

      // --- The end
      await desk.page.goto(`${demo.base}/fin-de-poste`);
      await portal('fin de poste');
      await desk.page.goto(`${demo.issuer}/protocol/openid-connect/logout?client_id=${demo.services[0].id}`);
      await desk.page.getByText(desk.said('logout_asked', { service })).waitFor();
      await portal('logout');
      await desk.press('logout_go');
      await desk.heading('out_logged_out_title');
      await portal('logged out');
      await desk.page.goto(`${demo.base}/fin-de-poste`);
      await portal('fin de poste, nobody');
      await desk.page.goto(`${demo.base}/nothing`);
      await portal('no such page');

      await phone.page.goto(`${demo.phone}/#/settings`);
      await phone.heading('settings');
      await app('settings');
      await phone.press('pin_change');
      await phone.heading('pin_change');
      await app('change the PIN');
      await phone.page.goto(`${demo.phone}/#/about`);
      await phone.heading('about');
      await app('about');
      await phone.page.goto(`${demo.phone}/#/settings`);
      await phone.press('sleep');
      await phone.heading('sleep_title');
      await app('sleep?');
      await phone.press('sleep');
      await phone.heading('asleep_title');
      await app('asleep');

      assert.deepEqual(faults, []);
      assert.deepEqual([...phone.complaints, ...desk.complaints], []);
    });
  }

  test('a ring that expired', async (t) => {
    const phone = await Phone.open(browser, demo, demo.professionals[2]);
    const desk = await Desk.open(browser, demo, { lang: 'en' });
    t.after(() => Promise.all([phone.close(), desk.close()]));
    await phone.activate();
    await signIn(desk, phone);
    await desk.signOut();
    await desk.ring(phone.holder.name);
    const faults = await look(desk.page, 'waiting, ring', 'en');
    await desk.page.getByRole('heading', { name: desk.said('out_expired_title') }).waitFor({ timeout: 70_000 });
    faults.push(...await look(desk.page, 'expired', 'en'));
    await desk.page.reload();
    await desk.page.getByRole('link', { name: 'Français' }).click();
    await desk.page.getByRole('heading', { name: said('fr', 'portal.out_expired_title') }).waitFor();
    faults.push(...await look(desk.page, 'expired', 'fr'));
    assert.deepEqual(faults, []);
  });
});

test('signing in by keyboard alone', async (t) => {
  const phone = await Phone.open(browser, demo, demo.professionals[3], { context: { isMobile: false, hasTouch: false } });
  const desk = await Desk.open(browser, demo);
  t.after(() => Promise.all([phone.close(), desk.close()]));

  /**
   * Tabs to what has that name, and sees at each step where the focus is.
   * @param {import('playwright-core').Page} page
   * @param {RegExp} name
   */
  async function tabTo(page, name) {
    for (let step = 0; step < 40; step++) {
      const on = await page.evaluate(() => {
        const e = document.activeElement;
        if (!(e instanceof HTMLElement) || e === document.body) return undefined;
        const label = e instanceof HTMLInputElement ? [...(e.labels ?? [])].map((l) => l.innerText).join(' ') : e.innerText;
        const { outlineStyle, outlineWidth } = getComputedStyle(e);
        return { name: label, shows: outlineStyle !== 'none' && outlineWidth !== '0px', stop: e.tabIndex >= 0 };
      });
      if (on?.stop) {
        assert.ok(on.shows, `the focus does not show on "${on.name}"`);
        if (name.test(on.name)) return;
      }
      await page.keyboard.press('Tab');
    }
    assert.fail(`no way by keyboard to ${name}`);
  }
  /** @param {import('playwright-core').Page} page @param {RegExp} name */
  async function press(page, name) {
    await tabTo(page, name);
    await page.keyboard.press('Enter');
  }
  /** @param {import('playwright-core').Page} page @param {RegExp} name @param {string} text */
  async function type(page, name, text) {
    await tabTo(page, name);
    await page.keyboard.type(text);
  }
  /** A name that begins so. @param {string} key */
  const app = (key) => new RegExp(phone.said(key).source.slice(0, -1));

  const { national_id, mobile, email, name } = phone.holder;
  await press(phone.page, app('activate'));
  await phone.heading('facts_title');
  await type(phone.page, app('national_id'), national_id);
  await type(phone.page, app('mobile'), mobile);
  await type(phone.page, app('email'), email);
  await phone.page.keyboard.press('Enter');
  await phone.heading('codes_title');
  const codes = await demo.codes(national_id);
  await type(phone.page, app('code_sms'), codes.sms);
  await type(phone.page, app('code_email'), codes.email);
  await phone.page.keyboard.press('Enter');
  await phone.heading('pin_choose');
  await phone.page.keyboard.type(PIN);
  await phone.heading('pin_repeat');
  await phone.page.keyboard.type(PIN);
  await phone.heading('activated_title');
  await press(phone.page, app('later'));
  await phone.home();

  await desk.page.goto(`${demo.services[0].url}/`);
  await press(desk.page, /Se connecter/);
  await desk.heading('form_who');
  await type(desk.page, desk.said('form_id'), national_id);
  await desk.page.keyboard.press('Enter');
  const code = await desk.code();

  await type(phone.page, app('code_title'), code);
  await phone.page.keyboard.press('Enter');
  await phone.heading('request_title');
  await phone.page.keyboard.type(PIN);
  await phone.heading('keep_title');
  await press(phone.page, app('keep_mine'));
  await phone.heading('done_title');
  await desk.greeted(name);
  await press(phone.page, app('back_home'));
  await phone.home();
  assert.deepEqual([...phone.complaints, ...desk.complaints], []);
});
