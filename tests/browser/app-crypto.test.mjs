// What the app computes and signs, without a browser: against the vectors of
// the phone's protocol, and against a JOSE library that is not ours.
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { beforeEach, test } from 'node:test';
import { calculateJwkThumbprint, compactVerify, generalVerify, importJWK } from 'jose';

const app = (name) => import(new URL(`../../web/static/app/${name}.js`, import.meta.url).href);
const { base64url, fromBase64url, sha256, utf8 } = await app('bytes');
const { blindPin } = await app('pin');
const { newKey } = await app('keys');
const { writeDocument } = await app('documents');
const { call, Refused, Unreachable } = await app('protocol');
const { whyRefused, commonPins } = await app('common-pins');

const vectors = JSON.parse(await readFile(new URL('../../phone/testdata/vectors.json', import.meta.url), 'utf8'));
const json = (part) => JSON.parse(Buffer.from(part, 'base64url').toString());

/** Does something in a browser whose WebCrypto has no Ed25519. */
async function withoutEd25519(act) {
  const { importKey } = crypto.subtle;
  crypto.subtle.importKey = function (format, data, algorithm, ...rest) {
    if (algorithm === 'Ed25519') return Promise.reject(new DOMException('', 'NotSupportedError'));
    return importKey.call(this, format, data, algorithm, ...rest);
  };
  try {
    return await act();
  } finally {
    crypto.subtle.importKey = importKey;
  }
}

for (const vector of vectors.pins) {
  test(`PIN ${vector.name}: blinded and opened as the protocol says`, async () => {
    if (vector.name.startsWith('refused_')) {
      await assert.rejects(async () => blindPin(vector.pin, fromBase64url(vector.secret), vector.epoch, fromBase64url(vector.blind)).key(vector.evaluated));
      return;
    }
    const blinding = blindPin(vector.pin, fromBase64url(vector.secret), vector.epoch, fromBase64url(vector.blind));
    assert.equal(blinding.element, vector.element);
    const key = await blinding.key(vector.evaluated);
    assert.equal(key.publicKey, vector.public);
    const ours = await withoutEd25519(() => blinding.key(vector.evaluated));
    assert.equal(ours.publicKey, vector.public);
    assert.equal(await ours.sign('a document'), await key.sign('a document'));
  });
}

test('what is no PIN is not blinded', () => {
  const [{ secret, epoch }] = vectors.pins;
  for (const pin of ['', '123', '12345', 'abcd', '１２３４', '12 4']) assert.throws(() => blindPin(pin, fromBase64url(secret), epoch), RangeError, pin);
  assert.throws(() => blindPin('7294', fromBase64url(secret).slice(1), epoch), RangeError);
});

test('the app refuses the same thousand PINs as every phone, and says why', async () => {
  const list = await readFile(new URL('../../phone/common_pins.txt', import.meta.url), 'utf8');
  assert.deepEqual([...commonPins], list.trim().split('\n'));
  for (const [pin, why] of [['7777', 'same'], ['4567', 'row'], ['4321', 'row'], ['1987', 'year'], ['4747', 'pair'], ['3112', 'date'], ['2580', 'common'], ['7294', '']]) {
    assert.equal(whyRefused(pin), why, pin);
  }
});

test('a phone has the id that its key has everywhere', async () => {
  const { id, jwk, key } = await newKey();
  assert.equal(id, await calculateJwkThumbprint(jwk));
  assert.equal(key.extractable, false);
  assert.deepEqual(Object.keys(jwk).sort(), ['crv', 'kty', 'x', 'y']);
});

for (const [decision, members, pins] of [
  ['approve', { request: 'R', service: 'S', shown: 's', browser: 'b', keep: 'no', kept: '', lane: 'ring', by: 'ring', binding: '', relay: '', eval: 'E' }, ['pin']],
  ['refuse', { request: 'R' }, []],
  ['sleep', {}, []],
  ['silence', { silent: true }, []],
  ['change-pin', { eval: 'E', epoch: 'e', pin: 'p' }, ['pin', 'new-pin']],
]) {
  test(`a document that decides ${decision} is signed by all who must, and says no more than the protocol`, async () => {
    const [vector] = vectors.pins;
    const signer = await newKey();
    const key = await blindPin(vector.pin, fromBase64url(vector.secret), vector.epoch, fromBase64url(vector.blind)).key(vector.evaluated);
    const document = JSON.parse(await writeDocument(signer, 'https://portal.example', decision, members, 1_772_438_400_999, pins.map((kid) => ({ kid, sign: key.sign }))));
    assert.deepEqual(document.signatures.map((s) => json(s.protected).kid), ['phone', ...pins]);
    const pinKey = { kty: 'OKP', crv: 'Ed25519', x: vector.public };
    for (const signature of document.signatures) {
      const { alg, kid, typ } = json(signature.protected);
      assert.equal(typ, 'vigie+jws');
      const { payload } = await generalVerify({ payload: document.payload, signatures: [signature] }, await importJWK(kid === 'phone' ? signer.jwk : pinKey, alg));
      assert.deepEqual(JSON.parse(Buffer.from(payload).toString()), { v: 1, iss: 'https://portal.example', phone: signer.id, decision, ...members, iat: 1_772_438_400 });
    }
    const good = vectors.documents.find(({ name }) => name === `good_${decision.replace('-', '_')}`);
    if (good) assert.deepEqual(Object.keys(json(document.payload)).sort(), Object.keys(json(JSON.parse(good.document).payload)).sort());
  });
}

// --- Calls, with a server that is a function ---------------------------------------

/** @type {{url: string, init: any}[]} */
let calls;
/** @type {((n: number) => Response | Promise<Response>)} */
let server;

beforeEach(() => {
  calls = [];
  globalThis.location = /** @type {any} */ ({ origin: 'https://app.example' });
  globalThis.fetch = /** @type {any} */ (async (url, init) => {
    calls.push({ url, init });
    return server(calls.length);
  });
});

const answer = (status, body, nonce = 'NONCE') => new Response(body === undefined ? null : JSON.stringify(body), { status, headers: nonce ? { 'DPoP-Nonce': nonce } : {} });
const proofOf = ({ init }) => init.headers.DPoP;
const claims = (made) => json(proofOf(made).split('.')[1]);

test('each call proves its method, address, body and nonce', async () => {
  const signer = await newKey();
  server = () => answer(200, { good: true });
  assert.deepEqual(await call(signer, 'POST', '/phone/claims', { code: '482913' }), { good: true });
  const made = calls.at(-1);
  assert.equal(made.init.body, '{"code":"482913"}');
  const { protectedHeader } = await compactVerify(proofOf(made), await importJWK(signer.jwk, 'ES256'));
  assert.deepEqual(protectedHeader, { typ: 'dpop+jwt', alg: 'ES256', jwk: signer.jwk });
  const { iat, jti, ...rest } = claims(made);
  assert.ok(Math.abs(iat - Date.now() / 1000) < 5 && jti.length >= 16 && jti.length <= 64);
  assert.deepEqual(rest, { htm: 'POST', htu: 'https://app.example/phone/claims', nonce: 'NONCE', bh: base64url(await sha256(utf8('{"code":"482913"}'))) });
  const good = vectors.proofs.find(({ name }) => name === 'good_call').proof.split('.').map((part, i) => (i < 2 ? json(part) : part));
  assert.deepEqual(Object.keys(claims(made)).sort(), Object.keys(good[1]).sort());
});

test('a dead nonce is replaced, and the call stays the same call', async () => {
  server = () => answer(200, {}, 'OLD');
  const signer = await newKey();
  await call(signer, 'GET', '/phone/me');
  calls = [];
  server = (n) => (n === 1 ? answer(401, { error: 'use_dpop_nonce' }, 'NEW') : answer(200, {}));
  await call(signer, 'POST', '/phone/claims', { code: '1' });
  assert.deepEqual(calls.map((made) => claims(made).nonce), ['OLD', 'NEW']);
  assert.equal(claims(calls[0]).jti, claims(calls[1]).jti);
});

test('a call whose answer was lost is sent again as the same call', async () => {
  const signer = await newKey();
  server = (n) => {
    if (n === 1) throw new TypeError('network');
    return n === 2 ? answer(503) : answer(200, { state: 'approved' });
  };
  assert.deepEqual(await call(signer, 'POST', '/phone/requests/R/answer', { document: 'd' }), { state: 'approved' });
  assert.equal(new Set(calls.map((made) => claims(made).jti)).size, 1);
  server = () => { throw new TypeError('network'); };
  await assert.rejects(call(signer, 'GET', '/phone/me', undefined, { patience: 0 }), Unreachable);
});

test('a refusal is heard at once, with what came with it', async () => {
  const signer = await newKey();
  server = () => answer(423, { error: 'paused', until: 5 });
  await assert.rejects(call(signer, 'POST', '/phone/requests/R/evaluate', {}), (error) => {
    assert.ok(error instanceof Refused);
    assert.deepEqual([error.status, error.code, error.answer.until], [423, 'paused', 5]);
    return true;
  });
  assert.equal(calls.length, 1);
});

test('two calls are two, even with the same words', async () => {
  const signer = await newKey();
  server = () => answer(200, {});
  await call(signer, 'POST', '/phone/claims', { code: '1' });
  await call(signer, 'POST', '/phone/claims', { code: '1' });
  assert.notEqual(claims(calls[0]).jti, claims(calls[1]).jti);
});
