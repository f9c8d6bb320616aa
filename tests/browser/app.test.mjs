// The phone app's screens as people meet them, in both languages, light and dark,
// at 320 px and on a phone, with an API that only answers; and what the app does
// when it is slow, blind or old. docs/STATES.md lists the screens.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { violations } from './axe.mjs';
import { pause, startDemo, until } from './demo.mjs';
import { fakePhoneAPI, fakeRequest, pretendActivated, wellPhone } from './fakeapi.mjs';
import { launchChromium } from './launch.mjs';
import { Desk, PIN, Phone, said, signIn } from './people.mjs';

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

const iPhone = 'Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1';

/** Contexts whose browser is an activated phone, by how they look: making one takes a while. */
const activatedContexts = new Map();

async function contextFor(t, activated, { init, ...options }) {
  const make = () => browser.newContext({ isMobile: true, hasTouch: true, serviceWorkers: 'block', ...options });
  if (!activated) {
    const context = await make();
    if (init) await context.addInitScript(init);
    t.after(() => context.close());
    return context;
  }
  const name = JSON.stringify(options);
  if (!activatedContexts.has(name)) {
    const context = await make();
    const page = await context.newPage();
    await pretendActivated(page, demo.phone);
    await page.close();
    activatedContexts.set(name, context);
  }
  return activatedContexts.get(name);
}

/**
 * Opens the app with an API that only answers. Complaints of the browser fail
 * the test.
 */
async function open(t, { lang = 'fr', activated = true, hash = '', fake = {}, width = 390, ...options } = {}) {
  const context = await contextFor(t, activated, {
    viewport: { width, height: width === 320 ? 568 : 844 }, locale: lang === 'fr' ? 'fr-FR' : 'en-GB', ...options,
  });
  const page = await context.newPage();
  t.after(() => page.close());
  page.on('pageerror', (error) => assert.fail(error));
  page.on('console', (message) => {
    // A refusal of the API is told by the browser too.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text())) assert.fail(message.text());
  });
  const api = { me: { ...wellPhone(), ...fake.me }, answers: fake.answers ?? {}, down: fake.down ?? false, calls: [] };
  await fakePhoneAPI(page, api);
  await page.goto(`${demo.phone}/#/${hash}`);
  await page.locator('#main h1').first().waitFor();
  const tr = (key) => said(lang, `app.${key}`);
  return { page, api, tr, heading: (key) => page.getByRole('heading', { name: tr(key) }).first().waitFor() };
}

async function typePin(page) {
  await page.locator('.keypad').waitFor();
  await page.keyboard.type(PIN);
}

/** Every screen, and how people come to it. */
const screens = [
  { name: 'a browser that keeps nothing', activated: false, see: 'unsupported_title', init: () => { delete (/** @type {any} */ (Navigator.prototype)).serviceWorker; } },
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
      await page.locator('.choice', { has: page.getByText(tr(choice)) }).click();
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
  { name: 'it could not be cut', see: 'hello', fake: {
    me: { approvals: [{ request: 'R', service: 'SI-DEP', agent: 'Chrome', system: 'Linux', place: '', at: Date.now() - 3_600_000 }] },
    answers: { 'POST /phone/undo': [400, { error: 'document' }] },
  }, async act({ page, tr, heading }) {
    await page.getByRole('button', { name: tr('undo'), exact: true }).click();
    await heading('not_undone_title');
  } },
  { name: 'it is cut', request: {}, see: 'request_title', fake: { answers: { 'POST /phone/requests/REQUEST/answer': [200, { state: 'approved', misses: 0 }] } },
    async act({ page, tr, heading }) {
      await typePin(page);
      await heading('done_title');
      await page.getByRole('button', { name: tr('undo_now') }).click();
      await heading('undone_title');
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
  { name: 'notifications refused by the system', hash: 'settings', see: 'settings', async act({ page, tr }) {
    await page.evaluate(() => Object.defineProperty(Notification, 'permission', { get: () => 'denied' }));
    await page.goto(`${new URL(page.url()).origin}/#/`);
    await page.goto(`${new URL(page.url()).origin}/#/settings`);
    await page.getByText(tr('notif_is_refused')).waitFor();
  } },
  { name: 'notifications refused just now', hash: 'settings', see: 'settings', async act({ page, tr, heading }) {
    await page.evaluate(() => {
      Object.defineProperty(Notification, 'permission', { get: () => 'default' });
      Notification.requestPermission = () => Promise.resolve('denied');
    });
    await page.goto(`${new URL(page.url()).origin}/#/`);
    await page.goto(`${new URL(page.url()).origin}/#/settings`);
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
  const { name, see, act, request, fake = {}, hash, ...rest } = screen;
  const held = request === undefined ? undefined : fakeRequest(...(Array.isArray(request) ? request : [request]));
  const answers = { ...(held && { 'POST /phone/requests/REQUEST/open': [200, held] }), ...fake.answers };
  const me = { ...fake.me, ...(held && { requests: [held] }) };
  const opened = await open(t, { ...rest, ...options, hash: held ? 'request/REQUEST' : hash, fake: { ...fake, answers, me } });
  if (see) await opened.heading(see);
  await act?.(opened);
  return opened;
}

for (const screen of screens) {
  for (const [lang, width] of [['fr', 320], ['en', 390]]) {
    test(`${screen.name}: ${lang}, ${width} px`, async (t) => {
      const { page } = await visit(t, screen, { lang, width });
      for (const colorScheme of /** @type {const} */ (['light', 'dark'])) {
        await page.emulateMedia({ colorScheme });
        assert.deepEqual(await violations(page), [], colorScheme);
        if (process.env.VIGIE_SHOTS) {
          await page.screenshot({ path: `${process.env.VIGIE_SHOTS}/${screen.name.replace(/[^a-z]+/gi, '-')}-${lang}-${colorScheme}.png`, fullPage: true });
        }
      }
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

test('without script the app says what it needs', async (t) => {
  const context = await browser.newContext({ javaScriptEnabled: false, locale: 'fr-FR' });
  t.after(() => context.close());
  const page = await context.newPage();
  await page.goto(`${demo.phone}/`);
  await page.getByRole('heading', { name: said('fr', 'app.noscript_title') }).waitFor();
});

test('everything on the request screen can be done with the keyboard, and the focus begins at its title', async (t) => {
  const { page, tr, heading } = await visit(t, { name: '', request: {}, act: ({ page }) => page.locator('.keypad').waitFor() }, {});
  assert.equal(await page.evaluate(() => document.activeElement?.tagName), 'H1');
  const reached = [];
  for (let i = 0; i < 20; i++) {
    await page.keyboard.press('Tab');
    reached.push(await page.evaluate(() => document.activeElement?.textContent ?? ''));
  }
  for (const key of ['more', 'refuse', 'not_you', 'leave']) assert.ok(reached.some((text) => tr(key).test(text)), `${key} is not reached: ${reached}`);
  await page.getByRole('button', { name: tr('refuse'), exact: true }).focus();
  await page.keyboard.press('Enter');
  await heading('refused_title');
});

test('refusing is no smaller than any key of the pad, and the pad does not shuffle', async (t) => {
  const { page, tr } = await visit(t, { name: '', request: {}, act: ({ page }) => page.locator('.keypad').waitFor() }, {});
  assert.deepEqual(await page.locator('.keypad [data-digit]').allTextContents(), ['1', '2', '3', '4', '5', '6', '7', '8', '9', '0']);
  const refuse = await page.getByRole('button', { name: tr('refuse'), exact: true }).boundingBox();
  const key = await page.locator('.keypad [data-digit="5"]').boundingBox();
  assert.ok(refuse.width >= key.width && refuse.height >= 56);
});

test('what is said of a request comes from the text whose hash is signed', async (t) => {
  // The rest of the answer may lie as it likes.
  const held = fakeRequest({ service: '<b>other</b>', name: 'Other', agent: 'Other' }, { service: '<i>Mine</i>', agent: 'Lynx', system: 'Plan 9', place: 'Brest' });
  const { page, api } = await open(t, { hash: 'request/REQUEST', fake: {
    me: { requests: [held] }, answers: { 'POST /phone/requests/REQUEST/open': [200, held], 'POST /phone/requests/REQUEST/answer': [200, { state: 'approved' }] },
  } });
  await page.locator('.keypad').waitFor();
  const text = await page.locator('main').innerText();
  assert.match(text, /<i>Mine<\/i>/);
  assert.match(text, /Lynx sous Plan 9, Brest/);
  assert.doesNotMatch(text, /other/i);
  await typePin(page);
  const sent = await until('the approval', () => api.calls.find(({ path }) => path.endsWith('/answer')));
  const payload = JSON.parse(Buffer.from(JSON.parse(sent.body.document).payload, 'base64url').toString());
  const digest = await crypto.subtle.digest('SHA-256', new TextEncoder().encode(held.shown));
  assert.equal(payload.shown, Buffer.from(digest).toString('base64url'));
});

test('the countdown is said at the start, at 20 s and at 5 s, and the end is shown', async (t) => {
  const held = fakeRequest({ expires: Date.now() + 27_000 });
  const { page, api, heading } = await open(t, { hash: 'request/REQUEST', fake: { me: { requests: [held] }, answers: { 'POST /phone/requests/REQUEST/open': [200, held] } } });
  const status = page.locator('.time [role="status"]');
  await status.waitFor({ state: 'attached' });
  const heard = [];
  await until('its end', async () => {
    const text = await status.textContent({ timeout: 1000 }).catch(() => null);
    if (text !== null && text !== '' && text !== heard.at(-1)) heard.push(text);
    if (Date.now() > held.expires - 1500) api.answers['POST /phone/requests/REQUEST/open'] = [410, { error: 'expired' }];
    return await page.getByRole('heading', { name: said('fr', 'app.expired_title') }).count() > 0;
  }, 40_000);
  await heading('expired_title');
  assert.equal(heard.length, 3, heard.join(' '));
  assert.match(heard[1], /20/);
  assert.match(heard[2], /5/);
});

test('where no event comes through, the app asks every two seconds', async (t) => {
  const { page, api } = await open(t);
  await page.locator('#code').waitFor();
  await pause(6000);
  api.calls.length = 0;
  await pause(6500);
  const asked = api.calls.filter(({ path }) => path === 'GET /phone/me').length;
  assert.ok(asked >= 2 && asked <= 4, `asked ${asked} times in 6.5 s`);
});

test('a request that arrives while one types does not take the field away', async (t) => {
  const { page, api, tr } = await open(t);
  await page.locator('#code').pressSequentially('4829');
  api.me.requests = [fakeRequest()];
  await page.getByRole('link', { name: tr('answer') }).waitFor({ timeout: 20_000 });
  assert.equal(await page.evaluate(() => document.activeElement?.id), 'code');
  await page.keyboard.type('13');
  assert.equal(await page.inputValue('#code'), '482 913');
});

test('codes are taken as they are pasted', async (t) => {
  const { page } = await open(t);
  for (const [pasted, shown] of [[' 482913\n', '482 913'], ['482-913', '482 913'], ['Code : 48 29 13', '482 913'], ['12345678', '123 456 78']]) {
    await page.locator('#code').fill(pasted);
    assert.equal(await page.inputValue('#code'), shown);
  }
});

test('subscribing that never ends gives up after ten seconds, with words', async (t) => {
  const context = await browser.newContext({ locale: 'fr-FR', serviceWorkers: 'allow' });
  t.after(() => context.close());
  const page = await context.newPage();
  await pretendActivated(page, demo.phone);
  await page.addInitScript(() => {
    Object.defineProperty(Notification, 'permission', { get: () => 'default' });
    Notification.requestPermission = () => Promise.resolve('granted');
    PushManager.prototype.subscribe = () => new Promise(() => {});
  });
  await fakePhoneAPI(page, { me: wellPhone(), answers: {} });
  await page.goto(`${demo.phone}/#/settings`);
  const begun = Date.now();
  await page.getByRole('button', { name: said('fr', 'app.notifications_on') }).click();
  await page.getByRole('heading', { name: said('fr', 'app.notif_slow_title') }).waitFor();
  assert.ok(Date.now() - begun < 15_000);
});

test('the app opens without a network, says so, and goes on when it is back', async (t) => {
  const context = await browser.newContext({ locale: 'fr-FR' });
  t.after(() => context.close());
  const page = await context.newPage();
  await pretendActivated(page, demo.phone);
  await page.goto(`${demo.phone}/`);
  await page.evaluate(async () => {
    await navigator.serviceWorker.ready;
    if (navigator.serviceWorker.controller === null) await new Promise((resolve) => navigator.serviceWorker.addEventListener('controllerchange', resolve));
  });
  await context.setOffline(true);
  await page.reload();
  await page.getByText(said('fr', 'app.offline_what')).waitFor();
  assert.ok(await page.evaluate(async () => (await document.fonts.ready).check('16px "Atkinson Hyperlegible"')));
  // The vendored curve for browsers without Ed25519 is at hand too.
  assert.ok(await page.evaluate(() => import(/** @type {any} */ (document.querySelector('script[type=module]')).src.replace('app/main.js', 'vendor/ed25519.js')).then(() => true)));
  await context.setOffline(false);
  // The server knows no such phone, and now says so.
  await page.getByRole('heading', { name: said('fr', 'app.over_unknown_title') }).waitFor({ timeout: 20_000 });
});

test('a browser whose WebCrypto has no Ed25519 signs in all the same', async (t) => {
  const context = await browser.newContext({ viewport: { width: 390, height: 844 }, locale: 'fr-FR' });
  await context.addInitScript(() => {
    const { importKey } = SubtleCrypto.prototype;
    SubtleCrypto.prototype.importKey = /** @type {any} */ (function (/** @type {any[]} */ ...args) {
      if (args[2] === 'Ed25519') return Promise.reject(new DOMException('', 'NotSupportedError'));
      return importKey.apply(this, args);
    });
  });
  const phone = await Phone.open(context, demo, demo.professionals[0]);
  const desk = await Desk.open(browser, demo);
  t.after(() => Promise.all([phone.close(), desk.close()]));
  await phone.activate();
  await signIn(desk, phone, { keep: 'no' });
  assert.deepEqual(phone.complaints, []);
});

test('the PIN is changed: the old one opens nothing more; the phone sleeps, and the new one wakes it', async (t) => {
  const phone = await Phone.open(browser, demo, demo.professionals[1]);
  t.after(() => phone.close());
  await phone.activate();
  const change = async (/** @type {string} */ old, /** @type {string} */ chosen) => {
    await phone.page.goto(`${demo.phone}/#/settings`);
    await phone.press('pin_change');
    await phone.heading('pin_change');
    await phone.pin(old);
    await phone.heading('pin_choose');
    await phone.pin(chosen);
    await phone.heading('pin_repeat');
    await phone.pin(chosen);
  };
  await change(PIN, '8361');
  await phone.heading('pin_changed');
  await phone.press('continue');
  await phone.heading('settings');
  await phone.page.goto(`${demo.phone}/#/`);
  await change(PIN, '6482');
  await phone.heading('pin_wrong');

  await phone.page.goto(`${demo.phone}/#/settings`);
  await phone.press('sleep');
  await phone.heading('sleep_title');
  await phone.press('sleep');
  await phone.heading('asleep_title');
  await phone.pin('8361');
  await phone.home();
});
