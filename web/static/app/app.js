// What the app knows while it runs, and which screen it shows.

import { h, icon } from './dom.js';
import { chooseLanguage, language, say } from './words.js';

/**
 * One thing on the whole display.
 * @typedef {object} Screen
 * @property {string} title what the window and a screen reader call it
 * @property {(Node | false)[]} body
 * @property {() => void} [leave] called when another screen takes its place
 * @property {() => void} [update] called when the server had something new
 * @property {HTMLElement} [focus] where the keyboard begins; else the first h1
 */

export const state = {
  /** @type {import('./store.js').Phone | undefined} */
  phone: undefined,
  /** @type {import('./store.js').Draft | undefined} */
  draft: undefined,
  /** What the server last said about this phone. @type {import('./requests.js').Me | undefined} */
  me: undefined,
  /** When that was asked for, by performance.now(). */
  asked: 0,
  /** Nobody has answered for a while. */
  offline: false,
  /** The server no longer knows this phone. */
  unknown: false,
  /** Milliseconds by which the server's clock is ahead of this phone's. */
  ahead: 0,
};

/** @returns {boolean} nothing stands in the way of using this phone, as far as is known */
export function isWell() {
  return !state.unknown && [undefined, 'active', 'paused'].includes(state.me?.state);
}

/** @returns {number} the server's time, Unix milliseconds */
export function now() {
  return Date.now() + state.ahead;
}

/** @type {Screen | undefined} */
let current;

/** @type {() => void} */
let route = () => {};

/**
 * Says what draws the screen of an address; called once.
 * @param {() => void} draw
 */
export function onRoute(draw) {
  route = draw;
  window.addEventListener('hashchange', () => route());
}

/** Draws the screen of the present address anew. */
export function redraw() {
  route();
}

/**
 * Goes to a screen that has an address.
 * @param {string} path "" is the first screen
 */
export function go(path) {
  const hash = `#/${path}`;
  if (location.hash === hash || (path === '' && location.hash === '')) route();
  else location.hash = hash;
}

/** @returns {string[]} the parts of the present address */
export function address() {
  return location.hash.replace(/^#\/?/, '').split('/').filter((part) => part !== '');
}

/**
 * Shows a screen in place of the one before.
 * @param {Screen} screen
 */
export function show(screen) {
  current?.leave?.();
  current = screen;
  const main = /** @type {HTMLElement} */ (document.getElementById('main'));
  main.replaceChildren(...screen.body.filter((node) => node !== false));
  document.title = `${screen.title} · Vigie`;
  drawNav();
  window.scrollTo(0, 0);
  const heading = main.querySelector('h1');
  heading?.setAttribute('tabindex', '-1');
  (screen.focus ?? heading ?? main).focus();
}

/** Tells the screen that is shown that something is new. */
export function update() {
  current?.update?.();
}

function drawNav() {
  const nav = /** @type {HTMLElement} */ (document.getElementById('nav'));
  const other = language === 'fr' ? 'en' : 'fr';
  if (state.phone === undefined || !isWell()) {
    nav.replaceChildren(h('button.bar-link.bare', { type: 'button', lang: other, onclick: () => void chooseLanguage(other).then(redraw) },
      icon('globe'), other === 'en' ? 'English' : 'Français'));
  } else if (address().length === 0) {
    nav.replaceChildren(h('a.bar-link', { href: '#/settings' }, icon('settings'), say('app.settings')));
  } else {
    nav.replaceChildren(h('a.bar-link', { href: '#/' }, icon('back'), say('app.home')));
  }
}

/**
 * Says something to those who listen, and moves nothing on the display.
 * @param {string} words
 */
export function announce(words) {
  const said = document.getElementById('said');
  if (said !== null) said.textContent = words;
}

/**
 * A fact of the deployment that the page carries.
 * @param {'issuer' | 'portal' | 'support'} name
 * @returns {string}
 */
export function fact(name) {
  const content = document.querySelector(`meta[name="vigie-${name}"]`)?.getAttribute('content') ?? '';
  return name === 'support' ? content.replaceAll(' ', '\u00a0') : content; // a number stays on one line
}
