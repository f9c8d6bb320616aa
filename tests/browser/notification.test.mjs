// Notifications of the phone app, in a Chromium with a desktop: what they say,
// and what their buttons do when a person presses them. The messages are handed
// to the service worker by the browser's own tools, as if pushed; the way from
// our server through a push service is in firefox-push.test.mjs.
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { pause, startDemo, until } from './demo.mjs';
import { startDesktop } from './desktop.mjs';
import { launchChromium, launchChromiumProfile } from './launch.mjs';
import { Desk, PIN, Phone, signIn } from './people.mjs';

const service = 'Vaccin AmeliPRO';

/** @type {import('./demo.mjs').Demo} */
let demo;
/** @type {Awaited<ReturnType<typeof startDesktop>>} */
let desktop;
/** @type {Awaited<ReturnType<typeof launchChromiumProfile>>} */
let device;
/** @type {import('playwright-core').Browser} */
let browser;
/** @type {Desk} */
let desk;
/** @type {string} */
let name;
/** @type {(message: string) => Promise<unknown>} */
let push;

before(async () => {
  demo = await startDemo();
  desktop = await startDesktop();
  device = await launchChromiumProfile({
    headless: false, context: { env: { ...process.env, ...desktop.env }, locale: 'fr-FR', viewport: { width: 390, height: 844 } },
  });
  browser = await launchChromium();
  await device.context.grantPermissions(['notifications'], { origin: demo.phone });

  // A phone with a kept browser. Then its app is closed.
  const phone = await Phone.open(device.context, demo, demo.professionals[0]);
  name = phone.holder.name;
  await phone.activate();
  desk = await Desk.open(browser, demo);
  await signIn(desk, phone);
  await desk.signOut();

  const tools = await device.context.newCDPSession(device.context.pages()[0]);
  /** @type {string | undefined} */
  let registrationId;
  tools.on('ServiceWorker.workerRegistrationUpdated', ({ registrations }) => {
    registrationId = registrations.find(({ scopeURL, isDeleted }) => scopeURL === `${demo.phone}/` && !isDeleted)?.registrationId ?? registrationId;
  });
  await tools.send('ServiceWorker.enable');
  await until('the service worker', () => registrationId);
  push = (data) => tools.send('ServiceWorker.deliverPushMessage', { origin: demo.phone, registrationId: registrationId ?? '', data });
  await phone.page.close();
});

after(async () => {
  await browser?.close();
  await device?.close();
  await desktop?.close();
  await demo?.stop();
});

/** The app's pages that are open. */
const apps = () => device.context.pages().filter((page) => page.url().startsWith(demo.phone));

/** Rings, and pushes what the server would push. @returns {Promise<string>} the request's id */
async function ring() {
  await desk.ring(name);
  const state = await (await desk.page.request.get(`${desk.page.url()}/state`)).json();
  await push(JSON.stringify({ request: state.request, service, seconds: 60 }));
  return state.request;
}

/** @param {import('./desktop.mjs').Shown} notification what it says, without the address that the browser puts above */
const words = (notification) => notification.body.replace(/^localhost:\d+\s*/, '').replace(/\s/g, ' ');

const ringing = () => desktop.find(({ actions }) => actions.some(({ label }) => label === 'Refuser'));

test('a ring names the service, and nobody', async () => {
  await ring();
  const notification = await ringing();
  assert.equal(notification.summary, service);
  assert.equal(words(notification), `Authentification pour le service ${service}`);
  assert.deepEqual(notification.actions.slice(0, 2).map(({ label }) => label), ['Refuser', 'Accepter']);
  // What a lock screen shows tells nobody whose phone this is.
  assert.doesNotMatch(JSON.stringify(notification), /Martin|0017/);
});

test('refusing is one press on the notification, with the app closed', async () => {
  const notification = await ringing();
  assert.deepEqual(apps(), []);
  desktop.press(notification, 'Refuser');
  await desk.heading('out_refused_title');
  await until('the notification goes away', () => desktop.closed.includes(notification.id));
  assert.deepEqual(apps(), []);
  await desk.press('return_to', { service });
  await desk.page.waitForURL(`${demo.services[0].url}/callback?*`);
  assert.equal(new URL(desk.page.url()).searchParams.get('error'), 'access_denied');
});

test('accepting opens the app at the request: the PIN decides', async () => {
  desktop.shown.length = 0;
  await ring();
  const opened = device.context.waitForEvent('page');
  desktop.press(await ringing(), 'Accepter');
  const phone = new Phone(await opened, demo, demo.professionals[0], 'fr');
  await phone.heading('request_title');
  await desk.heading('wait_held');
  await phone.page.locator('.keypad').waitFor();
  await phone.pin(PIN);
  await phone.heading('done_title');
  await desk.greeted(name);
  assert.deepEqual(phone.complaints, []);
  await phone.page.close();
  await desk.signOut();
});

test('what was answered elsewhere is replaced under the same tag, without a sound', async () => {
  desktop.shown.length = 0;
  await push(JSON.stringify({ request: 'ELSEWHERE', service, seconds: 60 }));
  const before = await ringing();
  await pause(1000); // until Chromium knows the number that the desktop gave it
  await push(JSON.stringify({ request: 'ELSEWHERE', service, over: true }));
  const over = await desktop.find((shown) => words(shown) === 'Demande terminée');
  assert.equal(over.replaces, before.id);
  assert.ok(!over.actions.some(({ label }) => label === 'Refuser'));
  // It has nothing to refuse any more, and the app takes it away when it runs.
  const phone = await Phone.open(device.context, demo, demo.professionals[0]);
  await phone.home();
  await until('the stale notification goes away', () => desktop.closed.includes(over.id));
  await phone.page.close();
});

test('a push always shows something', async () => {
  for (const [message, expected] of [
    [JSON.stringify({ test: true }), 'Essai : ce téléphone peut sonner.'],
    ['no JSON', "Ouvrez l'application pour voir s'il y a une demande."],
  ]) {
    await push(message);
    await desktop.find((notification) => words(notification) === expected);
  }
});

test('a refusal that cannot be sent says so, and leaves when there is a network', async () => {
  desktop.shown.length = 0;
  await ring();
  const notification = await ringing();
  await device.context.setOffline(true);
  desktop.press(notification, 'Refuser');
  await desktop.find((shown) => words(shown) === "Votre refus n'est pas parti, faute de réseau : la demande expire seule et n'ouvre rien.");
  assert.equal(await desk.page.getByRole('heading', { name: desk.said('wait_ring') }).count(), 1);
  await device.context.setOffline(false);
  const phone = await Phone.open(device.context, demo, demo.professionals[0]);
  await desk.heading('out_refused_title');
  await phone.page.close();
});
