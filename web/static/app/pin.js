// What the PIN becomes. The phone blinds it, the server evaluates what it cannot
// read (OPRF, RFC 9497, P256-SHA256), and out of the result comes an Ed25519 key
// that signs once and is forgotten. A wrong PIN gives another key; nothing on
// this phone can tell.

import { blind, finalize } from '../vendor/p256oprf.js';
import { base64url, fromBase64url, join, utf8 } from './bytes.js';

/**
 * A PIN on its way through the server. It stays in memory and is never kept:
 * with it and the answer the PIN could be tested.
 * @typedef {object} Blinding
 * @property {string} element what the server evaluates, base64url
 * @property {(evaluated: string) => Promise<PinKey>} key makes the key of the answer
 */

/**
 * @typedef {object} PinKey
 * @property {string} publicKey Ed25519, base64url
 * @property {(input: string) => Promise<string>} sign EdDSA (RFC 8037), base64url
 */

/**
 * @param {string} pin four digits
 * @param {Uint8Array} secret the phone's 32 bytes
 * @param {string} epoch 32 bytes in base64url
 * @param {Uint8Array} [scalar] only for test vectors
 * @returns {Blinding}
 */
export function blindPin(pin, secret, epoch, scalar) {
  if (!/^[0-9]{4}$/.test(pin)) throw new RangeError('a PIN is four digits');
  const input = join(utf8(pin), secret, fromBase64url(epoch));
  if (input.length !== 68) throw new RangeError('secret and epoch have 32 bytes each');
  const blinded = blind(input, scalar);
  return {
    element: base64url(blinded.blinded),
    async key(evaluated) {
      return pinKey(finalize(input, blinded.blind, fromBase64url(evaluated)));
    },
  };
}

/**
 * @param {Uint8Array} output of the OPRF, 32 bytes
 * @returns {Promise<PinKey>}
 */
export async function pinKey(output) {
  const material = await crypto.subtle.importKey('raw', Uint8Array.from(output), 'HKDF', false, ['deriveBits']);
  const bits = await crypto.subtle.deriveBits(
    { name: 'HKDF', hash: 'SHA-256', salt: new Uint8Array(0), info: utf8('vigie pin key v1') }, material, 256);
  const seed = new Uint8Array(bits);
  return (await platformKey(seed)) ?? vendoredKey(seed);
}

// PKCS #8 of an Ed25519 key is this and its seed (RFC 8410 §7).
const PKCS8 = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20);

/**
 * @param {Uint8Array<ArrayBuffer>} seed 32 bytes
 * @returns {Promise<PinKey | undefined>} undefined where WebCrypto has no Ed25519
 */
async function platformKey(seed) {
  try {
    const key = await crypto.subtle.importKey('pkcs8', join(PKCS8, seed), 'Ed25519', true, ['sign']);
    const { x = '' } = await crypto.subtle.exportKey('jwk', key);
    return {
      publicKey: x,
      sign: async (input) => base64url(new Uint8Array(await crypto.subtle.sign('Ed25519', key, utf8(input)))),
    };
  } catch {
    return undefined;
  }
}

/**
 * @param {Uint8Array} seed 32 bytes
 * @returns {Promise<PinKey>}
 */
async function vendoredKey(seed) {
  const ed25519 = await import('../vendor/ed25519.js');
  return {
    publicKey: base64url(ed25519.getPublicKey(seed)),
    sign: async (input) => base64url(ed25519.sign(utf8(input), seed)),
  };
}
