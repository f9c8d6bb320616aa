// Calls to the phone API. Each carries a proof made by the phone's key (RFC 9449
// with a claim for the body); there is no session or token that could be stolen.
// A call whose answer was lost is sent again under the same jti, and the server
// answers it as it did the first time.

import { base64url, random, sha256, utf8 } from './bytes.js';
import { part, signES256 } from './keys.js';

/**
 * The server answered, and said no.
 */
export class Refused extends Error {
  /**
   * @param {number} status
   * @param {any} answer
   */
  constructor(status, answer) {
    super(`${status} ${answer?.error ?? ''}`);
    this.status = status;
    /** @type {string} the protocol's word for why */
    this.code = answer?.error ?? '';
    /** @type {any} everything that came with it */
    this.answer = answer ?? {};
  }
}

/** Nobody answered: there is no network, or no server behind it. */
export class Unreachable extends Error {}

const ATTEMPT = 10_000; // ms that one attempt may take
const PATIENCE = 20_000; // ms for which a call is sent again
const PAUSES = [300, 1000, 2000, 4000];

let nonce = '';

/**
 * Calls the phone API.
 * @param {import('./keys.js').Signer} signer
 * @param {string} method
 * @param {string} path begins with "/phone/"
 * @param {object} [body]
 * @param {{patience?: number}} [options] patience: ms for which to try again
 *   while nobody answers
 * @returns {Promise<any>} the answer's JSON; undefined if it has none
 * @throws {Refused | Unreachable}
 */
export async function call(signer, method, path, body, { patience = PATIENCE } = {}) {
  const text = body === undefined ? undefined : JSON.stringify(body);
  const prove = proof(signer, method, path, text);
  const until = performance.now() + patience;
  for (let attempt = 0; ; attempt++) {
    const response = await send(signer, prove, method, path, text).catch(() => undefined);
    if (response !== undefined && response.status < 500) return read(response);
    const pause = PAUSES[Math.min(attempt, PAUSES.length - 1)];
    if (performance.now() + pause > until) throw new Unreachable(`${method} ${path}`);
    await new Promise((resolve) => setTimeout(resolve, pause));
  }
}

/**
 * Opens the stream of events; it is ended by the signal.
 * @param {import('./keys.js').Signer} signer
 * @param {AbortSignal} signal
 * @returns {Promise<ReadableStream<Uint8Array<ArrayBuffer>>>}
 * @throws {Refused | Unreachable}
 */
export async function openEvents(signer, signal) {
  const prove = proof(signer, 'GET', '/phone/events', undefined);
  const response = await send(signer, prove, 'GET', '/phone/events', undefined, signal).catch(() => undefined);
  if (response === undefined || response.status >= 500) throw new Unreachable('GET /phone/events');
  if (!response.ok || response.body === null) return read(response);
  return response.body;
}

/**
 * @param {import('./keys.js').Signer} signer
 * @param {(nonce: string) => Promise<string>} prove
 * @param {string} method
 * @param {string} path
 * @param {string | undefined} body
 * @param {AbortSignal} [signal] instead of the time limit
 * @returns {Promise<Response>}
 */
async function send(signer, prove, method, path, body, signal) {
  // A nonce is refused once when it has died; a second refusal is an answer.
  for (let again = nonce !== ''; ; again = false) {
    if (nonce === '') await askNonce(signer);
    const response = await fetch(path, {
      method,
      body,
      headers: { DPoP: await prove(nonce), ...(body === undefined ? {} : { 'Content-Type': 'application/json' }) },
      cache: 'no-store',
      credentials: 'omit',
      redirect: 'error',
      signal: signal ?? AbortSignal.timeout(ATTEMPT),
    });
    takeNonce(response);
    if (response.status !== 401 || !again || !(await isStale(response.clone()))) return response;
  }
}

/** @param {Response} response */
async function isStale(response) {
  const answer = await response.json().catch(() => undefined);
  return answer?.error === 'use_dpop_nonce';
}

/** @param {import('./keys.js').Signer} signer */
async function askNonce(signer) {
  const prove = proof(signer, 'POST', '/phone/nonce', undefined);
  const response = await fetch('/phone/nonce', {
    method: 'POST', headers: { DPoP: await prove('') }, cache: 'no-store', credentials: 'omit', signal: AbortSignal.timeout(ATTEMPT),
  });
  takeNonce(response);
}

/** @param {Response} response */
function takeNonce(response) {
  nonce = response.headers.get('DPoP-Nonce') ?? nonce;
}

/**
 * @param {import('./keys.js').Signer} signer
 * @param {string} method
 * @param {string} path
 * @param {string | undefined} body
 * @returns {(nonce: string) => Promise<string>} makes the proof of this one call
 *   under a nonce
 */
function proof(signer, method, path, body) {
  const jti = base64url(random(16));
  const bh = sha256(utf8(body ?? ''));
  return async (nonce) => {
    const head = part({ typ: 'dpop+jwt', alg: 'ES256', jwk: signer.jwk });
    const claims = part({
      jti, htm: method, htu: location.origin + path, iat: Math.floor(Date.now() / 1000),
      bh: base64url(await bh), ...(nonce === '' ? {} : { nonce }),
    });
    const input = `${head}.${claims}`;
    return `${input}.${await signES256(signer.key, input)}`;
  };
}

/**
 * @param {Response} response
 * @returns {Promise<any>}
 */
async function read(response) {
  const text = await response.text();
  let answer;
  try {
    answer = text === '' ? undefined : JSON.parse(text);
  } catch {
    answer = undefined;
  }
  if (!response.ok) throw new Refused(response.status, answer);
  return answer;
}
