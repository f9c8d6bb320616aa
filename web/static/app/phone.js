// What a phone does for itself: opens its PIN, is silent, sleeps, wakes, changes
// its PIN.

import { now, state } from './app.js';
import { writeDocument } from './documents.js';
import { blindPin } from './pin.js';
import { call } from './protocol.js';
import { keep } from './store.js';

/** @returns {import('./store.js').Phone} */
export function phone() {
  if (state.phone === undefined) throw new Error('no phone is activated');
  return state.phone;
}

/**
 * A PIN that was opened with one counted evaluation.
 * @typedef {object} Opened
 * @property {string} evaluation its id, for the document
 * @property {import('./pin.js').PinKey} key
 * @property {{master: number, key: import('./pin.js').PinKey}} [next] the same PIN
 *   under the server's newer master secret, to move to
 */

/**
 * Opens the PIN with an evaluation of the server. A wrong PIN opens another key.
 * @param {string} path of the evaluation
 * @param {string} pin
 * @returns {Promise<Opened>}
 */
export async function openPin(path, pin) {
  const blinding = blindPin(pin, phone().secret, phone().epoch);
  const { evaluation, element, next } = await call(phone(), 'POST', path, { element: blinding.element });
  return {
    evaluation,
    key: await blinding.key(element),
    next: next && { master: next.master, key: await blinding.key(next.element) },
  };
}

/**
 * Rings no more, or again. Signing in never depends on it.
 * @param {boolean} silent
 */
export async function silence(silent) {
  const document = await writeDocument(phone(), phone().iss, 'silence', { silent }, now());
  await call(phone(), 'PUT', '/phone/silence', { document });
}

/** Sleeps until the PIN wakes it; after seven days it is signed off. */
export async function sleep() {
  const document = await writeDocument(phone(), phone().iss, 'sleep', {}, now());
  await call(phone(), 'POST', '/phone/sleep', { document });
}

/** @param {string} pin */
export async function wake(pin) {
  const { evaluation, key } = await openPin('/phone/wake/evaluate', pin);
  const document = await writeDocument(phone(), phone().iss, 'wake', { eval: evaluation }, now(), [{ kid: 'pin', sign: key.sign }]);
  await call(phone(), 'POST', '/phone/wake', { document });
}

/**
 * Changes the PIN: signed by this phone, the old PIN and the new one.
 * @param {string} old
 * @param {string} chosen
 */
export async function changePin(old, chosen) {
  // The new one first: it costs nothing if nobody answers after it.
  const { epoch } = await call(phone(), 'POST', '/phone/epochs', { change: true });
  const blinding = blindPin(chosen, phone().secret, epoch);
  const { element } = await call(phone(), 'POST', '/phone/epochs/evaluate', { epoch, element: blinding.element });
  const key = await blinding.key(element);
  const present = await openPin('/phone/pin/evaluate', old);
  const document = await writeDocument(phone(), phone().iss, 'change-pin', { eval: present.evaluation, epoch, pin: key.publicKey }, now(),
    [{ kid: 'pin', sign: present.key.sign }, { kid: 'new-pin', sign: key.sign }]);
  await call(phone(), 'POST', '/phone/pin', { document });
  await useEpoch(epoch);
}

/**
 * Takes the epoch that is in force. After a change whose answer was lost the
 * server says which (/phone/me).
 * @param {string} epoch
 */
export async function useEpoch(epoch) {
  if (epoch === phone().epoch) return;
  state.phone = { ...phone(), epoch };
  await keep('phone', state.phone);
}

/**
 * Ends what an approval opened, at once. Needs no PIN.
 * @param {string} request
 */
export async function undo(request) {
  const document = await writeDocument(phone(), phone().iss, 'undo', { request }, now());
  await call(phone(), 'POST', '/phone/undo', { document });
}

/** Has the server push one notification that is no request. */
export function test() {
  return call(phone(), 'POST', '/phone/test');
}
