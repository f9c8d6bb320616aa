// Requests to sign in, and what this phone answers.

import { sendAnswer, sendOrKeep } from './answers.js';
import { now } from './app.js';
import { base64url, sha256, utf8 } from './bytes.js';
import { writeDocument } from './documents.js';
import { openPin, phone } from './phone.js';
import { call } from './protocol.js';

/**
 * A request as the server tells it. What the screen says comes from shown alone,
 * because its hash is what the phone signs.
 * @typedef {object} Request
 * @property {string} id
 * @property {string} shown JSON text
 * @property {string} service
 * @property {string} browser
 * @property {string} kept thumbprint of the browser's lasting key, or ""
 * @property {boolean} keepable
 * @property {'ring' | 'silent'} lane
 * @property {string} by
 * @property {boolean} needs_code
 * @property {number} expires Unix milliseconds
 * @property {string} state
 * @property {number} more_left
 */

/**
 * @typedef {object} Shown
 * @property {string} service name
 * @property {string} agent "Firefox", or ""
 * @property {string} system "Windows", or ""
 * @property {string} place "" when it is unknown
 * @property {number} asked Unix milliseconds
 * @property {boolean} script false: the browser could not prove itself by a key
 */

/**
 * @typedef {object} Approval
 * @property {string} request
 * @property {string} service name
 * @property {string} agent
 * @property {string} system
 * @property {string} place
 * @property {number} at Unix milliseconds
 * @property {boolean} [undone] it was cut
 */

/**
 * What the server knows of this phone.
 * @typedef {object} Me
 * @property {string} phone
 * @property {{name: string, last4: string}} professional
 * @property {'active' | 'paused' | 'asleep' | 'disabled' | 'removed' | 'ended'} state
 * @property {boolean} [wakes] asleep: its PIN can wake it
 * @property {number} [paused_until]
 * @property {number} misses
 * @property {boolean} silent
 * @property {boolean} subscription
 * @property {string} vapid
 * @property {string} epoch
 * @property {Request[]} requests
 * @property {Approval[]} approvals
 * @property {number} now
 */

/**
 * @param {Request} request
 * @returns {Shown}
 */
export function shown(request) {
  return JSON.parse(request.shown);
}

/**
 * @param {string} code
 * @returns {Promise<Request>}
 */
export function claim(code) {
  return call(phone(), 'POST', '/phone/claims', { code });
}

/**
 * @param {string} id
 * @returns {Promise<Request>}
 */
export function open(id) {
  return call(phone(), 'POST', `/phone/requests/${encodeURIComponent(id)}/open`);
}

/**
 * @param {string} id
 * @returns {Promise<{expires: number, more_left: number}>}
 */
export function more(id) {
  return call(phone(), 'POST', `/phone/requests/${encodeURIComponent(id)}/more`);
}

/**
 * Approves with the PIN. What may go wrong is a Refused: wrong_pin, paused,
 * disabled, answered, expired.
 * @param {Request} request
 * @param {string} pin
 * @param {'mine' | 'shared' | 'no'} keep
 * @returns {Promise<{state: string, misses: number}>} misses: since the last success
 */
export async function approve(request, pin, keep) {
  const { evaluation, key, next } = await openPin(`/phone/requests/${encodeURIComponent(request.id)}/evaluate`, pin);
  const members = {
    request: request.id, service: request.service, shown: base64url(await sha256(utf8(request.shown))),
    browser: request.browser, keep, kept: keep === 'no' ? '' : request.kept,
    lane: request.lane, by: request.by, binding: '', relay: '', eval: evaluation,
    // The server's master secret has changed: the same document moves the PIN.
    ...(next === undefined ? {} : { pin: next.key.publicKey, master: next.master }),
  };
  /** @type {import('./documents.js').PinSigner[]} */
  const pins = [{ kid: 'pin', sign: key.sign }];
  if (next !== undefined) pins.push({ kid: 'new-pin', sign: next.key.sign });
  const document = await writeDocument(phone(), phone().iss, 'approve', members, now(), pins);
  return sendAnswer(phone(), request.id, document, 20_000);
}

/**
 * Refuses, reports or leaves a request. Needs no PIN. Where nobody can be
 * reached the answer is kept, and sent when the app next runs.
 * @param {Request} request
 * @param {'refuse' | 'report' | 'leave'} decision
 * @returns {Promise<'sent' | 'kept'>}
 */
export async function turnDown(request, decision) {
  const document = await writeDocument(phone(), phone().iss, decision, { request: request.id }, now());
  return sendOrKeep(phone(), {
    request: request.id, service: shown(request).service, document, until: Date.now() + Math.max(0, request.expires - now()),
  });
}
