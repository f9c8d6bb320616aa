// The service worker: shows what was pushed, refuses without opening the app,
// and keeps the app at hand without a network. The server puts it together with
// the modules it imports into one plain script (web/app_shell.go).

import { sendOrKeep, sendUnsent } from './answers.js';
import { fromBase64url } from './bytes.js';
import { writeDocument } from './documents.js';
import { call, Refused } from './protocol.js';
import { kept, keptPhone } from './store.js';

/**
 * What the server writes in front: the version and files of the app, and the
 * words of the notifications by language.
 * @type {{version: string, files: string[], words: Record<string, Record<string, string>>, icon: string, badge: string}}
 */
// @ts-ignore: FACTS stands in front of this text when it runs
const facts = FACTS;

const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (globalThis));

const CACHE = `vigie ${facts.version}`;

// --- The app without a network ------------------------------------------------

worker.addEventListener('install', (event) => event.waitUntil(fill()));

async function fill() {
  const cache = await caches.open(CACHE);
  // Past the browser's own cache: what is kept must be of one version.
  await cache.addAll(['/', ...facts.files].map((address) => new Request(address, { cache: 'no-cache' })));
  await worker.skipWaiting();
}

worker.addEventListener('activate', (event) => event.waitUntil(takeOver()));

async function takeOver() {
  for (const name of await caches.keys()) {
    if (name !== CACHE) await caches.delete(name);
  }
  await worker.clients.claim();
}

worker.addEventListener('fetch', (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== location.origin) return;
  if (request.mode === 'navigate' && url.pathname === '/') event.respondWith(page(request));
  else if (facts.files.includes(url.pathname)) event.respondWith(file(request, url.pathname));
});

const PAGE_PATIENCE = 3000; // ms that a page may take before the kept one is shown

/** @param {Request} request */
async function page(request) {
  try {
    const response = await fetch(request, { signal: AbortSignal.timeout(PAGE_PATIENCE) });
    if (response.ok) return response;
  } catch { /* no network: the kept page */ }
  return (await caches.match('/', { cacheName: CACHE })) ?? Response.error();
}

/**
 * @param {Request} request
 * @param {string} address
 */
async function file(request, address) {
  return (await caches.match(address, { cacheName: CACHE })) ?? fetch(request);
}

// --- Notifications ------------------------------------------------------------

/**
 * What is pushed: a request that rings, the end of one, or a test.
 * @typedef {{request?: string, service?: string, seconds?: number, over?: boolean, test?: boolean}} Pushed
 */

worker.addEventListener('push', (event) => event.waitUntil(pushed(event)));

/** @param {PushEvent} event */
async function pushed(event) {
  /** @type {Pushed} */
  let message = {};
  try {
    message = event.data?.json() ?? {};
  } catch { /* shown below as one that says nothing */ }
  const { request, service = '', seconds = 60, over = false, test = false } = message;
  if (test) return notify('', 'Vigie', 'test', {}, false);
  // A push that shows nothing costs the right to push: always a notification.
  if (typeof request !== 'string') return notify('', 'Vigie', 'unclear', {}, true);
  if (over) return notify(request, service, 'over', { service }, true);
  await notify(request, service, 'body', { service }, false, seconds);
}

/**
 * @param {string} tag the request's id, one notification per request; "" for none
 * @param {string} title
 * @param {string} words which of the words
 * @param {Record<string, string>} values
 * @param {boolean} silent
 * @param {number} [seconds] how long it can be answered, when it can
 */
async function notify(tag, title, words, values, silent, seconds) {
  const texts = await vocabulary();
  const options = {
    tag,
    body: say(texts[words], values),
    lang: await language(),
    icon: facts.icon,
    badge: facts.badge,
    silent,
    data: { request: tag, service: values.service ?? '', until: Date.now() + (seconds ?? 0) * 1000 },
    ...(seconds === undefined ? {} : {
      renotify: true,
      requireInteraction: true,
      actions: [{ action: 'refuse', title: texts.refuse }, { action: 'accept', title: texts.accept }],
    }),
  };
  await worker.registration.showNotification(title, options);
}

worker.addEventListener('notificationclick', (event) => {
  const { notification, action } = event;
  notification.close();
  const { request, service, until } = notification.data ?? {};
  event.waitUntil(action === 'refuse' ? refuse(request, service, until) : show(request));
});

/**
 * Refuses without opening the app.
 * @param {string} request
 * @param {string} service
 * @param {number} until
 */
async function refuse(request, service, until) {
  const phone = await keptPhone();
  if (phone === undefined) return show(request);
  const at = Date.now() + ((await kept('ahead')) ?? 0);
  const document = await writeDocument(phone, phone.iss, 'refuse', { request }, at);
  try {
    if ((await sendOrKeep(phone, { request, service, document, until })) === 'sent') return;
    await notify(request, service, 'unsent', {}, true);
    await retryWhenOnline();
  } catch (error) {
    if (!(error instanceof Refused)) throw error;
    await notify(request, service, error.code === 'expired' ? 'expired' : 'over', {}, true);
  }
}

/** Asks the browser to wake us when there is a network (where it can). */
async function retryWhenOnline() {
  try {
    await /** @type {any} */ (worker.registration).sync?.register('unsent');
  } catch { /* the app sends it when it next runs */ }
}

worker.addEventListener(/** @type {any} */ ('sync'), (/** @type {any} */ event) => {
  event.waitUntil(keptPhone().then((phone) => phone && sendUnsent(phone)));
});

/**
 * Brings the app to the front, at a request if there is one.
 * @param {string | undefined} request
 */
async function show(request) {
  const path = request ? `request/${encodeURIComponent(request)}` : '';
  const [open] = await worker.clients.matchAll({ type: 'window', includeUncontrolled: true });
  if (open === undefined) {
    await worker.clients.openWindow(`/#/${path}`);
    return;
  }
  open.postMessage({ go: path });
  await open.focus();
}

// Browsers may renew a subscription; the server must know the new one.
worker.addEventListener('pushsubscriptionchange', (/** @type {any} */ event) => event.waitUntil(renew(event)));

/** @param {any} event */
async function renew(event) {
  const phone = await keptPhone();
  const vapid = await kept('vapid');
  if (phone === undefined || typeof vapid !== 'string') return;
  const subscription = event.newSubscription ?? (await worker.registration.pushManager.subscribe(
    { userVisibleOnly: true, applicationServerKey: fromBase64url(vapid) }));
  const { endpoint, keys } = subscription.toJSON();
  await call(phone, 'PUT', '/phone/subscription', { endpoint, p256dh: keys?.p256dh, auth: keys?.auth });
}

async function language() {
  const chosen = await kept('language').catch(() => undefined);
  if (chosen === 'fr' || chosen === 'en') return chosen;
  // The rule of words.js.
  return navigator.languages.map((tag) => tag.toLowerCase().split('-')[0]).find((tag) => tag in facts.words) ?? 'fr';
}

async function vocabulary() {
  return facts.words[await language()];
}

/**
 * @param {string} text
 * @param {Record<string, string>} values
 */
function say(text, values) {
  return text.replace(/\{([a-z_]+)\}/g, (_, name) => values[name] ?? '');
}
