// The vendored modules against the vectors of their standards.
import assert from 'node:assert/strict';
import { createPublicKey, verify } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';

const vendored = (name) => import(new URL(`../../web/static/vendor/${name}.js`, import.meta.url).href);
const bytes = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
const hex = (data) => Buffer.from(data).toString('hex');

test('the OPRF of the app is that of RFC 9497', async () => {
  const { blind, finalize } = await vendored('p256oprf');
  const file = JSON.parse(await readFile(new URL('../../web/testdata/oprf_rfc9497.json', import.meta.url), 'utf8'));
  for (const vector of file.vectors) {
    const result = blind(bytes(vector.input), bytes(file.blind));
    assert.equal(hex(result.blind), file.blind);
    assert.equal(hex(result.blinded), vector.blinded);
    assert.equal(hex(finalize(bytes(vector.input), result.blind, bytes(vector.evaluated))), vector.output);
  }
});

test('a blind is drawn anew each time, and a bad one is refused', async () => {
  const { blind, finalize } = await vendored('p256oprf');
  const input = bytes('2580');
  assert.notEqual(hex(blind(input).blinded), hex(blind(input).blinded));
  const order = 'ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551';
  for (const scalar of ['00'.repeat(32), order, 'ff'.repeat(32), '01']) {
    assert.throws(() => blind(input, bytes(scalar)), RangeError, scalar);
  }
  const last = order.slice(0, -1) + '0';
  assert.equal(hex(blind(input, bytes(last)).blind), last);
  const { blind: scalar } = blind(input);
  for (const element of ['00', `02${'ff'.repeat(32)}`, `05${'11'.repeat(32)}`]) {
    assert.throws(() => finalize(input, scalar, bytes(element)), undefined, element);
  }
});

test('the Ed25519 of the app is that of RFC 8032', async () => {
  const { getPublicKey, sign } = await vendored('ed25519');
  // RFC 8032 §7.1, test 2.
  const seed = bytes('4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb');
  const key = '3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c';
  assert.equal(hex(getPublicKey(seed)), key);
  assert.equal(hex(sign(bytes('72'), seed)),
    '92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00');
  const jwk = { kty: 'OKP', crv: 'Ed25519', x: Buffer.from(key, 'hex').toString('base64url') };
  const message = new TextEncoder().encode('un document');
  assert.ok(verify(null, message, createPublicKey({ key: jwk, format: 'jwk' }), sign(message, seed)));
});

test('the QR reader finds nothing in a blank picture', async () => {
  const { default: jsQR } = await vendored('jsqr');
  assert.equal(jsQR(new Uint8ClampedArray(100 * 100 * 4).fill(255), 100, 100), null);
});
