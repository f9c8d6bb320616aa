// Notifications: what this device allows, and the subscription that the server
// pushes to.

import { workerAddress } from '../trusted.js';
import { state } from './app.js';
import { base64url, fromBase64url } from './bytes.js';
import { call } from './protocol.js';
import { forget, keep, kept } from './store.js';

const GIVE_UP = 10_000; // ms that subscribing may take: some browsers never answer

/**
 * How notifications stand: on · off (could be asked for) · refused (by the
 * system or the person) · absent (this browser has none).
 * @typedef {'on' | 'off' | 'refused' | 'absent'} Standing
 */

/** @returns {Promise<ServiceWorkerRegistration>} */
export async function registerWorker() {
  await navigator.serviceWorker.register(workerAddress('/sw.js'), { updateViaCache: 'none' });
  return navigator.serviceWorker.ready;
}

/** @returns {Promise<Standing>} */
export async function standing() {
  if (!('Notification' in window) || !('PushManager' in window)) return 'absent';
  if (Notification.permission === 'denied') return 'refused';
  if (Notification.permission !== 'granted') return 'off';
  const registration = await navigator.serviceWorker.getRegistration();
  const subscription = await registration?.pushManager.getSubscription();
  return subscription && state.me?.subscription ? 'on' : 'off';
}

/**
 * Asks for notifications and tells the server where to push. Must come from a
 * tap: some browsers ask the person only then.
 * @returns {Promise<'on' | 'refused' | 'absent' | 'slow' | 'failed'>}
 */
export async function turnOn() {
  if (!('Notification' in window) || !('PushManager' in window)) return 'absent';
  if ((await Notification.requestPermission()) !== 'granted') return 'refused';
  let subscription;
  try {
    subscription = await within(GIVE_UP, subscribe());
  } catch (error) {
    return error instanceof TooSlow ? 'slow' : 'failed';
  }
  await tell(subscription);
  return 'on';
}

/** Ends the subscription here and there. */
export async function turnOff() {
  const registration = await navigator.serviceWorker.getRegistration();
  const subscription = await registration?.pushManager.getSubscription();
  await subscription?.unsubscribe();
  await forget('vapid');
  if (state.phone !== undefined) await call(state.phone, 'DELETE', '/phone/subscription');
}

/**
 * Mends the subscription when the app starts: browsers lose them, the server
 * forgets one that its push service knows no more, and our key may be another.
 * What cannot be mended the home screen says.
 */
export async function mend() {
  if (!('Notification' in window) || Notification.permission !== 'granted' || state.me === undefined) return;
  if ((await kept('vapid')) === undefined) return; // never turned on, or turned off
  const registration = await navigator.serviceWorker.getRegistration();
  const subscription = await registration?.pushManager?.getSubscription();
  if (subscription && state.me.subscription && sameKey(subscription, state.me.vapid)) return;
  try {
    await subscription?.unsubscribe();
    await tell(await within(GIVE_UP, subscribe()));
  } catch { /* said on the home screen */ }
}

async function subscribe() {
  const registration = await navigator.serviceWorker.ready;
  const vapid = state.me?.vapid ?? '';
  const old = await registration.pushManager.getSubscription();
  if (old !== null && !sameKey(old, vapid)) await old.unsubscribe();
  return registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: fromBase64url(vapid) });
}

/**
 * @param {PushSubscription} subscription
 * @param {string} vapid
 */
function sameKey(subscription, vapid) {
  const key = subscription.options.applicationServerKey;
  return key === null || base64url(new Uint8Array(key)) === vapid;
}

/** @param {PushSubscription} subscription */
async function tell(subscription) {
  await keep('vapid', state.me?.vapid);
  const { endpoint, keys } = subscription.toJSON();
  if (state.phone !== undefined) await call(state.phone, 'PUT', '/phone/subscription', { endpoint, p256dh: keys?.p256dh, auth: keys?.auth });
}

class TooSlow extends Error {}

/**
 * @template T
 * @param {number} ms
 * @param {Promise<T>} promise
 * @returns {Promise<T>}
 */
function within(ms, promise) {
  return Promise.race([promise, new Promise((_, reject) => setTimeout(() => reject(new TooSlow()), ms))]);
}
