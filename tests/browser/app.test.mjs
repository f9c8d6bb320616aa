// The phone app: every screen as people meet it, in both languages, light and
// dark, at 320 px and on a phone; and what the screens do.
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { after, before, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { fakePhoneAPI, fakeRequest, pretendActivated, wellPhone } from './fakeapi.mjs';
import { launchChromium } from './launch.mjs';

let server, browser, app;

before(async () => {
  app = process.env.VIGIE_APP ?? await startDemo();
  browser = await launchChromium();
});

after(async () => {
  await browser?.close();
  server?.kill();
});

async function startDemo() {
  server = spawn(process.env.VIGIE ?? 'vigie', ['demo', '--listen', '127.0.0.1:0', '--json'], { stdio: ['ignore', 'pipe', 'ignore'] });
  const line = await new Promise((resolve, reject) => {
    createInterface({ input: server.stdout }).once('line', resolve);
    server.once('exit', () => reject(new Error('the demo did not start')));
  });
  return new URL(JSON.parse(line).phone).origin;
}

const words = Object.fromEntries(await Promise.all(['fr', 'en'].map(async (lang) => {
  const text = await readFile(new URL(`../../web/words/app.${lang}.json`, import.meta.url), 'utf8');
  return [lang, JSON.parse(text)];
})));

/** The text of a key as a pattern: places match anything, spaces of any kind match. */
function said(lang, key) {
  const text = words[lang][`app.${key}`];
  assert.ok(text, `no words for app.${key}`);
  const forms = text.split('|').map((form) => form.replaceAll('**', '').replace(/[.*+?^$()[\]\\]/g, '\\$&').replace(/\{[a-z_]+\}/g, '.*').replace(/\s/g, '\\s'));
  return new RegExp(forms.join('|'));
}

const iPhone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1';

/**
 * Opens the app, in a browser of its own, with an API that only answers.
 * Complaints of the browser fail the test.
 */
async function open(t, { lang = 'fr', activated = true, hash = '', fake = {}, width = 390, ...options } = {}) {
  const context = await browser.newContext({
    viewport: { width, height: width === 320 ? 568 : 844 }, isMobile: true, hasTouch: true, locale: lang === 'fr' ? 'fr-FR' : 'en-GB', serviceWorkers: 'block', ...options,
  });
  t.after(() => context.close());
  const page = await context.newPage();
  page.on('pageerror', (error) => assert.fail(error));
  page.on('console', (message) => {
    // A refusal of the API is told by the browser too.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) assert.fail(message.text());
  });
  const api = { me: { ...wellPhone(), ...fake.me }, answers: fake.answers ?? {}, down: false, calls: [] };
  await fakePhoneAPI(page, api);
  if (activated) await pretendActivated(page, app);
  api.down = fake.down ?? false;
  await page.goto(`${app}/#/${hash}`);
  await page.locator('#main h1').first().waitFor();
  const tr = (key) => said(lang, key);
  return { page, api, tr, heading: (key) => page.getByRole('heading', { name: tr(key) }).first().waitFor() };
}

async function typePin(page) {
  await page.locator('.keypad').waitFor();
  await page.keyboard.type('7294');
}

/** Every screen, and how people come to it. */
const screens = [
  { name: 'welcome', activated: false, see: 'welcome_title' },
  { name: 'install first', activated: false, userAgent: iPhone, see: 'install_title' },
  { name: 'facts', activated: false, hash: 'activate', see: 'facts_title', async act({ page, tr }) {
    await page.getByRole('button', { name: tr('send_codes') }).click();
    await page.getByText(tr('mobile_fault')).waitFor();
  } },
  { name: 'codes', activated: false, hash: 'codes', see: 'codes_title', fake: { answers: { 'POST /phone/tickets': [403, { error: 'wrong_codes', left: 3 }] } },
    async act({ page, tr }) {
      await page.getByText(tr('codes_nothing')).click();
      await page.getByLabel(tr('code_sms')).fill('12345678');
      await page.getByLabel(tr('code_email')).fill('1234 5678');
      await page.getByRole('button', { name: tr('continue') }).click();
      await page.getByText(tr('codes_wrong')).waitFor();
    } },
  { name: 'choose a PIN', activated: false, hash: 'codes', async act(opened) {
    await typeCodes(opened);
    await opened.heading('pin_choose');
    await opened.page.keyboard.type('1985');
    await opened.page.getByText(opened.tr('pin_refused_year')).waitFor();
  } },
  { name: 'repeat the PIN', activated: false, hash: 'codes', async act(opened) {
    await typeCodes(opened);
    await opened.heading('pin_choose');
    await typePin(opened.page);
    await opened.heading('pin_repeat');
  } },
  { name: 'activated', activated: false, hash: 'codes', async act(opened) {
    await typeCodes(opened);
    await opened.heading('pin_choose');
    await typePin(opened.page);
    await opened.heading('pin_repeat');
    await typePin(opened.page);
    await opened.heading('activated_title');
  } },
  { name: 'home', see: 'hello', fake: { me: {
    requests: [fakeRequest()],
    approvals: [{ request: 'R', service: 'SI-DEP', agent: 'Chrome', system: 'Linux', place: '', at: Date.now() - 3_600_000 }],
  } }, act: ({ page, tr }) => page.getByText(tr('answer')).waitFor() },
  { name: 'home without a network', fake: { down: true }, act: ({ page, tr }) => page.getByText(tr('offline_what')).waitFor() },
  { name: 'home of a silent phone whose clock is wrong', fake: { me: { silent: true, ahead: 3_600_000 } },
    async act({ page, tr }) {
      await page.getByText(tr('silent_what')).waitFor();
      await page.getByText(tr('clock_title')).waitFor();
    } },
  { name: 'home while the PIN pauses', fake: { me: { state: 'paused', paused_until: Date.now() + 3_600_000 } },
    act: ({ page, tr }) => page.getByText(tr('paused_what')).waitFor() },
  ...[
    ['unknown_code', 404, { last4: '0017' }, 'code_unknown'],
    ['replaced_code', 410, {}, 'code_replaced'],
    ['codes_paused', 429, { until: Date.now() + 3_600_000 }, 'codes_paused_why'],
  ].map(([error, status, more, key]) => ({
    name: `a code that is refused: ${error}`, fake: { answers: { 'POST /phone/claims': [status, { error, ...more }] } },
    async act({ page, tr }) {
      await page.locator('#code').pressSequentially('482913');
      assert.equal(await page.inputValue('#code'), '482 913');
      await page.getByRole('button', { name: tr('continue') }).click();
      await page.getByText(tr(key)).waitFor();
    },
  })),
  { name: 'request', request: {}, see: 'request_title', act: ({ page, tr }) => page.getByText(tr('enter_pin')).waitFor() },
  { name: 'request of a browser without script, from nowhere', request: [{}, { script: false, agent: '', system: '', place: '' }], see: 'request_title',
    act: ({ page, tr }) => page.getByText(tr('request_no_script')).waitFor() },
  { name: 'request of a shared post', request: { needs_code: true }, see: 'request_title', act: ({ page, tr }) => page.getByText(tr('code_first_why')).waitFor() },
  { name: 'wrong PIN', request: {}, see: 'request_title', fake: { answers: { 'POST /phone/requests/REQUEST/answer': [403, { error: 'wrong_pin', misses: 1 }] } },
    async act({ page, tr }) {
      await typePin(page);
      await page.getByText(tr('pin_wrong')).waitFor();
    } },
  { name: 'keep this browser', request: { lane: 'silent', by: 'code', keepable: true, kept: 'K'.repeat(43) }, see: 'request_title',
    async act({ page, heading }) {
      await typePin(page);
      await heading('keep_title');
    } },
  { name: 'approved', request: {}, see: 'request_title', fake: { answers: { 'POST /phone/requests/REQUEST/answer': [200, { state: 'approved', misses: 2 }] } },
    async act({ page, heading }) {
      await typePin(page);
      await heading('done_title');
    } },
  { name: 'not you', request: {}, see: 'request_title', async act({ page, tr }) {
    await page.getByRole('button', { name: tr('not_you') }).click();
    await page.getByText(tr('not_you_block_more')).waitFor();
  } },
  ...[['refuse', 'refused_title'], ['leave', 'left_title']].map(([button, title]) => ({
    name: `answered: ${button}`, request: {}, see: 'request_title', async act({ page, tr, heading }) {
      await page.getByRole('button', { name: tr(button), exact: true }).click();
      await heading(title);
    },
  })),
  ...[['not_you_report', 'reported_title'], ['not_you_block', 'blocked_title']].map(([choice, title]) => ({
    name: `answered: ${choice}`, request: {}, see: 'request_title', async act({ page, tr, heading }) {
      await page.getByRole('button', { name: tr('not_you') }).click();
      await page.locator('.choice', { hasText: tr(choice) }).click();
      await heading(title);
    },
  })),
  { name: 'an answer that could not leave', request: {}, see: 'request_title', slow: true, async act({ page, api, tr, heading }) {
    api.down = true;
    await page.getByRole('button', { name: tr('refuse'), exact: true }).click();
    await heading('unsent_title');
  } },
  ...[
    ['expired', [410, { error: 'expired' }], 'expired_title'],
    ['gone', [404, { error: 'unknown_request' }], 'elsewhere_title'],
    ['replaced', [200, fakeRequest({ state: 'replaced' })], 'gone_title'],
    ['refused elsewhere', [200, fakeRequest({ state: 'refused' })], 'elsewhere_refused_title'],
    ['approved elsewhere', [200, fakeRequest({ state: 'redeemed' })], 'elsewhere_title'],
  ].map(([name, answer, see]) => ({ name: `a request that is over: ${name}`, hash: 'request/REQUEST', see, fake: { answers: { 'POST /phone/requests/REQUEST/open': answer } } })),
  { name: 'the PIN begins to pause', request: {}, see: 'request_title',
    fake: { answers: { 'POST /phone/requests/REQUEST/answer': [403, { error: 'wrong_pin', misses: 3, paused_until: Date.now() + 3_600_000 }] } },
    async act({ page, heading }) {
      await typePin(page);
      await heading('paused_title');
    } },
  { name: 'settings', hash: 'settings', see: 'settings', act: ({ page, tr }) => page.getByText(tr('sleep')).waitFor() },
  { name: 'put to sleep?', hash: 'settings', see: 'settings', async act({ page, tr, heading }) {
    await page.getByRole('button', { name: tr('sleep') }).click();
    await heading('sleep_title');
  } },
  { name: 'change the PIN', hash: 'settings', see: 'settings', async act({ page, tr, heading }) {
    await page.getByRole('button', { name: tr('pin_change') }).click();
    await heading('pin_change');
  } },
  { name: 'notifications refused', hash: 'settings', see: 'settings', permissions: [], async act({ page, tr, heading }) {
    await page.evaluate(() => { Notification.requestPermission = () => Promise.resolve('denied'); });
    await page.getByRole('button', { name: tr('notifications_on') }).click();
    await heading('notif_refused_title');
  } },
  { name: 'about', hash: 'about', see: 'about' },
  { name: 'asleep', fake: { me: { state: 'asleep' } }, see: 'asleep_title' },
  { name: 'left the register', fake: { me: { state: 'asleep', wakes: false } }, see: 'departed_title' },
  ...['disabled', 'removed', 'ended'].map((state) => ({ name: state, fake: { me: { state } }, see: `over_${state}_title` })),
  { name: 'no longer known', fake: { answers: { 'GET /phone/me': [403, { error: 'unknown_phone' }] } }, see: 'over_unknown_title' },
];

async function typeCodes({ page, tr, heading }) {
  await heading('codes_title');
  await page.getByLabel(tr('code_sms')).fill('12345678');
  await page.getByLabel(tr('code_email')).fill('87654321');
  await page.getByRole('button', { name: tr('continue') }).click();
}

/** Opens a screen of the list. */
async function visit(t, screen, options) {
  const { name, see, act, request, slow, fake = {}, hash, ...rest } = screen;
  const held = request === undefined ? undefined : fakeRequest(...(Array.isArray(request) ? request : [request]));
  const answers = { ...(held && { 'POST /phone/requests/REQUEST/open': [200, held] }), ...fake.answers };
  const me = { ...fake.me, ...(held && { requests: [held] }) };
  const opened = await open(t, { ...rest, ...options, hash: held ? 'request/REQUEST' : hash, fake: { ...fake, answers, me } });
  if (see) await opened.heading(see);
  await act?.(opened);
  return opened;
}

for (const screen of screens) {
  for (const [lang, colorScheme, width] of [['fr', 'light', 320], ['en', 'dark', 390]]) {
    test(`${screen.name}: ${lang}, ${colorScheme}, ${width} px`, async (t) => {
      const { page } = await visit(t, screen, { lang, colorScheme, width });
      if (process.env.VIGIE_SHOTS) {
        await page.screenshot({ path: `${process.env.VIGIE_SHOTS}/${screen.name.replace(/[^a-z]+/gi, '-')}-${lang}-${colorScheme}-${width}.png`, fullPage: true });
      }
      const { violations } = await new AxeBuilder({ page })
        .withTags(['wcag2a', 'wcag2aa', 'wcag2aaa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']).analyze();
      assert.deepEqual(violations.map((v) => [v.id, v.nodes.map((n) => n.html)]), []);
      assert.equal(await page.getAttribute('html', 'lang'), lang);
      assert.ok(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), 'the page scrolls sideways');
      const small = await page.evaluate(() => [...document.querySelectorAll('a, button, summary, .field input, .option')]
        .filter((e) => e.checkVisibility() && !e.matches('p a, .skip'))
        .filter((e) => e.getBoundingClientRect().height < 48 || e.getBoundingClientRect().width < 48)
        .map((e) => e.outerHTML));
      assert.deepEqual(small, []);
      assert.equal(await page.locator('h1').count(), 1);
    });
  }
}
