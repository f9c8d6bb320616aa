// What this device is and what it can do.

/** @returns {boolean} the app runs from the home screen, not in a browser's tab */
export function isInstalled() {
  return matchMedia('(display-mode: standalone), (display-mode: fullscreen), (display-mode: minimal-ui)').matches
    || ('standalone' in navigator && navigator.standalone === true);
}

/** @returns {boolean} iPhone or iPad; an iPad calls itself a Mac, but has a touch screen */
export function isIOS() {
  return /iPhone|iPad|iPod/.test(navigator.userAgent)
    || (navigator.platform === 'MacIntel' && navigator.maxTouchPoints > 1);
}

/**
 * On iOS a page in the browser forgets its keys and receives nothing: there the
 * app must be on the home screen before a phone is activated.
 * @returns {boolean}
 */
export function mustInstall() {
  return isIOS() && !isInstalled();
}

/** @returns {string} why the app cannot run here, as the end of a words key; '' if it can */
export function missing() {
  // words: app.unsupported_*
  if (!window.isSecureContext) return 'secure';
  if (globalThis.crypto?.subtle === undefined) return 'crypto';
  if (globalThis.indexedDB === undefined || !('serviceWorker' in navigator)) return 'storage';
  return '';
}

/** @returns {{system: string, model: string, name: string}} what an activation says of this device */
export function device() {
  const agent = navigator.userAgent;
  const found = /** @type {[RegExp, string, string][]} */ ([
    [/iPhone|iPod/, 'iOS', 'iPhone'],
    [/iPad/, 'iPadOS', 'iPad'],
    [/Android/, 'Android', 'Android'],
    [/Windows/, 'Windows', 'PC'],
    [/CrOS/, 'ChromeOS', 'Chromebook'],
    [/Macintosh/, isIOS() ? 'iPadOS' : 'macOS', isIOS() ? 'iPad' : 'Mac'],
    [/Linux/, 'Linux', 'PC'],
  ]).find(([pattern]) => pattern.test(agent));
  const [, system, kind] = found ?? [/./, '', ''];
  // Android names the model between the version and ")", "K" where it hides it.
  const model = /Android [^;)]*; ([^;)]+)/.exec(agent)?.[1]?.replace(/ Build.*/, '') ?? '';
  const known = model === 'K' || model === '' ? kind : model;
  return { system, model: known, name: `${known} ${browserName(agent)}`.trim().slice(0, 60) };
}

/** @param {string} agent */
function browserName(agent) {
  if (isInstalled() && isIOS()) return '';
  const found = /** @type {[RegExp, string][]} */ ([
    [/Edg/, 'Edge'], [/SamsungBrowser/, 'Samsung Internet'], [/Firefox|FxiOS/, 'Firefox'], [/Chrome|CriOS/, 'Chrome'], [/Safari/, 'Safari'],
  ]).find(([pattern]) => pattern.test(agent));
  return found === undefined ? '' : `(${found[1]})`;
}

/** @type {any} */
let offered;

/**
 * Waits for the browser to offer the installation (Chromium does).
 * @param {() => void} changed called when the offer comes or goes
 */
export function watchInstallation(changed) {
  window.addEventListener('beforeinstallprompt', (event) => {
    event.preventDefault();
    offered = event;
    changed();
  });
  window.addEventListener('appinstalled', () => {
    offered = undefined;
    changed();
  });
}

/** @returns {boolean} one tap can install the app */
export function canInstall() {
  return offered !== undefined;
}

/** Asks the browser to install the app. */
export async function install() {
  const event = offered;
  offered = undefined;
  await event?.prompt();
}

/** @returns {Promise<boolean>} the browser has promised not to wipe our storage by itself */
export async function isStoragePersistent() {
  return (await navigator.storage?.persisted?.()) ?? false;
}

/** @returns {Promise<boolean>} whether it promises */
export async function askPersistence() {
  try {
    return (await navigator.storage?.persist?.()) ?? false;
  } catch {
    return false;
  }
}
