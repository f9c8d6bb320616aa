// The whole way of a push, with nothing of it ours but sender and app: Firefox
// subscribes at a push service, our server encrypts for it and pushes there,
// Firefox decrypts, its service worker shows the notification, and a press on
// its button answers.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { importJWK, jwtVerify } from 'jose';
import { startDemo, until } from './demo.mjs';
import { startDesktop } from './desktop.mjs';
import { launchChromium, launchFirefox, startPushService } from './launch.mjs';
import { Desk, PIN, said } from './people.mjs';

/** @type {import('./demo.mjs').Demo} */
let demo;
/** @type {Awaited<ReturnType<typeof startPushService>>} */
let service;
/** @type {Awaited<ReturnType<typeof startDesktop>>} */
let desktop;
/** @type {import('puppeteer-core').Browser} */
let firefox;
/** @type {import('puppeteer-core').Page} */
let phone;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Desk} */
let desk;
/** @type {import('./demo.mjs').Professional} */
let holder;

before(async () => {
  demo = await startDemo();
  holder = demo.professionals[0];
  service = await startPushService();
  desktop = await startDesktop();
  firefox = await launchFirefox({ pushServer: service.url, preferences: { 'intl.accept_languages': 'fr-FR, fr' }, env: desktop.env });
  browser = await launchChromium();
  desk = await Desk.open(browser, demo);
  phone = await firefox.newPage();
});

after(async () => {
  await browser?.close();
  await firefox?.close();
  await desktop?.close();
  await service?.close();
  await demo?.stop();
});

// What a person does, with this driver's words.

/** @param {string} key */
const app = (key, values = {}) => said('fr', `app.${key}`, values);

/** Waits for an element of that kind whose text is that. @param {string} kind @param {RegExp} text */
async function find(kind, text) {
  const handle = await phone.waitForFunction((kind, source) => [...document.querySelectorAll(kind)]
    .find((e) => e instanceof HTMLElement && e.checkVisibility() && new RegExp(source).test(e.innerText)), { polling: 100 }, kind, text.source);
  return /** @type {import('puppeteer-core').ElementHandle<HTMLElement>} */ (handle);
}

/** @param {string} key */
const heading = (key, values = {}) => find('h1, h2', app(key, values));

/** @param {string} key @param {string} [kind] */
async function press(key, kind = 'button') {
  // What shows may be drawn anew while the mouse is on its way.
  await until(`pressing ${key}`, async () => {
    const handle = await find(kind, app(key));
    return handle.click().then(() => true, () => false);
  });
}

/** @param {string} name @param {string} text */
async function fill(name, text) {
  await (await phone.waitForSelector(`#${name}`))?.type(text);
}

/** @param {string} pin */
async function typePin(pin) {
  for (const digit of pin) await (await phone.waitForSelector(`.keypad [data-digit="${digit}"]`))?.click();
}

/** @param {import('./desktop.mjs').Shown} notification what it says, without the address that the browser adds */
const words = ({ body }) => body.replace(/\s+/g, ' ').replace(/ ?(via )?localhost:\d+ ?/, '');

test('Firefox becomes a phone that can ring', async () => {
  await phone.goto(`${demo.phone}/`);
  await press('activate');
  await heading('facts_title');
  await fill('national_id', holder.national_id);
  await fill('mobile', holder.mobile);
  await fill('email', holder.email);
  await press('send_codes');
  await heading('codes_title');
  const { sms, email } = await demo.codes(holder.national_id);
  await fill('sms', sms);
  await fill('email_code', email);
  await press('continue');
  await heading('pin_choose');
  await typePin(PIN);
  await heading('pin_repeat');
  await typePin(PIN);
  await heading('activated_title');
  await press('notifications_on');
  await heading('notif_on_title');
  assert.equal(service.endpoints.length, 1);
  await press('continue');
  await heading('hello', { name: holder.name });
});

test('a push of ours arrives and is shown', async () => {
  await phone.goto(`${demo.phone}/#/settings`);
  await press('notifications_test');
  await desktop.find((shown) => words(shown) === 'Essai : ce téléphone peut sonner.');
});

test('a kept browser rings, with the app closed', async () => {
  await phone.goto(`${demo.phone}/`);
  const code = await desk.ask(holder.national_id);
  await fill('code', code);
  await press('continue');
  await heading('request_title');
  await typePin(PIN);
  await press('keep_mine', '.choice-name');
  await heading('done_title');
  await desk.greeted(holder.name);
  await desk.signOut();

  await phone.goto('about:blank');
  service.received.length = 0;
  await desk.ring(holder.name);
  const [push] = await until('the push', () => (service.received.length > 0 ? service.received : undefined));
  assert.equal(push.headers.ttl, '60');
  assert.equal(push.headers.urgency, 'high');
  assert.equal(push.headers['content-encoding'], 'aes128gcm');
  assert.ok(!push.body.includes('Vaccin') && !push.body.includes('request'), 'the push service can read it');

  // RFC 8292: signed by the key that Firefox subscribed with, for that service.
  const [, token, key] = /^vapid t=([^,]+), ?k=(.+)$/.exec(push.headers.authorization ?? '') ?? [];
  assert.equal(key, service.keys[0].replace(/=+$/, ''));
  const point = Buffer.from(key, 'base64url');
  const jwk = { kty: 'EC', crv: 'P-256', x: point.subarray(1, 33).toString('base64url'), y: point.subarray(33).toString('base64url') };
  await jwtVerify(token, await importJWK(jwk, 'ES256'), { audience: new URL(service.endpoints[0]).origin });

  const shown = await desktop.find(({ actions }) => actions.some(({ label }) => label === 'Refuser'));
  assert.equal(shown.summary, 'Vaccin AmeliPRO');
  assert.equal(words(shown), 'Authentification pour le service Vaccin AmeliPRO');
  assert.doesNotMatch(JSON.stringify(shown), /Martin|0017/);

  // Refused by a press on the notification: the app stays closed.
  desktop.press(shown, 'Refuser');
  await desk.heading('out_refused_title');
  assert.equal(phone.url(), 'about:blank');
});

test('a ring that was answered takes its notification away', async () => {
  desktop.shown.length = 0;
  await desk.ring(holder.name);
  const shown = await desktop.find(({ actions }) => actions.some(({ label }) => label === 'Accepter'));
  await phone.goto(`${demo.phone}/`);
  await press('answer', 'a');
  await heading('request_title');
  await typePin(PIN);
  await heading('done_title');
  await desk.greeted(holder.name);
  await until('the notification goes away', () => desktop.closed.includes(shown.id));
  await desk.signOut();
});

test('an endpoint that is gone is forgotten, and the app says so', async () => {
  await phone.goto(`${demo.phone}/`);
  await heading('hello', { name: holder.name });
  service.forget();
  await desk.ring(holder.name);
  await find('.notice p', app('no_notifications'));
});
