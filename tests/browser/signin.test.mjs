// Signing in, the whole way: a browser at a service and at the portal, and the
// phone app in another, both real. Each test has a professional of its own.
import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { pause, startDemo, until } from './demo.mjs';
import { launchChromium } from './launch.mjs';
import { Desk, PIN, Phone, signIn } from './people.mjs';

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

/**
 * A professional with an activated phone, at a desk.
 * @param {import('node:test').TestContext} t
 * @param {number} who index in the demo's list
 * @param {object} [context] of the desk's browser
 */
async function arrive(t, who, context = {}) {
  const phone = await Phone.open(browser, demo, demo.professionals[who]);
  const desk = await Desk.open(browser, demo, { context });
  t.after(async () => {
    await phone.close();
    await desk.close();
    assert.deepEqual([...phone.complaints, ...desk.complaints], []);
  });
  await phone.activate();
  return { phone, desk, name: phone.holder.name };
}

/** What the service last said went wrong. @param {Desk} desk @param {number} [service] */
async function told(desk, service = 0) {
  await desk.page.waitForURL((at) => at.origin === demo.services[service].url && at.pathname === '/callback');
  return new URL(desk.page.url()).searchParams.get('error');
}

describe('signing in', { concurrency: 3 }, () => {
  // First, because it takes longest.
  test('a ring that nobody answers expires; a silenced phone is still good for signing in', async (t) => {
    const { phone, desk, name } = await arrive(t, 4);
    await signIn(desk, phone);
    await desk.signOut();

    await desk.ring(name);
    await phone.answerRing(); // opened: two minutes
    await phone.press('not_you');
    await phone.page.locator('.choice', { hasText: 'Signaler et ne plus sonner' }).click();
    await phone.heading('blocked_title');
    await desk.heading('out_reported_title');
    await phone.press('back_home');
    await phone.page.getByText(phone.said('silent_what')).waitFor();

    // Signing in goes on by code; this browser may be kept again.
    await signIn(desk, phone);
    await desk.signOut();
    await desk.start();
    await desk.page.locator('.choice', { hasText: name }).click();
    await desk.heading('wait_no_phone_title'); // it does not ring, and says what to do
    await desk.code();

    // The switch is in the settings, and comes back.
    await phone.page.getByRole('link', { name: phone.said('settings') }).click();
    const silence = phone.page.getByRole('switch');
    assert.ok(await silence.isChecked());
    await silence.click();
    await phone.page.getByRole('link', { name: phone.said('home') }).click();
    await until('the phone rings again', async () => await phone.page.getByText(phone.said('silent_what')).count() === 0);
    await desk.ring(name);
    await phone.page.getByRole('link', { name: phone.said('answer') }).waitFor();

    // Sixty seconds, then it is over on both screens.
    await desk.page.getByRole('heading', { name: desk.said('out_expired_title') }).waitFor({ timeout: 70_000 });
    await until('the card of the ring goes away', async () => await phone.page.getByRole('link', { name: phone.said('answer') }).count() === 0);
    await desk.page.getByRole('link', { name: desk.said('again') }).click();
    await desk.heading('form_who');
  });

  test('with a code, then with a ring; one session for both services', async (t) => {
    const phone = await Phone.open(browser, demo, demo.professionals[0]);
    const desk = await Desk.open(browser, demo, { context: { userAgent: 'Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:140.0) Gecko/20100101 Firefox/140.0' } });
    t.after(() => Promise.all([phone.close(), desk.close()]));

    // The phone is activated by the two codes of the mailbox.
    await phone.askCodes();
    await phone.typeCodes();
    await phone.pin('2580'); // down the middle of the pad: among the commonest
    await phone.page.getByText(phone.said('pin_refused_common')).waitFor();
    await phone.choosePin();
    await phone.press('later');
    await phone.home();

    // Nothing rings for a typed number: the screen shows a code.
    const code = await desk.ask('899700000017');
    assert.match(await desk.page.locator('main').innerText(), /8997\s0000\s0017/);
    await pause(3000);
    assert.equal(await phone.page.getByRole('link', { name: phone.said('answer') }).count(), 0);

    await phone.claim(code);
    const request = (await phone.page.locator('#main').innerText()).replace(/\s+/g, ' ');
    for (const fact of ["Demande d'authentification", 'Le service Vaccin AmeliPRO demande à vous reconnaître.',
      'Depuis Firefox sous Windows, Cabinet de démonstration', /Demandée (à l'instant|il y a \d+ secondes?)\./, 'Saisissez votre code PIN.',
      'Refuser', "Vous n'êtes pas à l'origine de la demande ?", "Quitter l'authentification"]) {
      assert.ok(typeof fact === 'string' ? request.includes(fact) : fact.test(request), `${fact} in: ${request}`);
    }
    await desk.heading('wait_held');

    await phone.pin(PIN);
    await phone.keep('mine');
    await phone.done();
    await desk.greeted('Dr Anne Martin');
    const last = phone.page.locator('.card', { has: phone.page.getByRole('heading', { name: 'Vaccin AmeliPRO' }) });
    await last.getByText(/Depuis Firefox sous Windows, Cabinet de démonstration/).waitFor();

    // Ten minutes after a sign-in by code a second service is not joined silently.
    await desk.start(1);
    await desk.heading('form_who');

    await desk.signOut();
    await desk.start();
    await desk.page.locator('.choice', { hasText: 'Dr Anne Martin' }).click();
    await desk.heading('wait_ring');
    await phone.answerRing();
    await phone.pin(PIN);
    const approved = Date.now();
    await phone.heading('done_title');
    await desk.greeted('Dr Anne Martin');
    assert.ok(Date.now() - approved < 5000, 'the browser moves on by itself, at once');

    // This browser is hers: the second service asks nobody.
    await desk.start(1);
    await desk.greeted('Dr Anne Martin', 1);
    // Signing out at one service ends the session for both.
    await desk.signOut(1);
    await desk.start(0);
    await desk.heading('form_who');

    // Cut on the phone: the browser is signed in nowhere any more.
    await desk.page.locator('.choice', { hasText: 'Dr Anne Martin' }).click();
    await phone.press('back_home');
    await phone.answerRing();
    await phone.pin(PIN);
    await phone.heading('done_title');
    await desk.greeted('Dr Anne Martin');
    await phone.press('undo_now');
    await phone.heading('undone_title');
    await desk.start(1);
    await desk.heading('form_who');
    assert.deepEqual([...phone.complaints, ...desk.complaints], []);
  });

  test('at a shared post', async (t) => {
    const { phone, desk, name } = await arrive(t, 1);
    await signIn(desk, phone, { keep: 'shared' });

    // Back into the same service: by a click of whoever sits there.
    await desk.start();
    await desk.heading('continue_who', { name });
    await desk.press('continue_go');
    await desk.greeted(name);

    // A further service costs an approval: initials until chosen, the code before the PIN.
    await desk.start(1);
    await desk.heading('form_who');
    assert.doesNotMatch(await desk.page.locator('.choices').innerText(), /Benali/);
    await desk.page.locator('.choice').click();
    await desk.heading('wait_ring');
    await phone.answerRing();
    assert.equal(await phone.page.locator('.keypad').count(), 0);
    await phone.page.locator('#code').fill(await desk.code());
    await phone.press('continue');
    await phone.page.locator('.keypad').waitFor();
    await phone.pin(PIN);
    await phone.done();
    await desk.greeted(name, 1);

    // "Fin de poste" closes everything.
    await desk.page.goto(`${demo.base}/fin-de-poste`);
    await desk.page.getByText('Vaccin AmeliPRO').waitFor();
    await desk.page.getByText('SI-DEP').waitFor();
    await desk.press('end_go');
    await desk.heading('end_done_title');
    await desk.start();
    await desk.heading('form_who');
  });

  test('somebody else at a shared post says so', async (t) => {
    const { phone, desk, name } = await arrive(t, 2);
    await signIn(desk, phone, { keep: 'no' });
    await desk.start();
    await desk.heading('continue_who', { name });
    await desk.press('continue_other');
    await desk.heading('form_who');
    await desk.start();
    await desk.heading('form_who');
    assert.equal(await desk.page.locator('.choice').count(), 0); // not kept: not remembered

    // A wrong PIN opens nothing and says what the next will cost.
    await desk.page.locator('#national_id').fill(phone.holder.national_id);
    await desk.press('form_go');
    await phone.claim(await desk.code());
    await phone.pin(WRONG_PIN);
    await phone.keep('no');
    await phone.page.getByText(phone.said('pin_wrong')).waitFor();
    await phone.page.getByText(phone.said('pin_left_pause', { n: 2 })).waitFor();
    await desk.heading('wait_held');
    await phone.pin(PIN);
    await phone.keep('no');
    await phone.heading('done_title');
    await phone.page.getByText(phone.said('done_misses')).waitFor();
    await desk.greeted(name);

    // Three in a row: the PIN rests for five minutes.
    await desk.signOut();
    await phone.press('back_home');
    await phone.claim(await desk.ask(phone.holder.national_id));
    for (const left of [2, 1]) {
      await phone.pin(WRONG_PIN);
      await phone.keep('no');
      await phone.page.getByText(phone.said('pin_left_pause', { n: left })).waitFor();
    }
    await phone.pin(WRONG_PIN);
    await phone.keep('no');
    await phone.heading('paused_title');
    await desk.heading('wait_held');
  });

  test('refused, reported, and then that browser rings no more', async (t) => {
    const { phone, desk, name } = await arrive(t, 3);
    await signIn(desk, phone);
    await desk.signOut();

    await desk.ring(name);
    await phone.answerRing();
    await phone.press('refuse');
    await phone.heading('refused_title');
    await desk.heading('out_refused_title');
    await desk.press('return_to', { service: 'Vaccin AmeliPRO' });
    assert.equal(await told(desk), 'access_denied');

    await phone.press('back_home');
    await desk.ring(name);
    await phone.answerRing();
    await phone.press('not_you');
    await phone.page.locator('.choice', { hasText: 'Signaler : ce n\'est pas moi' }).click();
    await phone.heading('reported_title');
    await desk.heading('out_reported_title');

    // The browser has lost the right to ring; its professional has lost nothing.
    await desk.start();
    await desk.heading('form_who');
    assert.equal(await desk.page.locator('.choice').count(), 0);
    await desk.page.locator('#national_id').fill(phone.holder.national_id);
    await desk.press('form_go');
    const code = await desk.code();
    await phone.press('back_home');
    await phone.claim(code);
    await phone.press('leave');
    await phone.heading('left_title');
    await desk.heading('out_left_title');
  });

  test('in a browser without script', async (t) => {
    const { phone, desk, name } = await arrive(t, 5, { javaScriptEnabled: false });
    const code = await desk.ask(phone.holder.national_id);
    await phone.claim(code);
    await phone.page.getByText(phone.said('request_no_script')).waitFor();
    await phone.pin(PIN); // and no question whether to keep it
    await phone.done();
    await desk.greeted(name); // the page refreshes itself
  });
});
