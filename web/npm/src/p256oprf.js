// OPRF of RFC 9497, mode OPRF (0x00), suite P256-SHA256: the client's two steps.
// Elements are 33 bytes (compressed points), scalars 32 bytes big-endian, the
// output 32 bytes.
import { p256_oprf } from '@noble/curves/nist.js';

const ORDER = 0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551n;

/**
 * Blind (RFC 9497 §3.3.1). Draws a fresh scalar unless one is given; a given
 * scalar must come from here or from a test vector, and be used for one input.
 * @param {Uint8Array} input at most 65535 bytes
 * @param {Uint8Array} [scalar] 32 bytes, 1 … order-1
 * @returns {{blind: Uint8Array, blinded: Uint8Array}} blind: the scalar, to be kept
 *   secret until finalize; blinded: the element to send
 */
export function blind(input, scalar) {
  if (scalar === undefined) return p256_oprf.oprf.blind(input);
  if (scalar.length !== 32) throw new RangeError('the scalar must have 32 bytes');
  let n = 0n;
  for (const byte of scalar) n = (n << 8n) | BigInt(byte);
  if (n < 1n || n >= ORDER) throw new RangeError('the scalar must lie in 1 … order-1');
  // The library maps 48 random bytes r to 1 + (r mod order-1) (FIPS 186-5 A.2.1).
  const wide = new Uint8Array(48);
  let rest = n - 1n;
  for (let i = 47; i > 15; i--) {
    wide[i] = Number(rest & 255n);
    rest >>= 8n;
  }
  return p256_oprf.oprf.blind(input, () => wide);
}

/**
 * Finalize (RFC 9497 §3.3.1).
 * @param {Uint8Array} input what was blinded
 * @param {Uint8Array} scalar the blind that blind() returned
 * @param {Uint8Array} evaluated the server's 33-byte element
 * @returns {Uint8Array} 32 bytes
 * @throws {Error} if evaluated is not a point of the curve other than the identity
 */
export function finalize(input, scalar, evaluated) {
  return p256_oprf.oprf.finalize(input, scalar, evaluated);
}
