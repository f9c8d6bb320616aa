// The portal's pages as people meet them: every one in both languages, in light
// and dark, on a narrow screen, by keyboard, with a network that fails. The
// phone is the terminal's. Signing in as such is in signin.test.mjs.
import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { AxeBuilder } from '@axe-core/playwright';
import { startDemo, until, vigie } from './demo.mjs';
import { launchChromium } from './launch.mjs';
import { complaintsOf, Desk, said } from './people.mjs';

const PIN = '7294';

/** @type {import('./demo.mjs').Demo} */
let demo;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {string} */
let stores;

before(async () => {
  demo = await startDemo();
  browser = await launchChromium();
  stores = await mkdtemp(join(tmpdir(), 'vigie-phones-'));
});

after(async () => {
  await browser?.close();
  await demo?.stop();
  await rm(stores, { recursive: true, force: true });
});

/** @type {Map<number, ReturnType<typeof makePhone>>} */
const phones = new Map();

/**
 * The phone of a professional of the demo.
 * @param {number} who index in the demo's list
 */
function activate(who) {
  const phone = phones.get(who) ?? makePhone(who);
  phones.set(who, phone);
  return phone;
}

/** @param {number} who */
async function makePhone(who) {
  const { national_id: id, mobile, email } = demo.professionals[who];
  const store = join(stores, id);
  await vigie('phone', 'ask', '--server', demo.base, '--national-id', id, '--mobile', mobile, '--email', email);
  const codes = await demo.codes(id);
  await vigie('phone', 'activate', '--store', store, '--server', demo.base, '--national-id', id, '--sms', codes.sms, '--email', codes.email, '--pin', PIN);
  return {
    id,
    name: demo.professionals[who].name,
    /** @param {string} code */
    claim: (code) => vigie('phone', 'claim', '--store', store, '--code', code),
    /** @param {string} [keep] @param {string[]} more */
    approve: (keep = 'no', ...more) => vigie('phone', 'approve', '--store', store, '--pin', PIN, '--keep', keep, ...more),
    /** @param {'refuse' | 'report' | 'leave'} how */
    answer: (how) => vigie('phone', how, '--store', store),
  };
}

/**
 * What is wrong with the page as it stands.
 * @param {import('playwright-core').Page} page
 * @param {string} where
 */
async function look(page, where) {
  const { violations } = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']).analyze();
  assert.deepEqual(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`), [], where);
  const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  assert.ok(wide <= 0, `${where} is ${wide} px wider than the screen`);
  const small = await page.evaluate(() => [...document.querySelectorAll('button, a.button, .choice, input:not([type=hidden])')]
    .filter((e) => e instanceof HTMLElement && e.offsetParent !== null && e.getBoundingClientRect().height < 44).map((e) => e.outerHTML));
  assert.deepEqual(small, [], `${where}: too small to touch`);
}

/** @type {{lang: 'fr' | 'en', context: object, who: number}[]} */
const looks = [
  { lang: 'fr', context: {}, who: 0 },
  { lang: 'en', context: { colorScheme: 'dark' }, who: 1 },
  { lang: 'fr', context: { viewport: { width: 320, height: 568 }, colorScheme: 'dark' }, who: 2 },
];

describe('the portal', { concurrency: 2 }, () => {
  for (const { lang, context, who } of looks) {
    test(`every page, ${lang} ${JSON.stringify(context)}`, async (t) => {
      const desk = await Desk.open(browser, demo, { lang, context });
      t.after(() => desk.close());
      const { page } = desk;
      /** @param {string} key @param {Record<string, string | number>} [values] */
      const stands = async (key, values) => {
        await desk.heading(key, values);
        await look(page, `${key} in ${lang}`);
      };
      const phone = await activate(who);
      const service = 'Vaccin AmeliPRO';

      await page.goto(`${demo.base}/`);
      await stands('home_title');
      await page.goto(`${demo.base}/demo`);
      await look(page, 'the demo');
      await page.goto(demo.mailbox);
      await look(page, 'the mailbox');
      const letter = (await demo.letters(phone.id)).find(({ channel }) => channel === 'email');
      await page.goto(/http\S+\/activation\/\S+/.exec(letter?.text ?? '')?.[0] ?? '');
      await stands('letter_title');
      await desk.press('letter_stop');
      await page.getByText(desk.said('letter_stopped')).waitFor();
      await look(page, 'a letter, stopped');

      await desk.start();
      await stands('form_who');
      await page.locator('#national_id').fill('8 9970 0000 018');
      await desk.press('form_go');
      await page.getByText(desk.said('id_key')).waitFor();
      assert.equal(await page.locator('#national_id').inputValue(), '8 9970 0000 018');
      await look(page, 'a mistyped number');
      await page.locator('#national_id').fill(phone.id);
      await desk.press('form_go');
      await stands('wait_type');

      await phone.claim(await desk.code());
      await stands('wait_held');
      await phone.answer('refuse');
      await stands('out_refused_title');
      for (const [how, key] of /** @type {const} */ ([['report', 'out_reported_title'], ['leave', 'out_left_title']])) {
        await phone.claim(await desk.ask(phone.id));
        await phone.answer(how);
        await stands(key);
      }
      await phone.claim(await desk.ask(phone.id));
      /** @type {() => void} */
      let seen = () => {};
      const looked = new Promise((resolve) => (seen = () => resolve(undefined)));
      await page.route('**/redeem', (route) => looked.then(() => route.continue()));
      await phone.approve('shared');
      await stands('wait_done');
      seen();
      await desk.greeted(phone.name);

      await desk.start();
      await stands('continue_who', { name: phone.name });
      await desk.start(1);
      await stands('form_who'); // signed in, and a name to choose
      await page.locator('.choice').click();
      await stands('wait_ring');
      await desk.press('wait_ring_instead');
      await stands('wait_type');
      await page.goto(`${demo.base}/`);
      await stands('home_title');
      await page.goto(`${demo.base}/fin-de-poste`);
      await stands('end_title');
      await page.goto(`${demo.issuer}/protocol/openid-connect/logout?client_id=${demo.services[0].id}`);
      await stands('logout_title');
      await page.getByText(desk.said('logout_asked', { service })).waitFor();
      await desk.press('logout_go');
      await stands('out_logged_out_title');
      await page.goto(`${demo.base}/fin-de-poste`);
      await stands('end_done_title');
      for (const [path, key] of [['/nothing', 'out_not_found_title'], ['/login/NOBODY', 'out_gone_title'], ['/logout/NOTHING', 'out_logout_gone_title'],
        ['/auth?client_id=nobody', 'out_wrong_service_title'], ['/activation/NOTHING', 'out_letter_gone_title'],
        [`/auth?response_type=code&scope=openid&client_id=${demo.services[0].id}&redirect_uri=https%3A%2F%2Fevil.example`, 'out_wrong_redirect_title']]) {
        await page.goto(demo.base + path);
        await stands(key);
      }
      assert.deepEqual(desk.complaints, []);
    });
  }

  test('by keyboard alone', async (t) => {
    const desk = await Desk.open(browser, demo);
    t.after(() => desk.close());
    const { page } = desk;
    await desk.start();
    await desk.heading('form_who');
    assert.equal(await page.evaluate(() => document.activeElement?.id), 'national_id', 'the one field has the focus');
    await page.keyboard.type('899700000017');
    await page.keyboard.press('Enter');
    await desk.heading('wait_type');
    const seen = [];
    for (let i = 0; i < 12; i++) {
      await page.keyboard.press('Tab');
      const on = await page.evaluate(() => {
        const e = document.activeElement;
        const { outlineStyle, outlineWidth } = e ? getComputedStyle(e) : { outlineStyle: 'none', outlineWidth: '0' };
        return { text: e?.textContent?.trim() ?? '', ring: outlineStyle !== 'none' && outlineWidth !== '0px' };
      });
      if (on.text === '' || on.text.includes('Aller au contenu')) continue;
      assert.ok(on.ring, `no visible focus on ${on.text}`);
      seen.push(on.text);
      if (desk.said('back_to', { service: 'Vaccin AmeliPRO' }).test(on.text)) break;
    }
    await page.keyboard.press('Enter');
    await page.waitForURL((at) => at.searchParams.get('error') === 'access_denied');
    assert.deepEqual(seen.slice(-3).map((text) => text.replace(/\s/g, ' ')), ['Activer mon téléphone (nouvel onglet)', 'Changer de numéro', 'Annuler et revenir à Vaccin AmeliPRO']);
  });

  test('the code copies as six digits and is read digit by digit', async (t) => {
    const desk = await Desk.open(browser, demo);
    t.after(() => desk.close());
    await desk.ask('899700000017');
    const code = await desk.page.locator('#code').textContent();
    assert.match(code ?? '', /^\d{6}$/);
    assert.equal(await desk.page.locator('[data-spelled]').textContent(), `${[...(code ?? '').slice(0, 3)].join(' ')}, puis ${[...(code ?? '').slice(3)].join(' ')}`);
  });

  test('a page whose stream is cut asks by itself; one without a network says so', async (t) => {
    const phone = await activate(3);
    const desk = await Desk.open(browser, demo);
    t.after(() => desk.close());
    const { page } = desk;
    await page.route('**/events', (route) => route.abort());
    const code = await desk.ask(phone.id);
    await phone.claim(code);
    await desk.page.getByRole('heading', { name: desk.said('wait_held') }).waitFor({ timeout: 12_000 });
    await page.context().setOffline(true);
    await page.getByText(desk.said('wait_offline')).waitFor({ timeout: 12_000 });
    await phone.approve();
    await page.context().setOffline(false);
    await desk.greeted(phone.name);
  });

  test('a page that stays open gets its next code, and says it', async (t) => {
    const phone = await activate(4);
    const desk = await Desk.open(browser, demo);
    t.after(() => desk.close());
    const first = await desk.ask(phone.id);
    const next = await until('another code', async () => {
      const now = await desk.code();
      return now !== first && now;
    }, 75_000);
    await until('the page says so', async () => said('fr', 'portal.wait_renewed').test(await desk.page.locator('[data-said]').textContent() ?? ''));
    await phone.claim(next);
    await phone.approve();
    await desk.greeted(phone.name);
    assert.deepEqual(desk.complaints, []);
  });

  test('only the browser and the page that asked are signed in', async (t) => {
    const phone = await activate(5);
    const desk = await Desk.open(browser, demo);
    const other = await Desk.open(browser, demo);
    t.after(() => Promise.all([desk.close(), other.close()]));
    const code = await desk.ask(phone.id);
    const address = desk.page.url();

    // The address alone is worth nothing.
    await other.page.goto(address);
    await other.heading('out_cookies_title');
    await other.start();
    await other.page.goto(address);
    await other.heading('out_elsewhere_title');

    // Nor are the cookies, without the key.
    const copied = await browser.newContext({ storageState: await desk.page.context().storageState(), locale: 'fr-FR' });
    t.after(() => copied.close());
    const thief = await copied.newPage();
    const complaints = complaintsOf(thief);
    await thief.goto(address);
    await phone.claim(code);
    await phone.approve();
    // Whichever of the two comes first, the thief is sent away.
    await thief.getByRole('heading', { name: desk.said('out_elsewhere_title') })
      .or(thief.getByRole('heading', { name: desk.said('out_finished_title') })).waitFor();
    assert.equal(new URL(thief.url()).origin, new URL(address).origin);
    await desk.greeted(phone.name);
    assert.deepEqual(complaints, []);
  });

  test('a second click does not ask twice', async (t) => {
    const desk = await Desk.open(browser, demo);
    t.after(() => desk.close());
    const { page } = desk;
    await desk.start();
    let asked = 0;
    page.on('request', (request) => {
      if (request.method() === 'POST' && /\/login\/\w+$/.test(request.url())) asked++;
    });
    await page.locator('#national_id').fill('899700000017');
    await page.getByRole('button', { name: desk.said('form_go') }).dblclick();
    await desk.heading('wait_type');
    assert.equal(asked, 1);
  });

  test('"that is not me" before the page moves on', async (t) => {
    const desk = await Desk.open(browser, demo);
    t.after(() => desk.close());
    const phone = await activate(4);
    await phone.approve('no', '--code', await desk.ask(phone.id));
    await desk.heading('wait_done');
    await desk.page.getByText(phone.name).waitFor();
    await desk.press('wait_not_me');
    await desk.page.waitForURL((at) => at.searchParams.get('error') === 'access_denied');
  });
});
