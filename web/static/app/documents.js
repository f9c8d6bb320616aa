// What a phone decided, written down and signed: a JWS in general JSON
// serialization (RFC 7515 §7.2.1), by the phone's key and, where the decision
// asks for it, by the key that the PIN opens.

import { part, signES256 } from './keys.js';

/**
 * Whoever signs beside the phone's key.
 * @typedef {object} PinSigner
 * @property {'pin' | 'new-pin'} kid
 * @property {(input: string) => Promise<string>} sign the EdDSA signature, base64url
 */

/**
 * @param {import('./keys.js').Signer} signer
 * @param {string} iss
 * @param {string} decision
 * @param {Record<string, unknown>} members those of this decision
 * @param {number} at Unix milliseconds by the server's clock
 * @param {PinSigner[]} [pins]
 * @returns {Promise<string>} the document
 */
export async function writeDocument(signer, iss, decision, members, at, pins = []) {
  const payload = part({ v: 1, iss, phone: signer.id, decision, ...members, iat: Math.floor(at / 1000) });
  const signatures = [await signature(payload, 'ES256', 'phone', (input) => signES256(signer.key, input))];
  for (const { kid, sign } of pins) signatures.push(await signature(payload, 'EdDSA', kid, sign));
  return JSON.stringify({ payload, signatures });
}

/**
 * @param {string} payload
 * @param {string} alg
 * @param {string} kid
 * @param {(input: string) => Promise<string>} sign
 */
async function signature(payload, alg, kid, sign) {
  const head = part({ typ: 'vigie+jws', alg, kid });
  return { protected: head, signature: await sign(`${head}.${payload}`) };
}
