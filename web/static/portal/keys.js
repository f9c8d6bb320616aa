// The keys of this browser: one that lasts, and one for each request to sign
// in. They are made here, cannot be read out, and stay in IndexedDB; the server
// gets their public halves only.

import { base64url, sha256, utf8 } from '../app/bytes.js';

/**
 * @typedef {object} Key
 * @property {string} name 'lasting', or 'request ' and the authorization
 * @property {CryptoKey} key ECDSA P-256, not extractable
 * @property {string} jwk the public half, with the members of RFC 7638 in their order
 * @property {string} thumbprint RFC 7638
 * @property {number} made Unix milliseconds by this browser's clock
 */

/**
 * What a browser signs: one deed, for one request (package browser, Claim).
 * @typedef {object} Claim
 * @property {'ring' | 'redeem' | 'join'} use
 * @property {string} request
 * @property {string} service
 * @property {string} professional
 * @property {string} key
 * @property {string} nonce
 */

const EC = { name: 'ECDSA', namedCurve: 'P-256' };
const STORE = 'keys';
const DAY = 24 * 60 * 60 * 1000;

/** @type {Promise<IDBDatabase> | undefined} */
let opened;

/** @returns {Promise<IDBDatabase>} */
function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('vigie-portal', 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: 'name' });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
    request.onblocked = () => reject(new Error('the key store is held by another page'));
  });
  return opened;
}

/**
 * @template T
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} deed
 * @returns {Promise<T>}
 */
async function run(mode, deed) {
  const transaction = (await database()).transaction(STORE, mode);
  return new Promise((resolve, reject) => {
    const request = deed(transaction.objectStore(STORE));
    transaction.oncomplete = () => resolve(request.result);
    transaction.onerror = transaction.onabort = () => reject(transaction.error ?? request.error);
  });
}

/**
 * @param {string} name
 * @returns {Promise<Key | undefined>}
 */
function find(name) {
  return run('readonly', (store) => store.get(name));
}

/**
 * Returns the key of that name, and makes it when there is none. Two pages that
 * make it at once end up with the same one.
 * @param {string} name
 * @returns {Promise<Key>}
 */
async function findOrMake(name) {
  const found = await find(name);
  if (found !== undefined) return found;
  const pair = await crypto.subtle.generateKey(EC, false, ['sign']);
  const { crv, kty, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey);
  const jwk = JSON.stringify({ crv, kty, x, y });
  const thumbprint = base64url(await sha256(utf8(jwk)));
  const made = { name, key: pair.privateKey, jwk, thumbprint, made: Date.now() };
  try {
    await run('readwrite', (store) => store.add(made));
    return made;
  } catch (error) {
    const other = await find(name);
    if (other === undefined) throw error;
    return other;
  }
}

/** The key that a professional may keep. @returns {Promise<Key>} */
export function lastingKey() {
  return findOrMake('lasting');
}

/** The lasting key if there is one: to prove, not to offer. @returns {Promise<Key | undefined>} */
export function findLastingKey() {
  return find('lasting');
}

/**
 * The key of one authorization: the same again after a reload or a second try.
 * @param {string} authorization
 * @returns {Promise<Key>}
 */
export async function requestKey(authorization) {
  await forgetOld();
  return findOrMake(`request ${authorization}`);
}

/**
 * @param {string} authorization
 * @returns {Promise<Key | undefined>} undefined in a browser that did not ask
 */
export function findRequestKey(authorization) {
  return find(`request ${authorization}`);
}

/** Drops request keys that no request can still use. */
async function forgetOld() {
  const keys = /** @type {Key[]} */ (await run('readonly', (store) => store.getAll()));
  for (const key of keys) {
    if (key.name !== 'lasting' && Date.now() - key.made > DAY) await run('readwrite', (store) => store.delete(key.name));
  }
}

/**
 * Signs one deed.
 * @param {Key} key
 * @param {Claim} claim
 * @returns {Promise<string>} JWS, compact serialization (RFC 7515 §7.1)
 */
export async function sign(key, claim) {
  const header = base64url(utf8(JSON.stringify({ alg: 'ES256', typ: 'vigie-browser+jws' })));
  const signed = `${header}.${base64url(utf8(JSON.stringify(claim)))}`;
  const signature = await crypto.subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key.key, utf8(signed));
  return `${signed}.${base64url(new Uint8Array(signature))}`;
}
