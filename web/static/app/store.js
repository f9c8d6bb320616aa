// What this phone keeps, in IndexedDB: its key, which nobody can read out of
// it, the secret that goes into every PIN, preferences, and answers not yet
// sent. The page and the service worker share it.

/**
 * A phone that is activated.
 * @typedef {object} Phone
 * @property {string} id RFC 7638 thumbprint of the key
 * @property {CryptoKey} key ECDSA P-256, not extractable
 * @property {JsonWebKey} jwk the public half
 * @property {Uint8Array<ArrayBuffer>} secret 32 bytes that never leave this phone
 * @property {string} epoch which of the server's PIN keys is in force, base64url
 * @property {string} iss the issuer that documents are addressed to
 * @property {string} name of the professional
 * @property {number} ends Unix milliseconds
 */

/**
 * An activation that has begun: the codes may arrive after the app was closed.
 * @typedef {object} Draft
 * @property {CryptoKey} key
 * @property {JsonWebKey} jwk
 * @property {string} id
 * @property {string} nationalId as typed; '' until the codes were asked for
 * @property {number} asked Unix milliseconds by this phone's clock
 * @property {Phone} [phone] what it becomes, once that was sent and until it is known
 */

/**
 * A signed answer that must still reach the server.
 * @typedef {object} Unsent
 * @property {string} request
 * @property {string} service name, to say what it was about
 * @property {string} document
 * @property {number} until Unix milliseconds by this phone's clock; then it is dropped
 */

/** @type {Promise<IDBDatabase> | undefined} */
let opened;

/** @returns {Promise<IDBDatabase>} */
function database() {
  opened ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('vigie', 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('kept');
      request.result.createObjectStore('unsent', { keyPath: 'request' });
    };
    request.onsuccess = () => {
      // A newer version of the app must not wait for this page.
      request.result.onversionchange = () => request.result.close();
      request.result.onclose = () => (opened = undefined);
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
  });
  opened.catch(() => (opened = undefined));
  return opened;
}

/**
 * @template T
 * @param {'kept' | 'unsent'} store
 * @param {IDBTransactionMode} mode
 * @param {(store: IDBObjectStore) => IDBRequest<T>} act
 * @returns {Promise<T>} once the transaction is complete
 */
async function within(store, mode, act) {
  const transaction = (await database()).transaction(store, mode);
  const request = act(transaction.objectStore(store));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = () => reject(transaction.error ?? request.error);
  });
}

/**
 * @param {string} name
 * @returns {Promise<any>} undefined when it was never kept
 */
export function kept(name) {
  return within('kept', 'readonly', (store) => store.get(name));
}

/**
 * @param {string} name
 * @param {any} value
 * @returns {Promise<void>}
 */
export async function keep(name, value) {
  await within('kept', 'readwrite', (store) => store.put(value, name));
}

/**
 * @param {string} name
 * @returns {Promise<void>}
 */
export async function forget(name) {
  await within('kept', 'readwrite', (store) => store.delete(name));
}

/** @returns {Promise<Phone | undefined>} */
export function keptPhone() {
  return kept('phone');
}

/** @returns {Promise<Draft | undefined>} */
export function keptDraft() {
  return kept('draft');
}

/** @returns {Promise<Unsent[]>} */
export function unsentAnswers() {
  return within('unsent', 'readonly', (store) => store.getAll());
}

/**
 * @param {Unsent} answer
 * @returns {Promise<void>}
 */
export async function keepUnsent(answer) {
  await within('unsent', 'readwrite', (store) => store.put(answer));
}

/**
 * @param {string} request
 * @returns {Promise<void>}
 */
export async function forgetUnsent(request) {
  await within('unsent', 'readwrite', (store) => store.delete(request));
}
