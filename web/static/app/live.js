// Keeps what the app knows fresh: an event from the server says that something
// changed, and the app asks what. Where no event comes through it asks every two
// seconds instead.

import { sendUnsent } from './answers.js';
import { isWell, redraw, state, update } from './app.js';
import { useEpoch } from './phone.js';
import { openEvents, call, Refused, Unreachable } from './protocol.js';
import { keep } from './store.js';

const SILENCE = 5000; // ms without an event until the app asks by itself
const EVERY = 2000; // ms between two questions then

let heard = 0; // when the stream last said anything, by performance.now()
/** @type {AbortController | undefined} */
let stream;
let started = false;

/** Begins, once a phone is activated. Rests while the app is not seen. */
export function goLive() {
  if (started) return;
  started = true;
  document.addEventListener('visibilitychange', () => (document.hidden ? rest() : wake()));
  window.addEventListener('online', wake);
  window.addEventListener('offline', () => setOffline(true));
  setInterval(() => {
    if (!document.hidden && state.phone !== undefined && performance.now() - heard > SILENCE) void refresh();
  }, EVERY);
  wake();
}

function rest() {
  stream?.abort();
  stream = undefined;
}

function wake() {
  rest();
  void refresh();
  stream = new AbortController();
  void listen(stream.signal);
}

/** @param {AbortSignal} signal */
async function listen(signal) {
  for (let pause = 1000; !signal.aborted; pause = Math.min(pause * 2, 15_000)) {
    try {
      if (state.phone === undefined) return;
      const reader = (await openEvents(state.phone, signal)).pipeThrough(new TextDecoderStream()).getReader();
      for (let text = ''; ;) {
        const { done, value } = await reader.read();
        if (done) break;
        heard = performance.now();
        pause = 1000;
        text += value;
        const events = text.split('\n\n');
        text = events.pop() ?? '';
        if (events.some((event) => event.startsWith('data:') || event.includes('\ndata:'))) void refresh();
      }
    } catch (error) {
      if (error instanceof Refused) return; // refresh finds out why and says so
    }
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/** @type {Promise<void> | undefined} */
let asking;
let askAgain = false;

/**
 * Asks the server how this phone stands. Questions in the meantime become one.
 * @returns {Promise<void>}
 */
export function refresh() {
  if (asking !== undefined) {
    askAgain = true;
    return asking;
  }
  asking = ask().finally(() => {
    asking = undefined;
    if (askAgain) {
      askAgain = false;
      void refresh();
    }
  });
  return asking;
}

async function ask() {
  if (state.phone === undefined) return;
  const before = isWell();
  try {
    const sent = Date.now();
    const asked = performance.now();
    const me = await call(state.phone, 'GET', '/phone/me', undefined, { patience: 0 });
    setAhead(me.now - (sent + Date.now()) / 2);
    state.me = me;
    state.asked = asked;
    state.unknown = false;
    await useEpoch(me.epoch);
    setOffline(false);
  } catch (error) {
    if (error instanceof Unreachable) setOffline(true);
    else if (error instanceof Refused && error.code === 'unknown_phone') state.unknown = true;
    else if (!(error instanceof Refused)) throw error;
  }
  if (isWell() !== before) redraw();
  else update();
  if (state.me !== undefined && !state.offline) {
    await closeStale();
    await sendUnsent(state.phone);
  }
}

/** @param {number} ms */
function setAhead(ms) {
  // The worker signs refusals by the server's time too.
  if (Math.abs(ms - state.ahead) > 1000) void keep('ahead', Math.round(ms));
  state.ahead = Math.round(ms);
}

/** @param {boolean} offline */
function setOffline(offline) {
  if (state.offline === offline) return;
  state.offline = offline;
  update();
}

/** Takes away notifications of requests that are over. */
async function closeStale() {
  const registration = await navigator.serviceWorker?.getRegistration();
  const live = new Set(state.me?.requests.map((request) => request.id));
  for (const notification of (await registration?.getNotifications?.()) ?? []) {
    if (notification.tag !== '' && !live.has(notification.tag)) notification.close();
  }
}
