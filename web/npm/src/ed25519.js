// Ed25519 (RFC 8032) for browsers whose WebCrypto lacks it.
import { ed25519 } from '@noble/curves/ed25519.js';

/**
 * @param {Uint8Array} seed 32 bytes
 * @returns {Uint8Array} the public key, 32 bytes
 */
export function getPublicKey(seed) {
  return ed25519.getPublicKey(seed);
}

/**
 * @param {Uint8Array} message
 * @param {Uint8Array} seed 32 bytes
 * @returns {Uint8Array} the signature, 64 bytes
 */
export function sign(message, seed) {
  return ed25519.sign(message, seed);
}
