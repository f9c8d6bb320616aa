// The waiting page: it hears by server-sent events where its request stands,
// asks by itself when it hears nothing, shows the code that is good now, and
// signs with the request's key to take what the phone approved.

import { startCountdown } from '../countdown.js';
import { findRequestKey, sign } from './keys.js';
import { leave } from './leave.js';

/**
 * As of package web, progress.
 * @typedef {object} State
 * @property {string} status
 * @property {string} request
 * @property {string} service
 * @property {'ring' | 'silent'} lane
 * @property {boolean} held
 * @property {boolean} needs_code
 * @property {boolean} keyed
 * @property {string} code
 * @property {number} expires
 * @property {number} now
 * @property {number} whole
 * @property {string} name
 * @property {string} nonce
 */

const SILENCE = 5000; // ms without an event after which the page asks by itself
const ASK = 2000; // ms between two asks
const WHOSE = 2000; // ms in which a page of the silent lane shows whose sign-in it is

const found = document.querySelector('[data-wait]');
if (!(found instanceof HTMLElement)) throw new Error('no waiting page');
const page = found;
const path = location.pathname;

/** @type {State} */
let state = JSON.parse(page.dataset.wait ?? '{}');
let heard = performance.now();
let leaving = false;
let declined = false; // a form of this page was sent
/** @type {() => void} */
let stopRing = () => {};

/** @param {State} s */
function stepOf(s) {
  if (s.status === 'approved' || s.status === 'redeemed') return 'done';
  if (s.held && !s.needs_code) return 'held';
  return s.lane === 'ring' ? 'ring' : 'code';
}

/** @param {State} next */
function show(next) {
  const before = state;
  state = next;
  if (leaving) return;
  if (next.request !== before.request || !['pending', 'approved', 'redeemed'].includes(next.status)) {
    location.replace(path); // the server has a page for it
    return;
  }
  const step = stepOf(next);
  if (step !== stepOf(before)) turnTo(step);
  if (next.code !== before.code) showCode(next.code);
  if (next.expires !== before.expires || next.status !== before.status) restartRing(next);
  if (step === 'done') void finish(next);
}

/** @param {string} step */
function turnTo(step) {
  for (const part of page.querySelectorAll('[data-step]')) {
    if (part instanceof HTMLElement) part.hidden = !(part.dataset.step ?? '').split(' ').includes(step);
  }
  const title = [...page.querySelectorAll('h1')].find((h) => h.offsetParent !== null);
  say(title?.textContent ?? '');
}

/** @param {string} text for screen readers */
function say(text) {
  const said = page.querySelector('[data-said]');
  if (said) said.textContent = text;
}

/** @param {string} code */
function showCode(code) {
  const box = page.querySelector('[data-code]');
  if (!(box instanceof HTMLElement)) {
    if (code !== '') location.replace(path); // a part that this page was made without
    return;
  }
  box.hidden = code === '';
  if (code === '') return;
  const half = code.length / 2;
  const groups = [code.slice(0, half), code.slice(half)];
  box.querySelectorAll('.code span').forEach((span, i) => (span.textContent = groups[i] ?? ''));
  const [first, second] = groups.map((group) => [...group].join(' '));
  const digits = (page.dataset.digits ?? '').replace('{first}', first).replace('{second}', second);
  const spelled = box.querySelector('[data-spelled]');
  if (spelled) spelled.textContent = digits;
  say((page.dataset.renewed ?? '').replace('{digits}', digits));
}

/** @param {State} s */
function restartRing(s) {
  const old = page.querySelector('[data-countdown]');
  if (!(old instanceof HTMLElement)) return;
  stopRing();
  // Countdowns start by themselves: a copy is not yet counting.
  const ring = /** @type {HTMLElement} */ (old.cloneNode(true));
  old.replaceWith(ring);
  ring.dataset.left = String(Math.max(0, (s.expires - s.now) / 1000));
  ring.dataset.whole = String(s.whole / 1000);
  stopRing = startCountdown(ring, () => void ask());
}

/**
 * Takes what was approved. In the silent lane the page first shows for two
 * seconds whose sign-in it is: the phone that typed the code may be a
 * stranger's.
 * @param {State} s
 */
async function finish(s) {
  if (leaving) return;
  leaving = true;
  if (!s.keyed) {
    location.replace(path); // a plain visit redeems
    return;
  }
  if (s.lane === 'silent' && s.status === 'approved') {
    const whose = page.querySelector('[data-whose]');
    if (whose && s.name !== '') whose.replaceChildren(...named(page.dataset.name ?? '', s.name, page.dataset.serviceName ?? ''));
    await new Promise((resolve) => setTimeout(resolve, WHOSE));
    if (declined) return;
  }
  const key = await findRequestKey(page.dataset.authorization ?? '').catch(() => undefined);
  const proof = key === undefined ? '' : await sign(key, {
    use: 'redeem', request: s.request, service: s.service, professional: '', key: '', nonce: s.nonce,
  });
  for (let wait = 500; ; wait = Math.min(wait * 2, 4000)) {
    const gone = await leave(`${path}/redeem`, { proof }).catch(() => undefined);
    if (gone) return;
    if (gone === false) break;
    await new Promise((resolve) => setTimeout(resolve, wait)); // the network failed: it may come back
  }
  // The server says why, as a page.
  const form = Object.assign(document.createElement('form'), { method: 'post', action: `${path}/redeem` });
  form.append(Object.assign(document.createElement('input'), { type: 'hidden', name: 'proof', value: proof }));
  page.append(form);
  form.submit();
}

/**
 * The text with **{name}** as an element and {service} filled.
 * @param {string} text
 * @param {string} name
 * @param {string} service
 * @returns {(string | HTMLElement)[]}
 */
function named(text, name, service) {
  return text.split('**').map((part, i) => {
    const said = part.replace('{name}', name).replace('{service}', service);
    if (i % 2 === 0) return said;
    return Object.assign(document.createElement('strong'), { textContent: said });
  });
}

// --- Hearing and asking --------------------------------------------------

/** @type {EventSource | undefined} */
let stream;

function listen() {
  stream = new EventSource(`${path}/events`);
  stream.addEventListener('message', (event) => hear(JSON.parse(event.data)));
  stream.addEventListener('beat', () => hear());
}

/** @param {State} [next] */
function hear(next) {
  heard = performance.now();
  offline(false);
  if (next === undefined) return;
  show(next);
  if (!['pending', 'approved'].includes(next.status)) stream?.close();
}

async function ask() {
  try {
    const response = await fetch(`${path}/state`, { headers: { Accept: 'application/json' } });
    if (response.ok) {
      offline(false);
      show(await response.json());
    } else if (response.status < 500) {
      location.replace(path);
    } else {
      offline(true);
    }
  } catch {
    offline(true);
  }
}

/** @param {boolean} is */
function offline(is) {
  const notice = page.querySelector('[data-offline]');
  if (notice instanceof HTMLElement) notice.hidden = !is;
}

let asking = false;
setInterval(async () => {
  if (asking || leaving || performance.now() - heard < SILENCE) return;
  if (stream?.readyState === EventSource.CLOSED) listen(); // refused once: it may be another node by now
  asking = true;
  await ask();
  asking = false;
}, ASK);

document.addEventListener('visibilitychange', () => {
  if (!document.hidden && !leaving) void ask();
});
window.addEventListener('pageshow', (event) => {
  if (event.persisted) location.replace(path);
});
page.addEventListener('submit', () => {
  declined = true;
  stream?.close();
});

restartRing(state);
if (stepOf(state) === 'done') void finish(state);
else listen();
