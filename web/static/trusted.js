// The one Trusted Types policy of our pages (web/secure.go allows no other): it
// lets through the addresses of our own workers and nothing else.

/** The workers that a page of ours may start. */
const WORKERS = ['/sw.js'];

/**
 * @param {string} address
 * @returns {string}
 */
function check(address) {
  if (!WORKERS.includes(address)) throw new TypeError(`${address} is no worker of ours`);
  return address;
}

/** @type {{createScriptURL: (address: string) => unknown} | undefined} */
let policy;

/**
 * The address of a worker as navigator.serviceWorker.register() wants it.
 * @param {string} address "/sw.js"
 * @returns {string} in browsers with Trusted Types really a TrustedScriptURL
 */
export function workerAddress(address) {
  const types = /** @type {any} */ (globalThis).trustedTypes;
  if (types === undefined) return check(address);
  policy ??= types.createPolicy('vigie', { createScriptURL: check });
  return /** @type {any} */ (policy).createScriptURL(address);
}
