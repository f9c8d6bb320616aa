// Making a phone of this device: two codes give a ticket, the ticket and a PIN
// give an activated phone.

import { fact, now, state } from './app.js';
import { random } from './bytes.js';
import { writeDocument } from './documents.js';
import { newKey } from './keys.js';
import { blindPin } from './pin.js';
import { askPersistence, device } from './platform.js';
import { call } from './protocol.js';
import { forget, keep } from './store.js';

/** @returns {Promise<import('./store.js').Draft>} the activation that has begun here */
async function begun() {
  state.draft ??= { ...(await newKey()), nationalId: '', asked: 0 };
  return state.draft;
}

/**
 * Has two codes sent, if the three facts are those of the directory. The answer
 * is the same in every case.
 * @param {string} nationalId
 * @param {string} mobile
 * @param {string} email
 */
export async function sendCodes(nationalId, mobile, email) {
  const draft = await begun();
  await call(draft, 'POST', '/phone/codes', { national_id: nationalId, mobile, email });
  Object.assign(draft, { nationalId, asked: Date.now() });
  await keep('draft', draft);
}

/**
 * @param {string} sms
 * @param {string} email
 * @returns {Promise<{ticket: string, name: string}>} the right to activate this device for somebody
 */
export async function redeemCodes(sms, email) {
  const draft = await begun();
  return call(draft, 'POST', '/phone/tickets', { national_id: draft.nationalId, sms, email });
}

/**
 * Activates this device with a PIN.
 * @param {string} ticket
 * @param {string} name of the professional
 * @param {string} pin
 */
export async function enrol(ticket, name, pin) {
  const draft = await begun();
  const secret = random(32);
  const drawn = await call(draft, 'POST', '/phone/epochs', { ticket });
  const { epoch } = drawn;
  // Documents are dated by the server's clock.
  state.ahead = drawn.now - Date.now();
  const blinding = blindPin(pin, secret, epoch);
  const evaluated = await call(draft, 'POST', '/phone/epochs/evaluate', { epoch, element: blinding.element });
  const key = await blinding.key(evaluated.element);
  const called = device();
  const document = await writeDocument(draft, fact('issuer'), 'enrol', {
    ticket, key: draft.jwk, pin: key.publicKey, epoch, eval: evaluated.evaluation,
    name: called.name, model: called.model, system: called.system, app: version(),
  }, now(), [{ kid: 'pin', sign: key.sign }]);
  /** @type {import('./store.js').Phone} */
  const phone = { id: draft.id, key: draft.key, jwk: draft.jwk, secret, epoch, iss: fact('issuer'), name, ends: 0 };
  // Kept before it is sent: an answer that is lost must not lose the secret.
  draft.phone = phone;
  await keep('draft', draft);
  const answer = await call(draft, 'POST', '/phone/activations', { document });
  await adopt(phone, answer.ends);
  // Not waited for: Firefox asks the person, who may not answer.
  void askPersistence();
}

/**
 * Finds out whether an activation came through whose answer was lost.
 * @returns {Promise<void>}
 */
export async function finishLostActivation() {
  const phone = state.draft?.phone;
  if (phone === undefined) return;
  try {
    const me = await call(phone, 'GET', '/phone/me', undefined, { patience: 0 });
    await adopt(phone, me.ends ?? 0);
  } catch { /* not activated, or not to be reached: the draft stays */ }
}

/**
 * @param {import('./store.js').Phone} phone
 * @param {number} ends
 */
async function adopt(phone, ends) {
  phone.ends = ends;
  await keep('phone', phone);
  await forget('draft');
  Object.assign(state, { phone, draft: undefined });
}

/** @returns {string} of this app, as the server names its files; '' when it is not known */
export function version() {
  return /\/static\/(v-[0-9a-f]+)\//.exec(import.meta.url)?.[1] ?? '';
}
