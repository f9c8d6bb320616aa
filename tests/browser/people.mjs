// The people of the browser tests: a professional with the phone app in one
// browser, and the desk at which they sign in, in another. They do what people
// do: read, type, press.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';

/** @typedef {import('playwright-core').Page} Page */
/** @typedef {import('playwright-core').Browser} Browser */

// One that is not among the thousand commonest, which the app refuses.
export const PIN = '7294';

/** @type {Record<string, Record<string, string>>} */
const words = {};
for (const lang of ['fr', 'en']) {
  words[lang] = {};
  for (const file of ['common', 'portal', 'app', 'demo']) {
    Object.assign(words[lang], JSON.parse(await readFile(new URL(`../../web/words/${file}.${lang}.json`, import.meta.url), 'utf8')));
  }
}

/**
 * The text of a key, as a pattern for the whole of it: a place matches its
 * value, or anything; spaces of any kind match.
 * @param {'fr' | 'en'} lang
 * @param {string} key "portal.form_go"
 * @param {Record<string, string | number>} [values]
 */
export function said(lang, key, values = {}) {
  const text = words[lang][key];
  assert.ok(text, `no words for ${key}`);
  const escape = (/** @type {string} */ plain) => plain.replace(/[.*+?^$()[\]\\]/g, '\\$&');
  const forms = text.split('|').map((form) => form.replaceAll('**', '').split(/(\{[a-z_]+\})/)
    .map((part) => (part.startsWith('{') ? (part.slice(1, -1) in values ? escape(String(values[part.slice(1, -1)])) : '.*') : escape(part)))
    .join('').replace(/\s/g, '\\s'));
  return new RegExp(`^\\s*(${forms.join('|')})\\s*$`);
}

/** @param {'fr' | 'en'} lang */
const locale = (lang) => (lang === 'fr' ? 'fr-FR' : 'en-GB');

/**
 * Whatever a browser complains of on a page that is well.
 * @param {Page} page
 */
export function complaintsOf(page) {
  /** @type {string[]} */
  const complaints = [];
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('console', (message) => {
    // An answer that is no success is told by the browser too.
    if (message.type() === 'error' && !message.text().startsWith('Failed to load resource')) complaints.push(`${page.url()}: ${message.text()}`);
  });
  return complaints;
}

/** A phone: the app in a browser of its own. */
export class Phone {
  /**
   * @param {Page} page
   * @param {import('./demo.mjs').Demo} demo
   * @param {import('./demo.mjs').Professional} holder
   * @param {'fr' | 'en'} lang
   */
  constructor(page, demo, holder, lang) {
    Object.assign(this, { page, demo, holder, lang });
    this.page = page;
    this.demo = demo;
    this.holder = holder;
    this.lang = lang;
    this.complaints = complaintsOf(page);
  }

  /**
   * @param {Browser | import('playwright-core').BrowserContext} where a context is used as it is
   * @param {import('./demo.mjs').Demo} demo
   * @param {import('./demo.mjs').Professional} holder
   * @param {{lang?: 'fr' | 'en', context?: object}} [options]
   */
  static async open(where, demo, holder, { lang = 'fr', context = {} } = {}) {
    const own = 'newContext' in where
      ? await where.newContext({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true, locale: locale(lang), ...context })
      : where;
    const phone = new Phone(await own.newPage(), demo, holder, lang);
    await phone.page.goto(`${demo.phone}/`);
    await phone.page.locator('#main h1').first().waitFor();
    return phone;
  }

  /** @param {string} key @param {Record<string, string | number>} [values] */
  said(key, values) {
    return said(this.lang, `app.${key}`, values);
  }

  /** @param {string} key @param {Record<string, string | number>} [values] waits for that heading */
  heading(key, values) {
    return this.page.getByRole('heading', { name: this.said(key, values) }).first().waitFor();
  }

  /** @param {string} key */
  press(key) {
    return this.page.getByRole('button', { name: this.said(key) }).click();
  }

  /** @param {string} pin each digit pressed on the pad */
  async pin(pin) {
    for (const digit of pin) await this.page.locator(`.keypad [data-digit="${digit}"]`).click();
  }

  /** Has the two codes sent, and goes up to their screen. */
  async askCodes() {
    const { page, holder } = this;
    await this.press('activate');
    await this.heading('facts_title');
    await page.getByLabel(this.said('national_id')).fill(holder.national_id);
    await page.getByLabel(this.said('mobile')).fill(holder.mobile);
    await page.getByLabel(this.said('email')).fill(holder.email);
    await this.press('send_codes');
    await this.heading('codes_title');
  }

  async typeCodes() {
    const { sms, email } = await this.demo.codes(this.holder.national_id);
    await this.page.getByLabel(this.said('code_sms')).fill(sms);
    await this.page.getByLabel(this.said('code_email')).fill(email);
    await this.press('continue');
    await this.heading('pin_choose');
  }

  async choosePin(pin = PIN) {
    await this.heading('pin_choose');
    await this.pin(pin);
    await this.heading('pin_repeat');
    await this.pin(pin);
    await this.heading('activated_title');
  }

  /** Makes this browser the phone of its holder, by the codes of the mailbox. */
  async activate() {
    await this.askCodes();
    await this.typeCodes();
    await this.choosePin();
    await this.press('later');
    await this.home();
    return this;
  }

  home() {
    return this.heading('hello', { name: this.holder.name });
  }

  /** @param {string} code types the code of a screen, up to the request */
  async claim(code) {
    await this.page.locator('#code').fill(code);
    await this.press('continue');
    await this.heading('request_title');
  }

  /** Opens the request that waits on the home screen. */
  async answerRing() {
    await this.page.getByRole('link', { name: this.said('answer') }).click();
    await this.heading('request_title');
    await this.page.locator('.keypad, #code').first().waitFor();
  }

  /** @param {'mine' | 'shared' | 'no'} keep answers "keep this browser?" */
  async keep(keep) {
    await this.heading('keep_title');
    await this.page.locator('.choice', { hasText: new RegExp(this.said(`keep_${keep}`).source.slice(1, -1)) }).click();
  }

  /** Approval and back home. */
  async done() {
    await this.heading('done_title');
    await this.press('back_home');
    await this.home();
  }

  close() {
    return this.page.context().close();
  }
}

/** A desk: the browser in which somebody opens services. */
export class Desk {
  /**
   * @param {Page} page
   * @param {import('./demo.mjs').Demo} demo
   * @param {'fr' | 'en'} lang
   */
  constructor(page, demo, lang) {
    this.page = page;
    this.demo = demo;
    this.lang = lang;
    this.complaints = complaintsOf(page);
  }

  /**
   * @param {Browser} browser
   * @param {import('./demo.mjs').Demo} demo
   * @param {{lang?: 'fr' | 'en', context?: object}} [options]
   */
  static async open(browser, demo, { lang = 'fr', context = {} } = {}) {
    const own = await browser.newContext({ viewport: { width: 1280, height: 900 }, locale: locale(lang), ...context });
    return new Desk(await own.newPage(), demo, lang);
  }

  /** @param {string} key @param {Record<string, string | number>} [values] */
  said(key, values) {
    return said(this.lang, `portal.${key}`, values);
  }

  /** @param {string} key @param {Record<string, string | number>} [values] */
  heading(key, values) {
    return this.page.getByRole('heading', { name: this.said(key, values) }).first().waitFor();
  }

  /** @param {string} key @param {Record<string, string | number>} [values] */
  press(key, values) {
    return this.page.getByRole('button', { name: this.said(key, values) }).click();
  }

  /** @param {number} [service] which of the demo's services sends this browser to the portal @param {string} [query] */
  async start(service = 0, query = '') {
    await this.page.goto(`${this.demo.services[service].url}/login${query}`);
  }

  /**
   * Starts at a service and types a number.
   * @param {string} nationalId
   * @param {number} [service]
   * @returns {Promise<string>} the code on the screen
   */
  async ask(nationalId, service = 0) {
    await this.start(service);
    await this.page.locator('#national_id').fill(nationalId);
    await this.press('form_go');
    return this.code();
  }

  /** The code on the screen. */
  async code() {
    const text = await this.page.locator('#code').textContent();
    const code = (text ?? '').replace(/\s/g, '');
    assert.match(code, /^\d{6}$/);
    return code;
  }

  /**
   * Chooses a remembered professional: the phone rings.
   * @param {string} name
   * @param {number} [service]
   */
  async ring(name, service = 0) {
    await this.start(service);
    await this.page.locator('.choice', { hasText: name }).click();
    await this.heading('wait_ring');
  }

  /** @param {string} name waits until the service greets somebody @param {number} [service] */
  async greeted(name, service = 0) {
    const { url } = this.demo.services[service];
    await this.page.waitForURL((at) => at.origin === url && at.pathname === '/');
    await this.page.getByRole('heading', { name: `${this.lang === 'fr' ? 'Bonjour' : 'Hello'} ${name}` }).waitFor();
  }

  /** Signs out at the service. */
  async signOut(service = 0) {
    const { url } = this.demo.services[service];
    await this.page.goto(`${url}/`);
    await this.page.getByRole('link', { name: this.lang === 'fr' ? 'Se déconnecter' : 'Sign out' }).click();
    await this.page.waitForURL((at) => at.origin === url && at.pathname === '/');
    await this.page.locator('#login').waitFor();
  }

  close() {
    return this.page.context().close();
  }
}

/**
 * The first sign-in: the code of the screen, the PIN, keep the browser or not.
 * @param {Desk} desk
 * @param {Phone} phone
 * @param {{service?: number, keep?: 'mine' | 'shared' | 'no'}} [options]
 */
export async function signIn(desk, phone, { service = 0, keep = 'mine' } = {}) {
  await phone.claim(await desk.ask(phone.holder.national_id, service));
  await phone.pin(PIN);
  await phone.keep(keep);
  await phone.done();
  await desk.greeted(phone.holder.name, service);
}
