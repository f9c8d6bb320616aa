// The phone's key: made by WebCrypto, never to be read out of it. It signs every
// call, and every decision.

import { base64url, sha256, utf8 } from './bytes.js';

/** @typedef {{key: CryptoKey, jwk: JsonWebKey, id: string}} Signer */

/**
 * Makes a new key.
 * @returns {Promise<Signer>}
 */
export async function newKey() {
  const pair = await crypto.subtle.generateKey({ name: 'ECDSA', namedCurve: 'P-256' }, false, ['sign', 'verify']);
  const { kty, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey);
  const jwk = { kty, crv, x, y };
  return { key: pair.privateKey, jwk, id: await thumbprint(jwk) };
}

/**
 * @param {JsonWebKey} jwk a P-256 key
 * @returns {Promise<string>} its thumbprint (RFC 7638 §3), base64url
 */
export async function thumbprint({ crv, kty, x, y }) {
  return base64url(await sha256(utf8(JSON.stringify({ crv, kty, x, y }))));
}

/**
 * @param {CryptoKey} key
 * @param {string} input
 * @returns {Promise<string>} the ES256 signature (RFC 7518 §3.4), base64url
 */
export async function signES256(key, input) {
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, utf8(input));
  return base64url(new Uint8Array(signature));
}

/**
 * @param {unknown} value
 * @returns {string} a part of a JWS: its JSON in base64url
 */
export function part(value) {
  return base64url(utf8(JSON.stringify(value)));
}
